import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { createDeviceWriter } from '../../../../cache-service/redis/devices/device-writer.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import {
  timeText,
  writePlan,
  type PlannedDelete,
  type PlannedUpdate,
} from '../../../support/records/write-plan.ts'

const NOW_MS = Date.now()
const DAY_MS = 86_400_000

let database: RedisDatabase
let redis: Redis

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  redis = database.client
})
beforeEach(() => redis.flushdb())
afterAll(() => database.release())

async function apply(
  deletes: readonly PlannedDelete[],
  updates: readonly PlannedUpdate[] = [],
  maxKeys = 1_000,
) {
  return await createDeviceWriter(redis, { maxKeys, maxBytes: 1_000_000 }).write(
    writePlan(updates, deletes, NOW_MS),
  )
}

const store = (id: string, lastUpdated: string) =>
  redis.hset(`device:${id}:metadata`, 'last_updated', lastUpdated, 'persist', 'true')
const stored = (id: string) => redis.hget(`device:${id}:metadata`, 'last_updated')
const update = (id: string, lastUpdated: string): PlannedUpdate => ({
  id,
  lastUpdated,
  fields: ['persist', 'true'],
  expiresAtMs: NOW_MS + DAY_MS,
})

describe('a tombstone', () => {
  test.each([
    ['earlier than the limit', -1, 'deleted'],
    ['exactly at the limit', 0, 'deleted'],
    ['later than the limit', 1, 'kept'],
  ] as const)('for a device that is %s (by %d ms) results in %s', async (_, afterMs, status) => {
    await store('a', timeText(NOW_MS, afterMs))
    expect((await apply([{ id: 'a', deletesUpTo: timeText(NOW_MS) }])).deletes).toEqual([status])
    expect(await stored('a')).toBe(status === 'kept' ? timeText(NOW_MS, afterMs) : null)
  })

  test('for an absent device results in absent, and may be repeated', async () => {
    await store('a', timeText(NOW_MS))
    const tombstone = { id: 'a', deletesUpTo: timeText(NOW_MS) }
    expect((await apply([tombstone])).deletes).toEqual(['deleted'])
    expect((await apply([tombstone])).deletes).toEqual(['absent'])
  })

  test.each([
    ['in another format', '2099-06-08T18:27:17Z'],
    ['that sorts last', 'zzz'],
    ['more than a day ahead', timeText(NOW_MS, DAY_MS + 1_000)],
  ])('deletes a hash whose last_updated is not trusted: %s', async (_, lastUpdated) => {
    await store('a', lastUpdated)
    expect((await apply([{ id: 'a', deletesUpTo: timeText(NOW_MS) }])).deletes).toEqual(['deleted'])
  })

  test('deletes a hash without last_updated', async () => {
    await redis.hset('device:a:metadata', 'persist', 'true')
    expect((await apply([{ id: 'a', deletesUpTo: timeText(NOW_MS) }])).deletes).toEqual(['deleted'])
  })

  test('does not change a key of another type or affect other keys', async () => {
    await redis.lpush('device:list:metadata', 'mine')
    await store('a', timeText(NOW_MS))
    await store('b', timeText(NOW_MS))
    const { deletes } = await apply(['a', 'list', 'b'].map((id) => ({ id, deletesUpTo: timeText(NOW_MS) })))
    expect(deletes).toEqual([
      'deleted',
      { refused: expect.objectContaining({ code: 'WRONGTYPE', failureClass: 'record' }) },
      'deleted',
    ])
    expect(await redis.llen('device:list:metadata')).toBe(1)
  })
})

describe('the tombstones of a plan', () => {
  test.each([1, 2, 1_000])('are applied before its updates, with %d keys per call', async (maxKeys) => {
    await store('gone', timeText(NOW_MS))
    await store('back', timeText(NOW_MS))
    await redis.hset('device:back:metadata', 'extra', 'x')
    await store('kept', timeText(NOW_MS, 60_000))
    const outcome = await apply(
      ['gone', 'back', 'kept', 'never'].map((id) => ({ id, deletesUpTo: timeText(NOW_MS) })),
      [update('back', timeText(NOW_MS, -60_000)), update('new', timeText(NOW_MS))],
      maxKeys,
    )
    expect(outcome).toMatchObject({
      deletes: ['deleted', 'deleted', 'kept', 'absent'],
      updates: ['changed', 'changed'],
    })
    expect(await stored('gone')).toBeNull()
    // The stored state was later than the update, but the tombstone had deleted it.
    expect(await redis.hgetall('device:back:metadata')).toEqual({
      last_updated: timeText(NOW_MS, -60_000),
      persist: 'true',
    })
    expect(await stored('kept')).toBe(timeText(NOW_MS, 60_000))
  })

  test('delete the old expiry: a device that returns has its own', async () => {
    await store('a', timeText(NOW_MS))
    await redis.pexpireat('device:a:metadata', NOW_MS + 9 * DAY_MS)
    await apply([{ id: 'a', deletesUpTo: timeText(NOW_MS) }], [update('a', timeText(NOW_MS))])
    expect(await redis.pexpiretime('device:a:metadata')).toBe(NOW_MS + DAY_MS)
  })
})
