import { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { DEVICE_STREAM_KEY, UPDATE_STREAM_KEY } from '../../../../shared/contract/keys.ts'
import {
  BEFORE_ALL,
  type EventPosition,
  type StreamName,
} from '../../../../cache-service/core/events/event-position.ts'
import {
  gapFields,
  hintFields,
  type StreamEvent,
} from '../../../../cache-service/core/events/stream-entry.ts'
import { LoopMonitor } from '../../../../cache-service/lifecycle/loops.ts'
import { EventFollower } from '../../../../cache-service/redis/events/event-follower.ts'
import {
  createEventStreams,
  createHintAppender,
} from '../../../../cache-service/redis/events/event-streams.ts'
import { eventually } from '../../../support/eventually.ts'
import { startOwnRedis, type OwnRedis, type OwnRedisOptions } from '../../../support/servers/servers.ts'

describe('the follower', () => {
  test('follows both streams from their end, and its position is that of the last reported event', async () => {
    const { redis, server } = await ownRedis()
    await appendUpdate(redis, 0)
    const followed = await follow(server)
    await appendUpdate(redis, 1)
    const device = await redis.xadd(DEVICE_STREAM_KEY, '*', ...hintFields('changed', ['a'], 0))
    const update = await appendUpdate(redis, 2)
    await eventually(() => expect(followed.events).toHaveLength(3))
    expect(followed.updates()).toEqual([1, 2])
    expect(followed.follower.position).toEqual({ update, device })
    expect(followed.events[1]).toEqual({
      stream: 'device',
      entry: { id: device, kind: 'changed', deviceIds: ['a'], more: 0 },
    })
  })

  test('ignores entries that the service did not write', async () => {
    const { redis, server } = await ownRedis()
    const followed = await follow(server)
    await redis.xadd(UPDATE_STREAM_KEY, '*', 'something', 'else')
    await redis.xadd(UPDATE_STREAM_KEY, '*', 'kind', 'update', 'type', 'x', 'json', '{}\n\nevent: forged')
    await redis.xadd(DEVICE_STREAM_KEY, '*', 'kind', 'changed', 'ids', '{"a":1}')
    await redis.xadd(UPDATE_STREAM_KEY, '*', ...gapFields('takeover'))
    await eventually(() => expect(followed.events).toMatchObject([{ entry: { kind: 'gap' } }]))
  })

  test('reports every event once across lost connections if the streams still exist', async () => {
    const { redis, server } = await ownRedis()
    const followed = await follow(server)
    for (let n = 0; n < 200; n++) {
      await appendUpdate(redis, n)
      if (n % 50 === 10) await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    }
    await eventually(() => expect(followed.updates()).toEqual(Array.from({ length: 200 }, (_, n) => n)))
    expect(followed.resets).toEqual([])
  })

  test('reports a reset after an outage if its position is no longer in the stream', async () => {
    const { redis, server } = await ownRedis()
    const followed = await follow(server)
    await appendUpdate(redis, 0)
    await eventually(() => expect(followed.updates()).toEqual([0]))
    await server.kill('SIGKILL')
    await eventually(() => expect(followed.follower.notReadyReasons()).toHaveLength(1))
    await server.restart()
    await eventually(() => expect(followed.resets).toEqual([['update']]))
    await eventually(() => expect(followed.follower.notReadyReasons()).toEqual([]))
    await appendUpdate(redis, 1)
    await eventually(() => expect(followed.updates()).toEqual([0, 1]))
  })

  test('starts without Redis, and follows as soon as Redis is available', async () => {
    const { redis, server } = await ownRedis()
    await server.kill('SIGKILL')
    const followed = await follow(server, false)
    expect(followed.follower.notReadyReasons()).toHaveLength(1)
    expect(followed.follower.position).toBeUndefined()
    await server.restart()
    await eventually(() =>
      expect(followed.follower.position).toEqual({ update: BEFORE_ALL, device: BEFORE_ALL }),
    )
    await appendUpdate(redis, 1)
    await eventually(() => expect(followed.updates()).toEqual([1]))
    expect(followed.resets).toEqual([])
  })

  test('reports a reset if entries were trimmed before it read them', async () => {
    const { redis, server } = await ownRedis()
    await appendUpdate(redis, 0)
    const followed = await follow(server)
    // One transaction, so that the follower cannot read in between: more entries than one read returns, and the oldest
    // ones are already trimmed.
    const transaction = redis.multi()
    for (let n = 1; n <= 1_000; n++) transaction.xadd(UPDATE_STREAM_KEY, '*', ...updateFields(n))
    transaction.xtrim(UPDATE_STREAM_KEY, 'MAXLEN', 600)
    await transaction.exec()
    await eventually(() => expect(followed.updates().at(-1)).toBe(1_000))
    expect(followed.resets).toEqual([['update']])
    expect(followed.updates()).toEqual(Array.from({ length: 600 }, (_, n) => n + 401))
  })
})

describe('reading from a position', () => {
  test('proceeds page by page, and detects that the position is no longer in the stream', async () => {
    const { redis } = await ownRedis()
    const streams = createEventStreams(redis)
    expect(await streams.end()).toEqual({ update: BEFORE_ALL, device: BEFORE_ALL })
    expect(await streams.read('update', BEFORE_ALL, '+', 10)).toEqual({ entries: [], next: BEFORE_ALL })
    const ids: string[] = []
    for (let n = 0; n < 25; n++) ids.push(await appendUpdate(redis, n))
    const first = await streams.read('update', BEFORE_ALL, '+', 10)
    expect(first?.entries.map(({ id }) => id)).toEqual(ids.slice(0, 10))
    expect(first?.next).toBe(ids[9])
    const upTo = await streams.read('update', ids[9] ?? '', ids[12] ?? '', 10)
    expect(upTo?.entries.map(({ id }) => id)).toEqual(ids.slice(10, 13))
    await redis.xtrim(UPDATE_STREAM_KEY, 'MAXLEN', 5)
    expect(await streams.read('update', ids[9] ?? '', '+', 10)).toBeUndefined()
    expect(await streams.read('update', BEFORE_ALL, '+', 10)).toBeUndefined()
    expect(await streams.read('update', ids[24] ?? '', '+', 10)).toEqual({ entries: [], next: ids[24] })
    await redis.del(UPDATE_STREAM_KEY)
    expect(await streams.read('update', ids[24] ?? '', '+', 10)).toBeUndefined()
  })

  test('is bounded by the length of the device stream', async () => {
    const { redis } = await ownRedis()
    const appender = createHintAppender(redis)
    for (let n = 0; n < 2_000; n++) void appender.hint('changed', [`device-${n}`], 0)
    await appender.gap('rebuild')
    expect(await redis.xlen(DEVICE_STREAM_KEY)).toBeLessThan(1_200)
  })
})

async function ownRedis(options: OwnRedisOptions = {}) {
  const server = await startOwnRedis(options)
  onTestFinished(() => server.stop())
  const redis = new Redis(server.url, { retryStrategy: () => 50 })
  redis.on('error', () => undefined)
  onTestFinished(() => redis.disconnect())
  return { server, redis }
}

async function follow(server: OwnRedis, isAvailable = true) {
  const redis = new Redis(server.url, {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    retryStrategy: () => 50,
    socketTimeout: 2_000,
  })
  redis.on('error', () => undefined)
  const stop = new AbortController()
  const follower = new EventFollower({
    redis,
    blockMs: 500,
    failed: () => undefined,
    monitor: new LoopMonitor(() => Date.now()),
    random: () => 0.5,
  })
  const events: StreamEvent[] = []
  const resets: StreamName[][] = []
  let position: EventPosition | undefined
  follower.follow({
    events(some, from) {
      if (resets.length === 0 && position !== undefined) expect(from).toEqual(position)
      position = follower.position
      events.push(...some)
    },
    reset: (streams) => resets.push([...streams]),
  })
  const ended = follower.run(stop.signal)
  onTestFinished(async () => {
    stop.abort()
    await ended
  })
  if (isAvailable) await eventually(() => expect(follower.position).toBeDefined())
  const updates = () => events.flatMap(({ entry }) => (entry.kind === 'update' ? [Number(entry.json)] : []))
  return { follower, events, resets, updates }
}

function updateFields(n: number): string[] {
  return ['kind', 'update', 'type', 'inventory', 'json', String(n)]
}

async function appendUpdate(redis: Redis, n: number): Promise<string> {
  return String(await redis.xadd(UPDATE_STREAM_KEY, '*', ...updateFields(n)))
}
