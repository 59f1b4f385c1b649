import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type { ChunkPlan } from '../../../../cache-service/core/records/plan.ts'
import { createDeviceWriter } from '../../../../cache-service/redis/devices/device-writer.ts'
import type { ScriptLimits } from '../../../../cache-service/redis/devices/script-calls.ts'
import { createProgressStore } from '../../../../cache-service/redis/workers/group-progress.ts'
import { timeText, writePlan } from '../../../support/records/write-plan.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

const LIMITS: ScriptLimits = { maxKeys: 1_000, maxBytes: 1_000_000 }
const NOW_MS = Date.now()
const APPLY_UPDATES = new URL('../../../../cache-service/redis/devices/apply-updates.lua', import.meta.url)
const PROGRESS = 'cache_service:progress:group:topic'

let database: RedisDatabase
let redis: Redis

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  redis = database.client
})
beforeEach(() => redis.flushdb())
afterAll(() => database.release())

const store = () => createProgressStore(redis, 'group', 'topic')
const advance = (plan: ChunkPlan, expected: number | undefined, limits = LIMITS) =>
  createDeviceWriter(redis, limits).write(plan, store().step(3, expected, 9))
const planOf = (...ids: readonly string[]) =>
  writePlan(
    ids.map((id) => ({
      id,
      lastUpdated: timeText(NOW_MS),
      fields: ['datatype_id', '7'],
      expiresAtMs: NOW_MS + 3_600_000,
    })),
    [],
    NOW_MS,
  )
const two = () => planOf('a', 'b')
const many = (count: number) => planOf(...Array.from({ length: count }, (_, i) => `d${i}`))

describe('the progress that is advanced with the updates', () => {
  test.for([undefined, 5])('moves on if it is the expected one (%s)', async (stored) => {
    if (stored !== undefined) await store().overwrite(3, undefined, stored)
    expect(await advance(two(), stored)).toMatchObject({ updates: ['changed', 'changed'], hasAdvanced: true })
    expect(await redis.hgetall(PROGRESS)).toEqual({ 3: '9' })
  })

  test.for([
    [undefined, 5],
    [4, 5],
    [6, 5],
    [9, undefined],
  ] as const)('stays if it is %s instead of %s; the updates are written', async ([stored, expected]) => {
    if (stored !== undefined) await store().overwrite(3, undefined, stored)
    expect(await advance(two(), expected)).toMatchObject({ hasAdvanced: false })
    expect((await store().load([3])).get(3)?.next).toBe(stored)
    expect(await redis.scard('devices')).toBe(2)
  })

  test('stays if Redis refuses an update', async () => {
    await redis.lpush('device:a:metadata', 'x')
    expect(await advance(two(), undefined)).toMatchObject({
      updates: [{ refused: { code: 'WRONGTYPE' } }, 'changed'],
      hasAdvanced: false,
    })
    expect(await redis.exists(PROGRESS)).toBe(0)
  })

  describe('by the last of several calls', () => {
    const ONE_EACH = { ...LIMITS, maxKeys: 1 }

    test.for([undefined, 5])(
      'moves on if it is the expected one (%s), and no mark is left',
      async (stored) => {
        if (stored !== undefined) await store().overwrite(3, undefined, stored)
        expect(await advance(many(5), stored, ONE_EACH)).toMatchObject({ hasAdvanced: true })
        expect(await redis.hgetall(PROGRESS)).toEqual({ 3: '9' })
        expect(await redis.scard('devices')).toBe(5)
      },
    )

    test.for([0, 1, 2])('stays if Redis refuses what call %i brings', async (call) => {
      await redis.lpush(`device:d${call}:metadata`, 'x')
      const { hasAdvanced, updates } = await advance(many(3), undefined, ONE_EACH)
      expect({ hasAdvanced, written: updates.filter((status) => status === 'changed').length }).toEqual({
        hasAdvanced: false,
        written: 2,
      })
      expect((await store().load([3])).get(3)?.next).toBeUndefined()
      await redis.del(`device:d${call}:metadata`)
      expect(await advance(many(3), undefined, ONE_EACH)).toMatchObject({ hasAdvanced: true })
      expect(await redis.hgetall(PROGRESS)).toEqual({ 3: '9' })
    })

    test('stays if another one is stored', async () => {
      await store().overwrite(3, undefined, 6)
      expect(await advance(many(3), 5, ONE_EACH)).toMatchObject({ hasAdvanced: false })
      expect(await redis.hgetall(PROGRESS)).toEqual({ 3: '6' })
    })

    // A client that sends them itself can do something in between.
    const sha = async () => String(await redis.script('LOAD', readFileSync(APPLY_UPDATES, 'utf8')))
    const part = async (id: string, before: string, after: string) => {
      const entry = JSON.stringify([[0, timeText(NOW_MS), 'datatype_id', '1']])
      const args = [entry, timeText(NOW_MS), '3', '', '9', before, after]
      const keys = [`device:${id}:metadata`, 'devices', PROGRESS]
      return ((await redis.evalsha(await sha(), keys.length, ...keys, ...args)) as unknown[])[1]
    }

    test('stays if everything was lost between two of them (G2)', async () => {
      expect(await part('a', '', 'x:1')).toBe(0)
      await redis.flushdb()
      expect(await part('b', 'x:1', 'x:2')).toBe(0)
      expect(await part('c', 'x:2', '')).toBe(0)
      expect(await redis.exists(PROGRESS)).toBe(0)
    })

    test('stays for both of two attempts whose calls alternate, unless one of them is complete', async () => {
      expect(await part('a', '', 'x:1')).toBe(0)
      expect(await part('a', '', 'y:1')).toBe(0)
      expect(await part('b', 'x:1', '')).toBe(0)
      expect(await redis.hexists(PROGRESS, '3')).toBe(0)
      expect(await part('b', 'y:1', '')).toBe(1)
      expect(await redis.hgetall(PROGRESS)).toEqual({ 3: '9' })
    })
  })

  test('stays if the plan has deletes, or changes nothing', async () => {
    const withDelete = {
      ...two(),
      deletes: writePlan([], [{ id: 'c', deletesUpTo: timeText(NOW_MS) }], NOW_MS).deletes,
    }
    expect(await advance(withDelete, undefined)).toMatchObject({ hasAdvanced: false })
    expect(await advance(writePlan([], [], NOW_MS), undefined)).toMatchObject({ hasAdvanced: false })
    expect(await redis.exists(PROGRESS)).toBe(0)
  })

  test('is never moved back', async () => {
    await store().overwrite(3, undefined, 12)
    expect(await advance(two(), 12)).toMatchObject({ hasAdvanced: true })
    expect((await store().load([3])).get(3)?.next).toBe(12)
  })
})
