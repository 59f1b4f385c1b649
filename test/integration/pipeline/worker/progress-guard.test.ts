import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type {
  PartitionOffsetRange,
  PartitionOffsets,
} from '../../../../cache-service/kafka/partition-offsets.ts'
import { ProgressGuard } from '../../../../cache-service/pipeline/worker/progress-guard.ts'
import {
  createProgressStore,
  type ProgressStore,
} from '../../../../cache-service/redis/workers/progress-store.ts'
import { kafkaError, redisError } from '../../../../shared/errors.ts'
import { progressKey } from '../../../../shared/contract/keys.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

const KEY = progressKey('group')

let database: RedisDatabase
let redis: Redis

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  redis = database.client
})
beforeEach(() => redis.flushdb())
afterAll(() => database.release())

/** Where Kafka's partitions stand, for the test to change. */
type Kafka = Record<number, Partial<PartitionOffsetRange>>

function setUp(kafka: Kafka, decorate: (store: ProgressStore) => ProgressStore = (store) => store) {
  const said: string[] = []
  const world = { kafka, kafkaReads: 0, isKafkaDown: false, saidRebuilding: undefined as boolean | undefined }
  const offsets: PartitionOffsets = {
    async read() {
      world.kafkaReads++
      if (world.isKafkaDown) throw kafkaError(new Error('Connection error: connect ECONNREFUSED'))
      const ranges = Object.entries(world.kafka).map(([partition, range]): [number, PartitionOffsetRange] => [
        Number(partition),
        { committed: undefined, earliest: 0, end: 0, ...range },
      ])
      return new Map(ranges)
    },
    disconnect: async () => undefined,
  }
  const guard = new ProgressGuard(decorate(createProgressStore(redis, KEY)), offsets, {
    cacheLost: (partition, stored, position, rewindTo) =>
      said.push(`${partition} lost: stored ${stored}, at ${position}, from ${rewindTo}`),
    firstFill: (partition, until) => said.push(`${partition} first fill until ${until}`),
    rebuilt: (partition, offset) => said.push(`${partition} rebuilt at ${offset}`),
    progressOverwritten: (partition, stored, position) =>
      said.push(`${partition} overwritten: stored ${stored}, at ${position}`),
    rebuilding: (yes) => (world.saidRebuilding = yes),
  })
  guard.assigned(Object.keys(kafka).map(Number))

  const chunk = (partition: number, position: number, next: number) => ({
    partition,
    position,
    next,
    records: [],
  })
  /** As the pipeline does it, with nothing in between. */
  async function apply(partition: number, position: number, next: number) {
    const before = await guard.beforeChunk(chunk(partition, position, next))
    return before.kind === 'in_step' ? await guard.afterChunk(chunk(partition, position, next)) : before
  }
  async function check() {
    const rewinds: [partition: number, to: number][] = []
    await guard.check((partition, to) => rewinds.push([partition, to]))
    return rewinds
  }
  return { guard, said, world, chunk, apply, check }
}

const IN_STEP = { kind: 'in_step' }
const ABANDONED = { kind: 'abandoned' }
const rewind = (to: number) => ({ kind: 'rewind', to })
const stored = () => redis.hgetall(KEY)

describe('a worker in step with Redis', () => {
  test('goes on where its predecessor left, and says nothing', async () => {
    await redis.hset(KEY, '0', '50')
    const { apply, guard, said } = setUp({ 0: { committed: 50, end: 100 } })
    expect(await apply(0, 50, 60)).toEqual(IN_STEP)
    expect(await apply(0, 60, 70)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '70' })
    expect(said).toEqual([])
    expect(guard.isRebuilding).toBe(false)
  })

  test('asks Kafka once, before its first chunk', async () => {
    await redis.hset(KEY, '0', '50')
    const { apply, check, world } = setUp({ 0: { committed: 50, end: 100 } })
    for (let at = 50; at < 100; at += 10) await apply(0, at, at + 10)
    expect(await check()).toEqual([])
    expect(world.kafkaReads).toBe(1)
  })

  test('whose commit lags behind repeats some records, and progress does not go back', async () => {
    await redis.hset(KEY, '0', '80')
    const { apply, said } = setUp({ 0: { committed: 50, end: 100 } })
    expect(await apply(0, 50, 60)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '80' })
    expect(await apply(0, 60, 90)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '90' })
    expect(said).toEqual([])
  })

  test('keeps its partitions apart', async () => {
    await redis.hset(KEY, '0', '50', '1', '7')
    const { apply } = setUp({ 0: { committed: 50, end: 100 }, 1: { committed: 7, end: 9 } })
    expect(await apply(1, 7, 9)).toEqual(IN_STEP)
    expect(await apply(0, 50, 51)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '51', '1': '9' })
  })
})

describe('a first fill', () => {
  test('of a topic with records is a rebuild until its present end', async () => {
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

  test('begins at the earliest record that there is', async () => {
    const { apply, said } = setUp({ 0: { earliest: 30, end: 100 } })
    expect(await apply(0, 30, 100)).toEqual(IN_STEP)
    expect(said).toEqual(['0 first fill until 100', '0 rebuilt at 100'])
  })

  test('of an empty topic is none', async () => {
    const { apply, guard, said, check, world } = setUp({ 0: { end: 0 } })
    expect(await check()).toEqual([])
    world.kafka[0] = { end: 1 }
    expect(guard.isRebuilding).toBe(false)
    expect(await apply(0, 0, 1)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '1' })
    expect(said.filter((line) => line.includes('lost'))).toEqual([])
  })
})

describe('a Redis that had lost everything when the partition was assigned', () => {
  test('is filled again from the earliest record, before anything else counts', async () => {
    const { apply, guard, said } = setUp({ 0: { committed: 100, earliest: 20, end: 150 } })
    expect(await apply(0, 100, 110)).toEqual(rewind(20))
    expect(guard.isRebuilding).toBe(true)
    expect(await stored()).toEqual({ '0:until': '100' })
    expect(await apply(0, 20, 60)).toEqual(IN_STEP)
    expect(await apply(0, 60, 100)).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(false)
    expect(await stored()).toEqual({ '0': '100' })
    expect(said).toEqual(['0 lost: stored undefined, at 100, from 20', '0 rebuilt at 100'])
  })

  test('is found out by a check where no chunk comes', async () => {
    const { check, guard, said, apply } = setUp({ 0: { committed: 100, end: 100 }, 1: { end: 0 } })
    expect(await check()).toEqual([[0, 0]])
    expect(guard.isRebuilding).toBe(true)
    expect(said).toEqual(['0 lost: stored undefined, at 100, from 0'])
    expect(await apply(0, 0, 100)).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(false)
  })

  test('but has nothing to be filled with, is left as it is', async () => {
    const { check, guard, said } = setUp({ 0: { committed: 100, earliest: 100, end: 100 } })
    expect(await check()).toEqual([])
    expect(await stored()).toEqual({ '0': '100' })
    expect(guard.isRebuilding).toBe(false)
    expect(said).toEqual([])
  })
})

describe('a Redis that came back with an older snapshot', () => {
  test.each([
    ['where it stands', 0, 40],
    ['at the earliest record, if that is later', 70, 70],
  ])('is read again from %s', async (_, earliest, to) => {
    await redis.hset(KEY, '0', '40')
    const { apply, said } = setUp({ 0: { committed: 100, earliest, end: 150 } })
    expect(await apply(0, 100, 110)).toEqual(rewind(to))
    expect(said).toEqual([`0 lost: stored 40, at 100, from ${to}`])
    expect(await apply(0, to, 100)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '100' })
  })
})

describe('a Redis that loses data between two chunks', () => {
  test('everything: the chunk does not count, and the partition is read again', async () => {
    const { apply, guard, said } = setUp({ 0: { end: 100 } })
    await apply(0, 0, 100)
    await redis.flushdb()
    expect(await apply(0, 100, 110)).toEqual(rewind(0))
    expect(await redis.hget(KEY, '0')).toBeNull()
    expect(guard.isRebuilding).toBe(true)
    expect(await apply(0, 0, 110)).toEqual(IN_STEP)
    expect(guard.isRebuilding).toBe(false)
    expect(said.slice(2)).toEqual(['0 lost: stored undefined, at 110, from 0', '0 rebuilt at 110'])
  })

  test('some: it is read again from what is left', async () => {
    const { apply } = setUp({ 0: { end: 100 } })
    await apply(0, 0, 100)
    await redis.hset(KEY, '0', '60')
    expect(await apply(0, 100, 110)).toEqual(rewind(60))
    expect(await apply(0, 60, 110)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '110' })
  })

  test('and whose chunks were fetched before: none of them advances anything', async () => {
    const { apply } = setUp({ 0: { end: 300 } })
    await apply(0, 0, 100)
    await redis.flushdb()
    expect(await apply(0, 100, 110)).toEqual(rewind(0))
    expect((await apply(0, 110, 120)).kind).not.toBe('in_step')
    expect(await redis.hget(KEY, '0')).toBeNull()
    expect(await apply(0, 0, 50)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '50', '0:until': expect.any(String) })
  })

  test('that Kafka has deleted: the chunk comes again, and then counts', async () => {
    const { apply, said, world } = setUp({ 0: { end: 100 } })
    await apply(0, 0, 100)
    await redis.flushdb()
    world.kafka[0] = { earliest: 110, end: 110 }
    expect(await apply(0, 100, 110)).toEqual(ABANDONED)
    expect(await apply(0, 100, 110)).toEqual(IN_STEP)
    expect(said.filter((line) => line.includes('lost'))).toEqual([])
  })

  test('where nothing happens: a check tells which partitions must be read again, once', async () => {
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

  test('of one partition: the check leaves the other alone', async () => {
    const { apply, check } = setUp({ 0: { end: 100 }, 1: { end: 50 } })
    await apply(0, 0, 100)
    await apply(1, 0, 50)
    await redis.hset(KEY, '1', '20')
    expect(await check()).toEqual([[1, 20]])
  })

  test('while the check itself is refused: the next check finds it out', async () => {
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

describe('progress of an earlier life of the topic', () => {
  test('is overwritten: nothing was lost', async () => {
    await redis.hset(KEY, '0', '500', '0:until', '600')
    const { apply, guard, said } = setUp({ 0: { end: 10 } })
    expect(await apply(0, 0, 3)).toEqual(IN_STEP)
    expect(await stored()).toEqual({ '0': '3' })
    expect(guard.isRebuilding).toBe(false)
    expect(said).toEqual(['0 overwritten: stored 500, at 0'])
  })
})

describe('another worker that is ahead', () => {
  test('has lost nothing, and is not put back', async () => {
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

describe('a partition that was taken away', () => {
  test('while a chunk was written: the chunk does not count', async () => {
    await redis.hset(KEY, '0', '50')
    const { guard, chunk } = setUp({ 0: { committed: 50, end: 100 } })
    const written = chunk(0, 50, 60)
    expect(await guard.beforeChunk(written)).toEqual(IN_STEP)
    guard.assigned([1])
    expect(await guard.afterChunk(written)).toEqual(ABANDONED)
    expect(await stored()).toEqual({ '0': '50' })
  })

  test('and given back: a chunk from before does not count either', async () => {
    await redis.hset(KEY, '0', '50')
    const { guard, chunk, apply } = setUp({ 0: { committed: 50, end: 100 } })
    const written = chunk(0, 50, 60)
    await guard.beforeChunk(written)
    guard.assigned([0])
    expect(await guard.afterChunk(written)).toEqual(ABANDONED)
    expect(await stored()).toEqual({ '0': '50' })
    expect(await apply(0, 50, 60)).toEqual(IN_STEP)
  })

  test('is written for by nobody', async () => {
    const { apply, check } = setUp({ 0: { committed: 50, end: 100 } })
    expect(await apply(7, 0, 10)).toEqual(ABANDONED)
    expect(await check()).toEqual([[0, 0]])
  })

  test('takes its rebuild along', async () => {
    const { apply, guard, world } = setUp({ 0: { end: 100 } })
    await apply(0, 0, 10)
    expect(guard.isRebuilding).toBe(true)
    guard.assigned([])
    expect(guard.isRebuilding).toBe(false)
    expect(world.saidRebuilding).toBe(false)
  })
})

describe('a rebuild', () => {
  test('outlives the worker that began it, and ends with the one that completes it', async () => {
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

  test('of a partition that is idle is known to the next worker by its check', async () => {
    await redis.hset(KEY, '0', '40', '0:until', '100')
    const { check, guard } = setUp({ 0: { committed: 40, end: 100 } })
    expect(await check()).toEqual([])
    expect(guard.isRebuilding).toBe(true)
  })

  test('that was complete when its worker died is over', async () => {
    await redis.hset(KEY, '0', '100', '0:until', '100')
    const { check, guard } = setUp({ 0: { committed: 100, end: 100 } })
    expect(await check()).toEqual([])
    expect(guard.isRebuilding).toBe(false)
  })

  test('that loses its data again goes as far as it was to go', async () => {
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

  test('is over when every partition’s is', async () => {
    const { apply, guard } = setUp({ 0: { end: 10 }, 1: { end: 10 } })
    await apply(0, 0, 5)
    await apply(1, 0, 10)
    expect(guard.isRebuilding).toBe(true)
    await apply(0, 5, 10)
    expect(guard.isRebuilding).toBe(false)
  })
})

describe('what cannot be compared now', () => {
  test('for lack of Kafka is compared by the next attempt', async () => {
    await redis.hset(KEY, '0', '50')
    const { apply, check, world } = setUp({ 0: { committed: 50, end: 100 } })
    world.isKafkaDown = true
    await expect(apply(0, 50, 60)).rejects.toMatchObject({ side: 'kafka', failureClass: 'transient' })
    await expect(check()).rejects.toMatchObject({ side: 'kafka' })
    world.isKafkaDown = false
    expect(await apply(0, 50, 60)).toEqual(IN_STEP)
  })

  test('because Kafka does not know the partition yet is an error to wait for', async () => {
    const { apply, world } = setUp({ 0: { end: 10 } })
    world.kafka = {}
    await expect(apply(0, 0, 10)).rejects.toMatchObject({ side: 'kafka', failureClass: 'transient' })
  })

  test('is compared once by a check and a chunk that come together', async () => {
    const { guard, chunk, check } = setUp({ 0: { committed: 100, end: 110 } })
    const [rewinds, verdict] = await Promise.all([check(), guard.beforeChunk(chunk(0, 100, 110))])
    // One of the two rewinds; the chunk counts in no case.
    expect(verdict.kind === 'rewind' ? [[0, verdict.to]] : rewinds).toEqual([[0, 0]])
    expect(verdict.kind).not.toBe('in_step')
  })
})
