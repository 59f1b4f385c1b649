import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeChunks, type DecodedChunk } from '../../../../cache-service/pipeline/worker/chunk-decoder.ts'
import { DecodedBytes } from '../../../../cache-service/pipeline/worker/decoded-bytes.ts'
import { fetchedPartition, numberedBatch } from '../../../support/records/fetched-partition.ts'
import { encodeBatch, withChecksum } from '../../../support/records/record-batch-encoder.ts'

const ROOMY = { maxRecords: 1_000, maxBytes: 1_000_000 }

async function chunksOf(fetched: ReturnType<typeof fetchedPartition>, limits = ROOMY) {
  const held = new DecodedBytes(1_000_000)
  const chunks: DecodedChunk[] = []
  for await (const decoded of decodeChunks(fetched, limits, held)) {
    chunks.push(decoded)
    held.release(decoded.bytes)
  }
  return chunks.map(({ chunk }) => chunk)
}

const spans = (chunks: Awaited<ReturnType<typeof chunksOf>>) =>
  chunks.map(({ next, position, records }) => [position, next, records.length])

describe('the chunks of a fetch', () => {
  test('are limited by the number of records, even within a batch, and the last covers the offsets after its last record', async () => {
    const fetched = fetchedPartition({
      batches: [numberedBatch(0, 5), numberedBatch(5, 2, { lastOffsetDelta: 9 })],
    })
    expect(spans(await chunksOf(fetched, { ...ROOMY, maxRecords: 3 }))).toEqual([
      [0, 3, 3],
      [3, 6, 3],
      [6, 15, 1],
    ])
  })

  test('are limited by bytes, but hold at least one record', async () => {
    const fetched = fetchedPartition({ batches: [numberedBatch(0, 3)] })
    expect(spans(await chunksOf(fetched, { ...ROOMY, maxBytes: 1 }))).toEqual([
      [0, 1, 1],
      [1, 2, 1],
      [2, 3, 1],
    ])
  })

  test('are a single one without records if the fetch covers only offsets', async () => {
    const fetched = fetchedPartition({ position: 4, batches: [numberedBatch(4, 0, { lastOffsetDelta: 5 })] })
    expect(spans(await chunksOf(fetched))).toEqual([[4, 10, 0]])
  })

  test('are a single one without offsets if the log begins again', async () => {
    const fetched = fetchedPartition({ position: 40, batches: [], earliest: 5 })
    expect(spans(await chunksOf(fetched))).toEqual([[5, 5, 0]])
  })

  test('omit records before the requested offset', async () => {
    const fetched = fetchedPartition({ position: 3, batches: [numberedBatch(0, 5)] })
    const [chunk] = await chunksOf(fetched)
    expect(chunk?.records.map(({ offset }) => offset)).toEqual([3, 4])
  })

  test('list a batch that cannot be decoded, beside the records of its neighbours', async () => {
    const corrupt = encodeBatch(numberedBatch(2, 3, { codec: 'snappy' }))
    withChecksum(corrupt.fill(0xff, 61))
    const fetched = fetchedPartition({ batches: [numberedBatch(0, 2), corrupt, numberedBatch(5, 1)] })
    const [chunk, ...others] = await chunksOf(fetched)
    expect([others, chunk?.position, chunk?.next]).toEqual([[], 0, 6])
    expect(chunk?.records.map(({ offset }) => offset)).toEqual([0, 1, 5])
    expect(chunk?.undecodable).toEqual([
      {
        firstOffset: 2,
        records: 3,
        codec: 'snappy',
        detail: expect.stringContaining('snappy'),
        bytes: corrupt,
      },
    ])
  })

  test('cover every offset once and hold every record once, whatever the limits', async () => {
    const sizes = fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 3 })), {
      maxLength: 6,
    })
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1, max: 5 }), async (batches, maxRecords) => {
        let end = 0
        const encoded = batches.map(([count, gap]) => {
          const batch = numberedBatch(end, count, { lastOffsetDelta: count + gap })
          end += count + gap + 1
          return batch
        })
        const chunks = await chunksOf(fetchedPartition({ batches: encoded }), { ...ROOMY, maxRecords })
        const ends = chunks.map(({ next }) => next)
        expect(chunks.map(({ position }) => position)).toEqual([0, ...ends].slice(0, chunks.length))
        expect(ends.at(-1) ?? 0).toBe(end)
        const records = chunks.flatMap((chunk) => chunk.records)
        expect(records.map(({ value }) => Number(value))).toEqual(records.map(({ offset }) => offset))
        expect(records).toHaveLength(batches.reduce((sum, [count]) => sum + count, 0))
        for (const chunk of chunks) expect(chunk.records.length).toBeLessThanOrEqual(maxRecords)
      }),
    )
  })
})

describe('decoded bytes', () => {
  test('are bounded: a lane waits until others have released theirs', async () => {
    const held = new DecodedBytes(10)
    const order: string[] = []
    const decode = (name: string, bytes: number) =>
      held.hold(async () => {
        order.push(name)
        return { bytes }
      }, false)
    await decode('a', 8)
    await decode('b', 8)
    const third = decode('c', 1)
    await Promise.resolve()
    expect(order).toEqual(['a', 'b'])
    held.release(8)
    await third
    expect(order).toEqual(['a', 'b', 'c'])
  })

  test('never make lanes wait for each other: a chunk ends early where there is no room', async () => {
    const held = new DecodedBytes(20)
    const lanes = [0, 1].map(async (partition) => {
      const fetched = fetchedPartition({
        partition,
        batches: [numberedBatch(0, 3), numberedBatch(3, 3), numberedBatch(6, 3)],
      })
      const chunks: DecodedChunk['chunk'][] = []
      for await (const { bytes, chunk } of decodeChunks(fetched, ROOMY, held)) {
        chunks.push(chunk)
        await Promise.resolve()
        held.release(bytes)
      }
      return chunks
    })
    for (const chunks of await Promise.all(lanes)) {
      expect(chunks.length).toBeGreaterThan(1)
      expect(chunks.flatMap(({ records }) => records.map(({ offset }) => Number(offset)))).toEqual([
        ...Array(9).keys(),
      ])
      expect(chunks.map(({ position }) => position)).toEqual(
        [0, ...chunks.map(({ next }) => next)].slice(0, -1),
      )
    }
  })

  test('of an abandoned fetch are released', async () => {
    const held = new DecodedBytes(1)
    for await (const { bytes } of decodeChunks(
      fetchedPartition({ batches: [numberedBatch(0, 9)] }),
      { ...ROOMY, maxRecords: 2 },
      held,
    )) {
      held.release(bytes)
      break
    }
    await expect(held.hold(async () => ({ bytes: 0 }), false)).resolves.toEqual({ bytes: 0 })
  })

  test('cover exactly the offsets of a fetch, with each record once and in its place, whatever byte of a batch is damaged', async () => {
    const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
    const damages = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 4,
    })
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...codecs), damages, async (codec, bytes) => {
        const damaged = encodeBatch(numberedBatch(3, 20, { codec }))
        // After the fields that the broker itself reads: offsets and the number of records stay.
        for (const [at, byte] of bytes) damaged[61 + (at % (damaged.length - 61))] = byte
        withChecksum(damaged)
        const fetched = fetchedPartition({ batches: [numberedBatch(0, 3), damaged, numberedBatch(23, 2)] })
        const chunks = await chunksOf(fetched, { ...ROOMY, maxRecords: 4 })
        expect(chunks.map(({ position }) => position)).toEqual([
          0,
          ...chunks.slice(0, -1).map(({ next }) => next),
        ])
        expect(chunks.at(-1)?.next).toBe(25)
        const offsets = chunks.flatMap(({ records }) => records.map(({ offset }) => offset))
        const lost = chunks.flatMap(({ undecodable = [] }) =>
          undecodable.flatMap(({ firstOffset, records }) =>
            Array.from({ length: records }, (__, i) => firstOffset + i),
          ),
        )
        expect([...offsets, ...lost].toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: 25 }, (__, i) => i),
        )
      }),
      { numRuns: 150 },
    )
  }, 60_000)
})
