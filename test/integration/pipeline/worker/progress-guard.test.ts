import { setTimeout } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type { GroupPosition, PartitionOffsets } from '../../../../cache-service/kafka/partition-offsets.ts'
import {
  ProgressGuard,
  type GuardTelemetry,
} from '../../../../cache-service/pipeline/worker/progress-guard.ts'
import {
  createProgressStore,
  requestRebuild,
} from '../../../../cache-service/redis/workers/group-progress.ts'
import type { ProgressStore } from '../../../../cache-service/redis/workers/progress-store.ts'
import { kafkaError, redisError } from '../../../../shared/errors.ts'
import { progressKey } from '../../../../shared/contract/keys.ts'
import { eventually } from '../../../support/eventually.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

const KEY = progressKey('group', 'topic')

let database: RedisDatabase
let redis: Redis

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  redis = database.client
})
beforeEach(() => redis.flushdb())
afterAll(() => database.release())

/** Kafka's partitions and the group's commits, for the test to change. */
type Kafka = Record<number, Partial<GroupPosition>>

function setUp(kafka: Kafka, decorate: (store: ProgressStore) => ProgressStore = (store) => store) {
  const said: string[] = []
  const rebuildingChanges: boolean[] = []
  const world = {
    kafka,
    kafkaReads: 0,
    isKafkaDown: false,
    saidRebuilding: undefined as boolean | undefined,
    readingKafka: (): unknown => undefined,
  }
  const offsets: PartitionOffsets = {
    async read() {
      world.kafkaReads++
      world.readingKafka()
      if (world.isKafkaDown) throw kafkaError(new Error('Connection error: connect ECONNREFUSED'))
      const positions = Object.entries(world.kafka).map(([partition, position]): [number, GroupPosition] => [
        Number(partition),
        { committed: undefined, earliest: 0, end: 0, ...position },
      ])
      return new Map(positions)
    },
    disconnect: async () => undefined,
  }
  const telemetry: GuardTelemetry = {
    cacheLost: (partition, stored, position, rewindTo) =>
      said.push(`${partition} lost: stored ${stored}, at ${position}, from ${rewindTo}`),
    rebuildRequested: (partition, position, rewindTo) =>
      said.push(`${partition} requested: at ${position}, from ${rewindTo}`),
    firstFill: (partition, until) => said.push(`${partition} first fill until ${until}`),
    rebuilt: (partition, offset) => said.push(`${partition} rebuilt at ${offset}`),
    progressOverwritten: (partition, stored, position) =>
      said.push(`${partition} overwritten: stored ${stored}, at ${position}`),
    rebuilding: (yes) => (world.saidRebuilding = yes),
  }
  const store = decorate(createProgressStore(redis, 'group', 'topic'))
  const guard = new ProgressGuard(store, offsets, telemetry, (yes) => rebuildingChanges.push(yes))
  guard.assigned(Object.keys(kafka).map(Number))

  const chunk = (partition: number, position: number, next: number) => ({
    partition,
    position,
    next,
    records: [],
  })
  /** What the pipeline does, without writing the chunk. */
  async function apply(partition: number, position: number, next: number) {
    const applied = chunk(partition, position, next)
    const before = await guard.beforeChunk(applied)
    return before.kind === 'in_step' ? await guard.afterChunk(applied) : before
  }
  async function check() {
    const rewinds: [partition: number, to: number][] = []
    await guard.check((partition, to) => rewinds.push([partition, to]))
    return rewinds
  }
  return { guard, said, rebuildingChanges, world, chunk, apply, check }
}

const IN_STEP = { kind: 'in_step' }
const ABANDONED = { kind: 'abandoned' }
const rewind = (to: number) => ({ kind: 'rewind', to })
const stored = () => redis.hgetall(KEY)

describe('a topic that was created again while the worker runs', () => {
  // A chunk without offsets is where the new log begins.
  test('is followed from its beginning, although Redis holds the progress of the earlier one', async () => {
    await redis.hset(KEY, '0', '50')
    const { apply, check, said, world } = setUp({ 0: { committed: 50, end: 60 } })
    await apply(0, 50, 60)
    world.kafka[0] = { committed: 60, end: 3 }
    expect(await apply(0, 0, 0)).toEqual(IN_STEP)
    expect(await apply(0, 0, 3)).toEqual(IN_STEP)
    expect(await check()).toEqual([])
    expect(await stored()).toEqual({ '0': '3' })
    expect(said).toEqual(['0 overwritten: stored 60, at 0'])
  })

  test('is read from its beginning, although a chunk of the earlier one is still to be written', async () => {
    await redis.hset(KEY, '0', '50')
    const { apply, guard, said, world } = setUp({ 0: { committed: 50, end: 60 } })
    await apply(0, 50, 60)
    await redis.flushdb()
    world.kafka[0] = { end: 0 }
    expect(await apply(0, 60, 70)).toEqual(rewind(0))
    expect(guard.isRebuilding).toBe(false)
    world.kafka[0] = { end: 3 }
    expect(await apply(0, 0, 3)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '3' })
    expect(said).toEqual(['0 overwritten: stored undefined, at 0'])
  })

  test('found by a check, lets the chunk of the earlier one that is being written advance nothing (G3)', async () => {
    await redis.hset(KEY, '0', '50')
    const { apply, check, chunk, guard, world } = setUp({ 0: { committed: 50, end: 70 } })
    await apply(0, 50, 60)
    const written = chunk(0, 60, 70)
    expect(await guard.beforeChunk(written)).toEqual(IN_STEP)
    await redis.flushdb()
    world.kafka[0] = { end: 3 }
    expect(await check()).toEqual([[0, 0]])
    expect(await guard.afterChunk(written)).toEqual(ABANDONED)
    expect(await apply(0, 0, 3)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '3' })
  })

  test('found by a check, lets no chunk of the earlier one through that waits for its turn (G3)', async () => {
    await redis.hset(KEY, '0', '50')
    const { apply, check, chunk, guard, world } = setUp({ 0: { committed: 50, end: 70 } })
    await apply(0, 50, 60)
    await redis.flushdb()
    world.kafka[0] = { end: 3 }
    const { promise: hasBegun, resolve: begin } = Promise.withResolvers<void>()
    // The check reads the end once more when its turn has come.
    const reads = world.kafkaReads
    world.readingKafka = () => world.kafkaReads === reads + 2 && begin()
    const checked = check()
    await hasBegun
    const waiting = guard.beforeChunk(chunk(0, 60, 70))
    expect(await checked).toEqual([[0, 0]])
    expect(await waiting).toEqual(ABANDONED)
  })

  test.each([4, 2])('ends a rebuild of the earlier one, which had got to %i', async (progress) => {
    const { apply, guard, world } = setUp({ 0: { end: 10 } })
    await apply(0, 0, progress)
    expect(await stored()).toEqual({ '0': String(progress), '0:until': '10' })
    world.kafka[0] = { end: 3 }
    expect(await apply(0, 0, 0)).toEqual(IN_STEP)
    expect(await apply(0, 0, 3)).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(false)
    expect(await stored()).toEqual({ '0': '3' })
  })
})

describe('a worker in step with Redis', () => {
  test('continues where its predecessor stopped, and reports nothing', async () => {
    await redis.hset(KEY, '0', '50')
    const { apply, guard, said } = setUp({ 0: { committed: 50, end: 100 } })
    expect(await apply(0, 50, 60)).toEqual(IN_STEP)
    expect(await apply(0, 60, 70)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '70' })
    expect(said).toEqual([])
    expect(guard.isRebuilding).toBe(false)
  })

  test('reads the offsets from Kafka once, before the first chunk', async () => {
    await redis.hset(KEY, '0', '50')
    const { apply, check, world } = setUp({ 0: { committed: 50, end: 100 } })
    for (let at = 50; at < 100; at += 10) await apply(0, at, at + 10)
    expect(await check()).toEqual([])
    expect(world.kafkaReads).toBe(1)
  })

  test('does not advance the progress of a server that it reached by another connection than the chunk (G2)', async () => {
    await redis.hset(KEY, '0', '50')
    const { chunk, guard } = setUp({ 0: { committed: 50, end: 100 } })
    const written = chunk(0, 50, 60)
    expect(await guard.beforeChunk(written)).toEqual(IN_STEP)
    // The server may be a replica that lacks the chunk, although its progress is that of the chunk before.
    expect(await guard.afterChunk(written, false, () => false)).toEqual(ABANDONED)
    expect(await stored()).toEqual({ '0': '50' })
    expect(await guard.beforeChunk(written)).toEqual(IN_STEP)
    expect(await guard.afterChunk(written, false, () => true)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '60' })
  })

  test('repeats records if its commit lags behind, without taking progress back (G5)', async () => {
    await redis.hset(KEY, '0', '80')
    const { apply, said } = setUp({ 0: { committed: 50, end: 100 } })
    expect(await apply(0, 50, 60)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '80' })
    expect(await apply(0, 60, 90)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '90' })
    expect(said).toEqual([])
  })

  test('keeps the progress of each partition apart', async () => {
    await redis.hset(KEY, '0', '50', '1', '7')
    const { apply } = setUp({ 0: { committed: 50, end: 100 }, 1: { committed: 7, end: 9 } })
    expect(await apply(1, 7, 9)).toEqual(IN_STEP)
    expect(await apply(0, 50, 51)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '51', '1': '9' })
  })
})

describe('the first fill of a cache', () => {
  test('is a rebuild up to the end that the partition had at its start', async () => {
    const { apply, guard, said, world } = setUp({ 0: { end: 100 } })
    expect(await apply(0, 0, 40)).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(true)
    expect(world.saidRebuilding).toBe(true)
    expect(await stored()).toEqual({ '0': '40', '0:until': '100' })
    world.kafka[0] = { end: 500 }
    expect(await apply(0, 40, 99)).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(true)
    expect(await apply(0, 99, 120)).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(false)
    expect(world.saidRebuilding).toBe(false)
    expect(await stored()).toEqual({ '0': '120' })
    expect(said).toEqual(['0 first fill until 100', '0 rebuilt at 120'])
  })

  test('starts at the earliest record that Kafka has', async () => {
    const { apply, said } = setUp({ 0: { earliest: 30, end: 100 } })
    expect(await apply(0, 30, 100)).toEqual(IN_STEP)
    expect(said).toEqual(['0 first fill until 100', '0 rebuilt at 100'])
  })

  test('is no rebuild if the topic is empty', async () => {
    const { apply, guard, said, check, world } = setUp({ 0: { end: 0 } })
    expect(await check()).toEqual([])
    world.kafka[0] = { end: 1 }
    expect(guard.isRebuilding).toBe(false)
    expect(await apply(0, 0, 1)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '1' })
    expect(said.filter((line) => line.includes('lost'))).toEqual([])
  })
})

describe('a Redis that is empty when the partition is assigned', () => {
  test('is filled again from the earliest record before any other chunk counts', async () => {
    const { apply, guard, said } = setUp({ 0: { committed: 100, earliest: 20, end: 150 } })
    expect(await apply(0, 100, 110)).toEqual(rewind(20))
    expect(guard.isRebuilding).toBe(true)
    expect(await stored()).toEqual({ '0:until': '150' })
    expect(await apply(0, 20, 60)).toEqual(IN_STEP)
    expect(await apply(0, 60, 149)).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(true)
    expect(await apply(0, 149, 150)).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(false)
    expect(await stored()).toEqual({ '0': '150' })
    expect(said).toEqual(['0 lost: stored undefined, at 100, from 20', '0 rebuilt at 150'])
  })

  test('is noticed by the periodic check if no chunk comes', async () => {
    const { check, guard, said, apply } = setUp({ 0: { committed: 100, end: 100 }, 1: { end: 0 } })
    expect(await check()).toEqual([[0, 0]])
    expect(guard.isRebuilding).toBe(true)
    expect(said).toEqual(['0 lost: stored undefined, at 100, from 0'])
    expect(await apply(0, 0, 100)).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(false)
  })

  test('is left alone if Kafka has no records to fill it with', async () => {
    const { check, guard, said } = setUp({ 0: { committed: 100, earliest: 100, end: 100 } })
    expect(await check()).toEqual([])
    expect(await stored()).toEqual({ '0': '100' })
    expect(guard.isRebuilding).toBe(false)
    expect(said).toEqual([])
  })
})

describe('a Redis restored from an older snapshot', () => {
  test.each([
    ['its stored progress', 0, 40],
    ['the earliest record, if that is later', 70, 70],
  ])('is refilled from %s', async (_, earliest, to) => {
    await redis.hset(KEY, '0', '40')
    const { apply, said } = setUp({ 0: { committed: 100, earliest, end: 150 } })
    expect(await apply(0, 100, 110)).toEqual(rewind(to))
    expect(said).toEqual([`0 lost: stored 40, at 100, from ${to}`])
    expect(await apply(0, to, 150)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '150' })
  })
})

describe('a Redis that loses data between two chunks', () => {
  test('rewinds the partition to its start if everything is lost, and the chunk does not count (G2)', async () => {
    const { apply, guard, said, world } = setUp({ 0: { end: 100 } })
    await apply(0, 0, 100)
    await redis.flushdb()
    world.kafka[0] = { end: 110 }
    expect(await apply(0, 100, 110)).toEqual(rewind(0))
    expect(await redis.hget(KEY, '0')).toBeNull()
    expect(guard.isRebuilding).toBe(true)
    expect(await apply(0, 0, 110)).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(false)
    expect(said.slice(2)).toEqual(['0 lost: stored undefined, at 110, from 0', '0 rebuilt at 110'])
  })

  test('rewinds the partition to the progress that is left', async () => {
    const { apply, world } = setUp({ 0: { end: 100 } })
    await apply(0, 0, 100)
    await redis.hset(KEY, '0', '60')
    world.kafka[0] = { end: 110 }
    expect(await apply(0, 100, 110)).toEqual(rewind(60))
    expect(await apply(0, 60, 110)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '110' })
  })

  test('ignores chunks that were fetched before the rewind (G3)', async () => {
    const { apply } = setUp({ 0: { end: 300 } })
    await apply(0, 0, 100)
    await redis.flushdb()
    expect(await apply(0, 100, 110)).toEqual(rewind(0))
    expect((await apply(0, 110, 120)).kind).not.toBe('in_step')
    expect(await redis.hget(KEY, '0')).toBeNull()
    expect(await apply(0, 0, 50)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '50', '0:until': expect.any(String) })
  })

  test('accepts the chunk at its second attempt if Kafka no longer has the lost records', async () => {
    const { apply, said, world } = setUp({ 0: { end: 100 } })
    await apply(0, 0, 100)
    await redis.flushdb()
    world.kafka[0] = { earliest: 110, end: 110 }
    expect(await apply(0, 100, 110)).toEqual(ABANDONED)
    expect(await apply(0, 100, 110)).toEqual(IN_STEP)
    expect(said.filter((line) => line.includes('lost'))).toEqual([])
  })

  test('is noticed by the periodic check for idle partitions, once (G10)', async () => {
    const { apply, check, said } = setUp({ 0: { end: 100 }, 1: { end: 50 }, 2: { end: 0 } })
    await apply(0, 0, 100)
    await apply(1, 0, 50)
    expect(await check()).toEqual([])
    await redis.flushdb()
    expect(await check()).toEqual([
      [0, 0],
      [1, 0],
    ])
    expect(await check()).toEqual([])
    expect(said.filter((line) => line.includes('lost'))).toHaveLength(2)
    await apply(0, 0, 100)
    await redis.hdel(KEY, '0')
    expect(await check()).toEqual([[0, 0]])
  })

  test('leaves the other partitions alone', async () => {
    const { apply, check } = setUp({ 0: { end: 100 }, 1: { end: 50 } })
    await apply(0, 0, 100)
    await apply(1, 0, 50)
    await redis.hset(KEY, '1', '20')
    expect(await check()).toEqual([[1, 20]])
  })

  test('is noticed by the next check if Redis refuses the mark of the rebuild (G8)', async () => {
    let refusals = 1
    const refusingOnce = (store: ProgressStore): ProgressStore => ({
      ...store,
      async markRebuild(...args) {
        if (refusals-- > 0) throw redisError(new Error('LOADING Redis is loading the dataset in memory'))
        await store.markRebuild(...args)
      },
    })
    await redis.hset(KEY, '0', '100')
    const { apply, check } = setUp({ 0: { committed: 100, end: 110 } }, refusingOnce)
    await apply(0, 100, 110)
    await redis.flushdb()
    await expect(check()).rejects.toMatchObject({ code: 'LOADING' })
    expect(await check()).toEqual([[0, 0]])
  })
})

describe('a loss that a check finds while a chunk is being written', () => {
  test('lets that chunk advance nothing, and rewinds the partition once (G3)', async () => {
    const { promise: marking, resolve: beginMark } = Promise.withResolvers<void>()
    const { promise: mayMark, resolve: allowMark } = Promise.withResolvers<void>()
    const markingSlowly = (store: ProgressStore): ProgressStore => ({
      ...store,
      async markRebuild(...args) {
        beginMark()
        await mayMark
        await store.markRebuild(...args)
      },
    })
    await redis.hset(KEY, '0', '100')
    const { guard, chunk, check, said } = setUp({ 0: { committed: 100, end: 110 } }, markingSlowly)
    const written = chunk(0, 100, 110)
    expect(await guard.beforeChunk(written)).toEqual(IN_STEP)
    await redis.flushdb()
    const checking = check()
    await marking
    const after = guard.afterChunk(written)
    allowMark()
    expect(await after).toEqual(ABANDONED)
    expect(await redis.hget(KEY, '0')).toBeNull()
    expect(await checking).toEqual([[0, 0]])
    expect(said).toEqual(['0 lost: stored undefined, at 100, from 0'])
  })
})

describe('progress of an earlier topic of the same name', () => {
  test('is overwritten, and does not count as a loss', async () => {
    await redis.hset(KEY, '0', '500', '0:until', '600')
    const { apply, guard, said } = setUp({ 0: { end: 10 } })
    expect(await apply(0, 0, 3)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '3' })
    expect(guard.isRebuilding).toBe(false)
    expect(said).toEqual(['0 overwritten: stored 500, at 0'])
  })
})

test('progress that came after the end of the partition was read is not that of an earlier topic', async () => {
  const { promise: loaded, resolve: answer } = Promise.withResolvers<void>()
  const { promise: loading, resolve: begin } = Promise.withResolvers<void>()
  let loads = 0
  await redis.hset(KEY, '0', '10', '0:until', '10')
  const { check, said, world } = setUp({ 0: { committed: 10, end: 10 } }, (store) => ({
    ...store,
    async load(partitions) {
      if (++loads === 2) {
        begin()
        await loaded
      }
      return await store.load(partitions)
    },
  }))
  const checking = check()
  await loading
  world.kafka[0] = { committed: 20, end: 20 }
  await redis.hset(KEY, '0', '20')
  answer()
  expect(await checking).toEqual([])
  expect(await stored()).toEqual({ '0': '20' })
  expect(said).toEqual([])
})

describe('progress that another worker has advanced further', () => {
  test('is no loss, and is not taken back', async () => {
    const { apply, said } = setUp({ 0: { end: 10 } })
    await apply(0, 0, 10)
    await redis.hset(KEY, '0', '30')
    expect(await apply(0, 10, 20)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '30' })
    expect(await apply(0, 20, 40)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '40' })
    expect(said.filter((line) => line.includes('lost'))).toEqual([])
  })
})

test('progress that another worker has advanced, and that is lost before it is read, is not written again (G2)', async () => {
  const losingAfterAdvance = (store: ProgressStore): ProgressStore => ({
    ...store,
    async advance(...args) {
      const instead = await store.advance(...args)
      if (instead?.next === 15) await redis.flushdb()
      return instead
    },
  })
  const { apply } = setUp({ 0: { end: 30 } }, losingAfterAdvance)
  await apply(0, 0, 10)
  await redis.hset(KEY, '0', '15')
  expect(await apply(0, 10, 20)).toEqual(rewind(0))
  expect(await redis.hget(KEY, '0')).toBeNull()
})

describe('a partition that is assigned to another worker', () => {
  test('while a chunk is being written discards that chunk', async () => {
    await redis.hset(KEY, '0', '50')
    const { guard, chunk } = setUp({ 0: { committed: 50, end: 100 } })
    const written = chunk(0, 50, 60)
    expect(await guard.beforeChunk(written)).toEqual(IN_STEP)
    guard.assigned([1])
    expect(await guard.afterChunk(written)).toEqual(ABANDONED)
    expect(await stored()).toEqual({ '0': '50' })
  })

  test('and back, discards a chunk of the earlier generation (G1)', async () => {
    await redis.hset(KEY, '0', '50')
    const { guard, chunk, apply } = setUp({ 0: { committed: 50, end: 100 } })
    const written = chunk(0, 50, 60)
    await guard.beforeChunk(written)
    guard.assigned([0])
    expect(await guard.afterChunk(written)).toEqual(ABANDONED)
    expect(await stored()).toEqual({ '0': '50' })
    expect(await apply(0, 50, 60)).toEqual(IN_STEP)
  })

  test('and back, discards a chunk of the earlier generation that ends beside the new one (G1)', async () => {
    const { promise: unmarked, resolve: unmark } = Promise.withResolvers<void>()
    await redis.hset(KEY, '0', '0', '0:until', '10')
    const { apply, check, guard, chunk } = setUp({ 0: { committed: 0, end: 10 } }, (store) => ({
      ...store,
      async markRebuild(partition, until) {
        await unmarked
        await store.markRebuild(partition, until)
      },
    }))
    const written = chunk(0, 0, 2)
    expect(await guard.beforeChunk(written)).toEqual(IN_STEP)
    guard.assigned([0])
    const last = apply(0, 0, 10)
    await eventually(async () => expect(await stored()).toMatchObject({ '0': '10' }))
    const after = guard.afterChunk(written)
    unmark()
    expect(await after).toEqual(ABANDONED)
    expect(await last).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(false)
    expect(await check()).toEqual([])
    expect(await stored()).toEqual({ '0': '10' })
  })

  test('and back, does not replace what the new generation has written by what the earlier one writes late (G5)', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const waits = [released]
    const { apply, guard } = setUp({ 0: { end: 10 } }, (store) => ({
      ...store,
      async overwrite(partition, expected, next) {
        await waits.pop()
        await store.overwrite(partition, expected, next)
      },
    }))
    const earlier = apply(0, 0, 4)
    await eventually(async () => expect(await stored()).toMatchObject({ '0:until': '10' }))
    guard.assigned([0])
    const last = apply(0, 0, 10)
    await Promise.race([last, setTimeout(200)])
    release()
    expect(await earlier).toEqual(ABANDONED)
    expect(await last).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '10' })
  })

  test('accepts no chunk from this one', async () => {
    const { apply, check } = setUp({ 0: { committed: 50, end: 100 } })
    expect(await apply(7, 0, 10)).toEqual(ABANDONED)
    expect(await check()).toEqual([[0, 0]])
  })

  test('no longer makes this one report a rebuild', async () => {
    const { apply, guard, world } = setUp({ 0: { end: 100 } })
    await apply(0, 0, 10)
    expect(guard.isRebuilding).toBe(true)
    guard.assigned([])
    expect(guard.isRebuilding).toBe(false)
    expect(world.saidRebuilding).toBe(false)
  })
})

describe('a rebuild', () => {
  test('outlives the worker that started it, and ends with the worker that completes it (G6)', async () => {
    const first = setUp({ 0: { committed: 100, end: 100 } })
    expect(await first.apply(0, 100, 101)).toEqual(rewind(0))
    await first.apply(0, 0, 40)

    const second = setUp({ 0: { committed: 40, end: 100 } })
    expect(second.guard.isRebuilding).toBe(false)
    expect(await second.apply(0, 40, 60)).toEqual(IN_STEP)
    expect(second.guard.isRebuilding).toBe(true)
    expect(second.said).toEqual([])
    await second.apply(0, 60, 100)
    expect(second.said).toEqual(['0 rebuilt at 100'])

    const third = setUp({ 0: { committed: 100, end: 110 } })
    await third.apply(0, 100, 110)
    expect(third.guard.isRebuilding).toBe(false)
    expect(await stored()).toEqual({ '0': '110' })
  })

  test('of an idle partition is found by the first check of the next worker', async () => {
    await redis.hset(KEY, '0', '40', '0:until', '100')
    const { check, guard } = setUp({ 0: { committed: 40, end: 100 } })
    expect(await check()).toEqual([])
    expect(guard.isRebuilding).toBe(true)
  })

  test('is over if its worker died after completing it', async () => {
    await redis.hset(KEY, '0', '100', '0:until', '100')
    const { check, guard } = setUp({ 0: { committed: 100, end: 100 } })
    expect(await check()).toEqual([])
    expect(guard.isRebuilding).toBe(false)
  })

  test('keeps its end if its data is lost again (G7)', async () => {
    const { apply, guard } = setUp({ 0: { committed: 100, end: 100 } })
    await apply(0, 100, 101)
    await apply(0, 0, 40)
    await redis.del(KEY)
    expect(await apply(0, 40, 60)).toEqual(rewind(0))
    await apply(0, 0, 60)
    expect(guard.isRebuilding).toBe(true)
    await apply(0, 60, 100)
    expect(guard.isRebuilding).toBe(false)
  })

  test('keeps its end if its data and its mark are lost while the next worker has only a commit (G7)', async () => {
    const first = setUp({ 0: { committed: 100, end: 100 } })
    expect(await first.apply(0, 100, 101)).toEqual(rewind(0))
    await first.apply(0, 0, 40)
    await redis.flushdb()

    // The rebuild has committed less than was committed before.
    const second = setUp({ 0: { committed: 40, end: 100 } })
    expect(await second.apply(0, 40, 50)).toEqual(rewind(0))
    await second.apply(0, 0, 99)
    expect(second.guard.isRebuilding).toBe(true)
    await second.apply(0, 99, 100)
    expect(second.guard.isRebuilding).toBe(false)
  })

  test('is marked again if the mark is lost before the first chunk, or with an older Redis (G6)', async () => {
    const { apply } = setUp({ 0: { committed: 100, end: 100 } })
    expect(await apply(0, 100, 101)).toEqual(rewind(0))
    await redis.flushdb()
    await apply(0, 0, 40)
    expect(await stored()).toEqual({ '0': '40', '0:until': expect.any(String) })
    await redis.flushdb()
    await redis.hset(KEY, '0', '70')
    await apply(0, 40, 50)
    expect(await stored()).toEqual({ '0': '70', '0:until': expect.any(String) })
  })

  test('is over at the next check if its mark was written late, by a worker of an earlier generation', async () => {
    const { apply, check, guard } = setUp({ 0: { end: 10 } })
    await apply(0, 0, 10)
    await redis.hset(KEY, '0:until', '10')
    expect(await check()).toEqual([])
    expect(await stored()).toEqual({ '0': '10' })
    expect(guard.isRebuilding).toBe(false)
  })

  test('is marked before there is progress that would hide it from another worker', async () => {
    const slow = Promise.withResolvers<undefined>()
    const { apply } = setUp({ 0: { end: 10 } }, (store) => ({
      ...store,
      overwrite: async (partition, expected, next) => {
        await store.overwrite(partition, expected, next)
        await slow.promise
      },
    }))
    const first = apply(0, 0, 4)
    await eventually(async () => expect(await stored()).toHaveProperty('0'))
    const successor = setUp({ 0: { end: 10 } })
    await successor.apply(0, 0, 4)
    expect(successor.guard.isRebuilding).toBe(true)
    slow.resolve(undefined)
    await first
    await successor.apply(0, 4, 10)
    expect(await stored()).toEqual({ '0': '10' })
  })

  test('is not begun if Kafka has deleted every record behind the commit', async () => {
    const { check, guard, said } = setUp({ 0: { committed: 11, earliest: 21, end: 21 } })
    expect(await check()).toEqual([])
    expect(guard.isRebuilding).toBe(false)
    expect(said).toEqual([])
    expect(await stored()).toEqual({ '0': '21' })
  })

  test('that was requested is not reported as a loss, and a loss after it is', async () => {
    const { apply, said, world } = setUp({ 0: { end: 100 } })
    await apply(0, 0, 100)
    world.kafka[0] = { end: 110 }
    await requestRebuild(redis, 'group', 'topic', [0, 1])
    expect(await apply(0, 100, 110)).toEqual(rewind(0))
    await apply(0, 0, 40)
    await redis.flushdb()
    expect(await apply(0, 40, 50)).toEqual(rewind(0))
    expect(said.slice(2)).toEqual(['0 requested: at 110, from 0', '0 lost: stored undefined, at 50, from 0'])
  })

  test.each([
    ['begins later if Kafka deletes its first records', 30, true],
    ['is over if Kafka deletes all records', 101, false],
  ])('%s before they are read', async (_, earliest, isRebuilding) => {
    const { apply, check, guard, said, world } = setUp({ 0: { committed: 100, end: 101 } })
    expect(await apply(0, 100, 101)).toEqual(rewind(0))
    world.kafka[0] = { committed: 100, earliest, end: 101 }
    expect(await check()).toEqual([])
    expect(guard.isRebuilding).toBe(true)
    // The fetch of what is no longer there covers it.
    expect(await apply(0, 0, earliest)).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(isRebuilding)
    if (isRebuilding) expect(await apply(0, earliest, 101)).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(false)
    expect(await stored()).toEqual({ '0': '101' })
    expect(said).toEqual(['0 lost: stored undefined, at 100, from 0', '0 rebuilt at 101'])
    expect(await apply(0, 101, 102)).toEqual(IN_STEP)
  })

  test('is over if Kafka deletes all that was left to read, so that no chunk comes (G7)', async () => {
    const { apply, check, guard, said, world } = setUp({ 0: { end: 10 } })
    await apply(0, 0, 4)
    expect(await check()).toEqual([])
    expect(await stored()).toEqual({ '0': '4', '0:until': '10' })
    world.kafka[0] = { earliest: 7, end: 10 }
    expect(await check()).toEqual([])
    expect(guard.isRebuilding).toBe(true)
    world.kafka[0] = { earliest: 10, end: 10 }
    expect(await check()).toEqual([])
    expect(guard.isRebuilding).toBe(false)
    expect(await stored()).toEqual({ '0': '10' })
    expect(said.at(-1)).toBe('0 rebuilt at 10')
  })

  test('is over if Kafka has deleted all that was left to read, and the commit, before the next worker comes', async () => {
    await redis.hset(KEY, '0', '4', '0:until', '10')
    const { check, guard } = setUp({ 0: { earliest: 10, end: 10 } })
    expect(await check()).toEqual([])
    expect(guard.notReadyReasons()).toEqual([])
    expect(await stored()).toEqual({ '0': '10' })
  })

  test('of a partition without a record is over at the next check', async () => {
    const { check, guard, said } = setUp({ 0: { end: 0 } })
    await check()
    await requestRebuild(redis, 'group', 'topic', [0])
    expect(await check()).toEqual([])
    expect(guard.isRebuilding).toBe(false)
    expect(await stored()).toEqual({ '0': '0' })
    expect(said).toEqual([])
  })

  test('does not begin again with what a check has read before a chunk completed it (G7)', async () => {
    const { promise: loaded, resolve: answer } = Promise.withResolvers<void>()
    const { promise: loading, resolve: begin } = Promise.withResolvers<void>()
    let loads = 0
    await redis.hset(KEY, '0', '4')
    const { chunk, check, guard } = setUp({ 0: { committed: 4, end: 10 } }, (store) => ({
      ...store,
      async load(partitions) {
        const found = await store.load(partitions)
        // The first is that of the chunk, the second that of all partitions.
        if (++loads !== 3) return found
        begin()
        await loaded
        return found
      },
    }))
    const last = chunk(0, 4, 10)
    expect(await guard.beforeChunk(last)).toEqual(IN_STEP)
    await redis.hset(KEY, '0:until', '10')
    const checking = check()
    await loading
    // By the script that wrote the chunk's devices.
    await redis.hset(KEY, '0', '10')
    const after = guard.afterChunk(last, true)
    answer()
    expect(await after).toEqual(IN_STEP)
    expect(await checking).toEqual([])
    expect(guard.isRebuilding).toBe(false)
    expect(await stored()).toEqual({ '0': '10' })
  })

  test('is over when it is over in every partition', async () => {
    const { apply, guard } = setUp({ 0: { end: 10 }, 1: { end: 10 } })
    await apply(0, 0, 5)
    await apply(1, 0, 10)
    expect(guard.isRebuilding).toBe(true)
    await apply(0, 5, 10)
    expect(guard.isRebuilding).toBe(false)
  })
})

describe('the reason why a worker is not ready', () => {
  const kinds = (reasons: readonly string[]) => reasons.map((reason) => reason.split(':')[0])

  test('is a comparison, until every partition has been compared', async () => {
    await redis.hset(KEY, '0', '50')
    const { guard, apply, check } = setUp({ 0: { committed: 50, end: 100 }, 1: { end: 0 } })
    expect(kinds(guard.notReadyReasons())).toEqual(['comparing'])
    await apply(0, 50, 60)
    expect(kinds(guard.notReadyReasons())).toEqual(['comparing'])
    await check()
    expect(guard.notReadyReasons()).toEqual([])
    guard.assigned([0])
    expect(kinds(guard.notReadyReasons())).toEqual(['comparing'])
  })

  test('is a rebuild for as long as it lasts, and each change is reported once', async () => {
    const { guard, apply, rebuildingChanges } = setUp({ 0: { end: 10 }, 1: { end: 10 } })
    await apply(0, 0, 5)
    await apply(1, 0, 5)
    expect(kinds(guard.notReadyReasons())).toEqual(['rebuilding'])
    expect(rebuildingChanges).toEqual([true])
    await apply(1, 5, 10)
    await apply(0, 5, 10)
    expect(guard.notReadyReasons()).toEqual([])
    expect(rebuildingChanges).toEqual([true, false])
  })

  test('is a comparison whose outcome Redis refused to store', async () => {
    let refusals = 1
    const refusingOnce = (store: ProgressStore): ProgressStore => ({
      ...store,
      async markRebuild(...args) {
        if (refusals-- > 0) throw redisError(new Error('LOADING Redis is loading the dataset in memory'))
        await store.markRebuild(...args)
      },
    })
    await redis.hset(KEY, '0', '100', '0:until', '100')
    const { guard, check } = setUp({ 0: { committed: 100, end: 100 } }, refusingOnce)
    await expect(check()).rejects.toMatchObject({ code: 'LOADING' })
    expect(kinds(guard.notReadyReasons())).toEqual(['comparing'])
    expect(await check()).toEqual([])
    expect(guard.notReadyReasons()).toEqual([])
    expect(await stored()).toEqual({ '0': '100' })
  })
})

describe('a comparison', () => {
  test('that fails because Kafka is unavailable is made by the next attempt', async () => {
    await redis.hset(KEY, '0', '50')
    const { apply, check, world } = setUp({ 0: { committed: 50, end: 100 } })
    world.isKafkaDown = true
    await expect(apply(0, 50, 60)).rejects.toMatchObject({ side: 'kafka', failureClass: 'transient' })
    await expect(check()).rejects.toMatchObject({ side: 'kafka' })
    world.isKafkaDown = false
    expect(await apply(0, 50, 60)).toEqual(IN_STEP)
  })

  test('of a partition that Kafka does not know yet fails with a transient error', async () => {
    const { apply, world } = setUp({ 0: { end: 10 } })
    world.kafka = {}
    await expect(apply(0, 0, 10)).rejects.toMatchObject({ side: 'kafka', failureClass: 'transient' })
  })

  test('wanted by a check and a chunk at once rewinds the partition once (G9)', async () => {
    const { guard, chunk, check } = setUp({ 0: { committed: 100, end: 110 } })
    const [rewinds, verdict] = await Promise.all([check(), guard.beforeChunk(chunk(0, 100, 110))])
    // Either the check or the chunk rewinds; the chunk never counts.
    expect(verdict.kind === 'rewind' ? [[0, verdict.to]] : rewinds).toEqual([[0, 0]])
    expect(verdict.kind).not.toBe('in_step')
  })

  test('that a check and a written chunk begin at once rewinds once (G9)', async () => {
    const { promise: advanced, resolve: answer } = Promise.withResolvers<void>()
    const { promise: advancing, resolve: begin } = Promise.withResolvers<void>()
    await redis.hset(KEY, '0', '100')
    const { guard, chunk, check, said } = setUp({ 0: { committed: 100, end: 110 } }, (store) => ({
      ...store,
      async advance(...args) {
        const instead = await store.advance(...args)
        begin()
        await advanced
        return instead
      },
    }))
    const written = chunk(0, 100, 110)
    expect(await guard.beforeChunk(written)).toEqual(IN_STEP)
    await redis.flushdb()
    const after = guard.afterChunk(written)
    await advancing
    const checking = check()
    answer()
    expect(await after).toEqual(rewind(0))
    expect(await checking).toEqual([])
    expect(said).toEqual(['0 lost: stored undefined, at 110, from 0'])
  })
})
