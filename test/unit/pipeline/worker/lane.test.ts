import { describe, expect, onTestFinished, test } from 'vitest'
import type { Chunk, ChunkOutcome } from '../../../../cache-service/core/records/chunk.ts'
import { DecodedBytes } from '../../../../cache-service/pipeline/worker/decoded-bytes.ts'
import { Lane } from '../../../../cache-service/pipeline/worker/lane.ts'
import { redisError } from '../../../../shared/errors.ts'
import { eventually } from '../../../support/eventually.ts'
import { fetchedPartition, numberedBatch } from '../../../support/records/fetched-partition.ts'

const DURABLE: ChunkOutcome = { kind: 'durable' }
const oom = redisError(new Error("OOM command not allowed when used memory > 'maxmemory'."))

/** A lane whose writes the test answers one by one, and what happened to it, in words. */
function openLane(maxQueuedBytes = 1_000_000, queued = { bytes: 0, maxBytes: 1_000_000 }) {
  const log: string[] = []
  const world = { nowMs: 0, probeFails: false, random: 0 }
  const writes: { readonly chunk: Chunk; readonly answer: PromiseWithResolvers<ChunkOutcome> }[] = []
  const name = ({ next, position }: Chunk) => `${position}-${next}`
  const lane = new Lane<Chunk>(3, {
    steps: {
      prepare(chunk) {
        log.push(`prepare ${name(chunk)}`)
        return chunk
      },
      async write(chunk) {
        log.push(`write ${name(chunk)}`)
        const answer = Promise.withResolvers<ChunkOutcome>()
        writes.push({ chunk, answer })
        return await answer.promise
      },
    },
    limits: { maxRecords: 10, maxBytes: 1_000_000 },
    maxQueuedBytes,
    queued,
    decodedBytes: new DecodedBytes(1_000_000),
    probe: async () => {
      log.push('probe')
      if (world.probeFails) throw oom
    },
    seek: (partition, offset) => log.push(`seek ${partition} to ${offset}`),
    changed: () => undefined,
    telemetry: {
      held: (partition, { code }, failures) => log.push(`held ${partition} ${code} ${failures}`),
      paused: (partition, { code }) => log.push(`paused ${partition} ${code}`),
      released: (partition, heldMs) => log.push(`released ${partition} after ${heldMs}`),
    },
    monotonicNow: () => world.nowMs,
    random: () => world.random,
  })
  const running = lane.run()
  onTestFinished(async () => {
    lane.end()
    for (const { answer } of writes) answer.resolve(DURABLE)
    await running.catch(() => undefined)
  })
  const seen = (line: string) => eventually(() => expect(log).toContain(line))
  const write = async (index: number) => {
    await eventually(() => expect(writes.length).toBeGreaterThan(index))
    const found = writes[index]
    if (found === undefined) throw new Error(`write ${index} is missing`)
    return found.answer
  }
  return { lane, log, running, seen, world, write }
}

const fetchedFrom = (position: number, count = 10) =>
  fetchedPartition({ partition: 3, position, batches: [numberedBatch(position, count)] })

describe('a lane', () => {
  test('prepares the next chunk while one is being written, and writes it only when that one is durable', async () => {
    const { lane, log, seen, write } = openLane()
    lane.offer(fetchedFrom(0))
    await seen('write 0-10')
    lane.offer(fetchedFrom(10))
    await seen('prepare 10-20')
    expect(log).toEqual(['prepare 0-10', 'write 0-10', 'prepare 10-20'])
    expect(lane.durable).toBeUndefined()
    ;(await write(0)).resolve(DURABLE)
    await seen('write 10-20')
    expect(lane.durable).toBe(10)
    ;(await write(1)).resolve(DURABLE)
    await eventually(() => expect(lane.durable).toBe(20))
  })

  test('holds after a failure, retries the same chunk, and writes nothing after it meanwhile', async () => {
    const { lane, log, seen, world, write } = openLane()
    lane.offer(fetchedFrom(0))
    lane.offer(fetchedFrom(10))
    ;(await write(0)).reject(oom)
    ;(await write(1)).reject(oom)
    await seen('held 3 OOM 2')
    expect(lane.state).toMatchObject({ kind: 'holding', failure: oom })
    world.nowMs = 700
    ;(await write(2)).resolve(DURABLE)
    await seen('write 10-20')
    expect(lane.state).toEqual({ kind: 'running' })
    expect(log.filter((line) => line.startsWith('write') || line.startsWith('released'))).toEqual([
      'write 0-10',
      'write 0-10',
      'write 0-10',
      'released 3 after 700',
      'write 10-20',
    ])
  })

  test('that has held for long retries its chunk only after a probe succeeds', async () => {
    const { lane, log, seen, world, write } = openLane()
    world.probeFails = true
    lane.offer(fetchedFrom(0))
    ;(await write(0)).reject(oom)
    const third = write(2)
    ;(await write(1)).reject(oom)
    const answer = await third
    world.nowMs = 10_000
    answer.reject(oom)
    await eventually(() => expect(log.filter((line) => line === 'probe').length).toBeGreaterThan(3))
    expect(log.filter((line) => line === 'write 0-10')).toHaveLength(3)
    expect(log.filter((line) => line.startsWith('paused'))).toEqual(['paused 3 OOM'])
    world.probeFails = false
    ;(await write(3)).resolve(DURABLE)
    await seen('released 3 after 10000')
  })

  test('that waits for Redis tries its chunk again as soon as Redis has recovered', async () => {
    const { lane, seen, world, write } = openLane()
    lane.offer(fetchedFrom(0))
    for (let failures = 0; failures < 11; failures++) (await write(failures)).reject(oom)
    const last = await write(11)
    // The next backoff is almost 30 seconds.
    world.random = 0.999
    last.reject(oom)
    await seen('held 3 OOM 12')
    lane.redisRecovered()
    ;(await write(12)).resolve(DURABLE)
    await seen('released 3 after 0')
  })

  test('that is rewound discards its queue, and repeats the seek until a fetch from the new offset arrives', async () => {
    const { lane, log, seen, write } = openLane()
    lane.offer(fetchedFrom(100))
    lane.offer(fetchedFrom(110))
    ;(await write(0)).resolve({ kind: 'rewind', to: 40 })
    await seen('seek 3 to 40')
    expect(lane.durable).toBeUndefined()
    expect([lane.offer(fetchedFrom(120)), lane.offer(fetchedFrom(50))]).toEqual([false, false])
    expect(log.filter((line) => line === 'seek 3 to 40')).toHaveLength(3)
    expect(lane.offer(fetchedFrom(40))).toBe(true)
    await seen('write 40-50')
    expect(log).not.toContain('write 110-120')
  })

  test('that is rewound while a chunk is being written does not count that chunk', async () => {
    const { lane, seen, write } = openLane()
    lane.offer(fetchedFrom(100))
    const answer = await write(0)
    lane.rewind(40)
    answer.resolve(DURABLE)
    lane.offer(fetchedFrom(40))
    await seen('write 40-50')
    expect(lane.durable).toBeUndefined()
  })

  test('whose topic is created again counts nothing that was read of the old one, and tries no chunk of it again', async () => {
    const { lane, log, seen, write } = openLane()
    lane.offer(fetchedFrom(0))
    lane.offer(fetchedFrom(10))
    ;(await write(0)).resolve(DURABLE)
    await seen('write 10-20')
    expect(lane.durable).toBe(10)
    lane.offer(fetchedPartition({ partition: 3, position: 20, batches: [], earliest: 0 }))
    expect(lane.durable).toBeUndefined()
    ;(await write(1)).reject(oom)
    ;(await write(2)).resolve(DURABLE)
    await eventually(() => expect(lane.durable).toBe(0))
    expect(log.filter((line) => line.startsWith('write'))).toEqual(['write 0-10', 'write 10-20', 'write 0-0'])
  })

  test('retries an abandoned chunk', async () => {
    const { lane, write } = openLane()
    lane.offer(fetchedFrom(0))
    ;(await write(0)).resolve({ kind: 'abandoned' })
    ;(await write(1)).resolve(DURABLE)
    await eventually(() => expect(lane.durable).toBe(10))
  })

  test('that ends finishes and counts the chunk that is being written, but starts no other', async () => {
    const { lane, log, running, seen, write } = openLane()
    lane.offer(fetchedFrom(0))
    lane.offer(fetchedFrom(10))
    await seen('prepare 10-20')
    lane.end()
    ;(await write(0)).resolve(DURABLE)
    await running
    expect(lane.durable).toBe(10)
    expect(log).not.toContain('write 10-20')
    expect(lane.offer(fetchedFrom(20))).toBe(false)
  })

  test('that ends while it holds abandons its chunk', async () => {
    const { lane, log, running, write } = openLane()
    lane.offer(fetchedFrom(0))
    ;(await write(0)).reject(oom)
    const second = await write(1)
    lane.end()
    second.reject(oom)
    await running
    expect(lane.durable).toBeUndefined()
    expect(log.filter((line) => line.startsWith('write'))).toHaveLength(2)
  })

  /** One fetch is being written, the next is taken from the queue; the third stays there, and is the last. */
  async function expectRoomForOne({ lane, write }: ReturnType<typeof openLane>): Promise<void> {
    const answer = write(0)
    lane.offer(fetchedFrom(0))
    await answer
    lane.offer(fetchedFrom(10, 30))
    await eventually(() => expect(lane.hasRoom).toBe(true))
    lane.offer(fetchedFrom(40, 30))
    expect(lane.hasRoom).toBe(false)
  }

  test('has room until its queue reaches the limit', async () => {
    await expectRoomForOne(openLane(300))
  })

  test('has room for one fetch, but no more, while the queues of all lanes together are full', async () => {
    const queued = { bytes: 1_000, maxBytes: 1_000 }
    const opened = openLane(1_000_000, queued)
    await expectRoomForOne(opened)
    const { lane } = opened
    queued.bytes -= 1_000
    expect(lane.hasRoom).toBe(true)
    lane.end()
    expect(queued.bytes).toBe(0)
  })

  test('advances past offsets that hold no record', async () => {
    const { lane, write } = openLane()
    lane.offer(
      fetchedPartition({ partition: 3, position: 5, batches: [numberedBatch(5, 0, { lastOffsetDelta: 9 })] }),
    )
    ;(await write(0)).resolve(DURABLE)
    await eventually(() => expect(lane.durable).toBe(15))
  })

  test('rejects if a write throws anything but a ServiceError', async () => {
    const { lane, running, write } = openLane()
    lane.offer(fetchedFrom(0))
    ;(await write(0)).reject(new TypeError('a bug'))
    await expect(running).rejects.toThrow('a bug')
  })
})
