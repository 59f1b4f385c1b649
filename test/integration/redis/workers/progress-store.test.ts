import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type { StoredProgress } from '../../../../cache-service/core/workers/progress.ts'
import {
  createProgressStore,
  requestRebuild,
} from '../../../../cache-service/redis/workers/group-progress.ts'
import type { ProgressStore } from '../../../../cache-service/redis/workers/progress-store.ts'
import { progressKey } from '../../../../shared/contract/keys.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

const KEY = progressKey('group', 'topic')

let database: RedisDatabase
let redis: Redis
let store: ProgressStore

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  redis = database.client
  store = createProgressStore(redis, 'group', 'topic')
})
beforeEach(() => redis.flushdb())
afterAll(() => database.release())

const nothing: StoredProgress = {
  next: undefined,
  rebuildUntil: undefined,
  isWhole: true,
  isRebuildRequested: false,
}

describe('loading progress', () => {
  test('returns undefined offsets for partitions without progress', async () => {
    expect(await store.load([0, 7])).toEqual(
      new Map([
        [0, nothing],
        [7, nothing],
      ]),
    )
    expect(await store.load([])).toEqual(new Map())
  })

  test('returns what is stored for each requested partition', async () => {
    await store.overwrite(0, undefined, 12)
    await store.overwrite(1, undefined, 9_007_199_254_740_991)
    await store.markRebuild(1, 50)
    await store.overwrite(11, undefined, 3)
    expect(await store.load([1, 0, 2])).toEqual(
      new Map<number, StoredProgress>([
        [1, { ...nothing, next: 9_007_199_254_740_991, rebuildUntil: 50 }],
        [0, { ...nothing, next: 12 }],
        [2, nothing],
      ]),
    )
  })

  test.each(['', 'x', '-1', '1.5', '1e3', ' 1', '99999999999999999'])(
    'ignores the invalid offset %j',
    async (text) => {
      await redis.hset(KEY, '0', text, '0:until', text)
      expect((await store.load([0])).get(0)).toEqual(nothing)
    },
  )
})

describe('advancing progress', () => {
  test.each<
    [what: string, stored: number | undefined, expected: number | undefined, next: number, after: string]
  >([
    ['without stored progress', undefined, undefined, 5, '5'],
    ['from the expected offset', 5, 5, 9, '9'],
    ['to the same offset', 5, 5, 5, '5'],
    ['to 0', undefined, undefined, 0, '0'],
    ['to an offset with more digits', 9, 9, 10, '10'],
  ])('%s stores the next offset', async (_, stored, expected, next, after) => {
    if (stored !== undefined) await store.overwrite(0, undefined, stored)
    expect(await store.advance(0, expected, next)).toBeUndefined()
    expect(await redis.hget(KEY, '0')).toBe(after)
  })

  test('never moves the offset back', async () => {
    await store.overwrite(0, undefined, 100)
    expect(await store.advance(0, 100, 99)).toBeUndefined()
    expect(await redis.hget(KEY, '0')).toBe('100')
  })

  test.each<[what: string, stored: number | undefined, expected: number | undefined]>([
    ['gone', undefined, 5],
    ['behind', 3, 5],
    ['ahead', 8, 5],
    ['present although none was expected', 8, undefined],
  ])('returns the stored offset and changes nothing if it is %s', async (_, stored, expected) => {
    if (stored !== undefined) await store.overwrite(0, undefined, stored)
    expect(await store.advance(0, expected, 9)).toEqual({ next: stored })
    expect(await redis.hget(KEY, '0')).toBe(stored === undefined ? null : String(stored))
  })

  test('does not overwrite an invalid offset', async () => {
    await redis.hset(KEY, '0', 'x')
    expect(await store.advance(0, undefined, 9)).toEqual({ next: undefined })
    expect(await redis.hget(KEY, '0')).toBe('x')
  })

  test('affects neither other partitions nor the mark of a rebuild', async () => {
    await store.overwrite(1, undefined, 7)
    await store.markRebuild(0, 50)
    await store.advance(0, undefined, 5)
    expect(await redis.hgetall(KEY)).toEqual({ '0': '5', '0:until': '50', '1': '7' })
  })

  test('succeeds for one of two concurrent workers', async () => {
    await store.overwrite(0, undefined, 5)
    const outcomes = await Promise.all([store.advance(0, 5, 6), store.advance(0, 5, 7)])
    expect(outcomes).toEqual([undefined, { next: 6 }])
  })
})

describe('overwriting progress', () => {
  test('may move the offset back, and removes the request for a rebuild', async () => {
    await store.overwrite(0, undefined, 9)
    await redis.hset(KEY, '0:requested', '1')
    await store.overwrite(0, 9, 4)
    expect(await redis.hgetall(KEY)).toEqual({ '0': '4' })
  })

  test.each(['', 'x', '-1', '5.0', '12345678901234567'])(
    'replaces %j, which is no offset',
    async (damaged) => {
      await redis.hset(KEY, '0', damaged)
      expect((await store.load([0])).get(0)?.next).toBeUndefined()
      await store.overwrite(0, undefined, 4)
      expect(await redis.hget(KEY, '0')).toBe('4')
    },
  )

  test.each([
    ['another offset', '7'],
    ['an offset', '9'],
    ['none', undefined],
  ])('is refused if Redis holds %s meanwhile', async (_, stored) => {
    if (stored !== undefined) await redis.hset(KEY, '0', stored)
    const expected = stored === '9' ? undefined : 5
    await expect(store.overwrite(0, expected, 4)).rejects.toMatchObject({ code: 'TRYAGAIN' })
    expect(await redis.hget(KEY, '0')).toBe(stored ?? null)
  })
})

test('the mark of a rebuild is set, moved and removed', async () => {
  await store.overwrite(0, undefined, 9)
  await store.markRebuild(0, 20)
  await store.markRebuild(0, 30)
  expect((await store.load([0])).get(0)).toEqual({ ...nothing, next: 9, rebuildUntil: 30 })
  await store.markRebuild(0, undefined)
  await store.markRebuild(0, undefined)
  expect((await store.load([0])).get(0)).toEqual({ ...nothing, next: 9 })
})

test('a request for a rebuild deletes the progress of all partitions, and is forgotten when one begins', async () => {
  await redis.hset(KEY, '0', '9', '0:until', '20', '1', '9', '2', '9')
  await requestRebuild(redis, 'group', 'topic', [0, 1, 2])
  expect((await store.load([0])).get(0)).toEqual({ ...nothing, isWhole: true, isRebuildRequested: true })
  await store.markRebuild(0, 30)
  await store.overwrite(1, undefined, 5)
  await store.markRebuild(2, undefined)
  expect(await redis.hgetall(KEY)).toEqual({ '0:until': '30', '1': '5' })
})

test('each consumer group has its own progress', async () => {
  await createProgressStore(redis, 'other', 'topic').overwrite(0, undefined, 9)
  expect((await store.load([0])).get(0)).toEqual(nothing)
})

test('a progress key of another Redis type causes an error that names the key', async () => {
  await redis.lpush(KEY, 'mine')
  const wrongType = { side: 'redis', code: 'KEY_TYPE', failureClass: 'operator' }
  await expect(store.load([0])).rejects.toMatchObject(wrongType)
  await expect(store.advance(0, undefined, 1)).rejects.toMatchObject(wrongType)
  await expect(store.overwrite(0, undefined, 1)).rejects.toMatchObject(wrongType)
  await expect(store.markRebuild(0, undefined)).rejects.toMatchObject(wrongType)
})
