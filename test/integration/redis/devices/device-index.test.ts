import * as fc from 'fast-check'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { createDeviceIndex, type DeviceIndex } from '../../../../cache-service/redis/devices/device-index.ts'
import { createDeviceWriter } from '../../../../cache-service/redis/devices/device-writer.ts'
import { isDeviceId, type DeviceId } from '../../../../shared/contract/device-id.ts'
import { deviceKey } from '../../../../shared/contract/keys.ts'
import { anyCharacter } from '../../../support/records/arbitrary-text.ts'
import { deviceId } from '../../../support/records/record-builder.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import { timeText, writePlan } from '../../../support/records/write-plan.ts'

const NOW_MS = Date.now()

let database: RedisDatabase
let redis: Redis
let index: DeviceIndex

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  redis = database.client
  index = createDeviceIndex(redis)
})
beforeEach(() => redis.flushdb())
afterAll(() => database.release())

const ids = (count: number) => Array.from({ length: count }, (_, i) => deviceId(`d${i}`))
const members = async () => (await redis.smembers('devices')).sort()

async function scanAll(): Promise<Set<string>> {
  const found = new Set<string>()
  let cursor = '0'
  do {
    const page = await index.scan(cursor)
    for (const id of page.deviceIds) found.add(id)
    cursor = page.cursor
  } while (cursor !== '0')
  return found
}

describe('the device index', () => {
  test('adds each id once, however often it is added', async () => {
    await index.add([deviceId('a'), deviceId('gw1:node:7')])
    await index.add([deviceId('a'), deviceId('é')])
    expect(await members()).toEqual(['a', 'gw1:node:7', 'é'].sort())
    expect(await index.count()).toBe(3)
  })

  test('is not created by adding nothing', async () => {
    await index.add([])
    expect(await index.removeAbsent([])).toBe(0)
    expect(await redis.exists('devices')).toBe(0)
    expect(await index.count()).toBe(0)
  })

  test('removes ids without a hash, and keeps the others', async () => {
    const all = ids(1_700)
    await index.add(all)
    const alive = all.filter((_, i) => i % 7 === 0)
    for (const id of alive) await redis.hset(deviceKey(id), 'persist', 'true')
    expect(await index.removeAbsent(all)).toBe(all.length - alive.length)
    expect(await members()).toEqual([...alive].sort())
    expect(await index.removeAbsent(all)).toBe(0)
  })

  test('removes only the given ids', async () => {
    await index.add(ids(3))
    expect(await index.removeAbsent([deviceId('d1')])).toBe(1)
    expect(await members()).toEqual(['d0', 'd2'])
  })

  test('is scanned page by page, and completely', async () => {
    const all = ids(3_000)
    await index.add(all)
    const first = await index.scan('0')
    expect(first.cursor).not.toBe('0')
    expect(first.deviceIds.length).toBeLessThan(3_000)
    expect(await scanAll()).toEqual(new Set(all))
  })

  test('of another Redis type causes a WRONGTYPE error', async () => {
    await redis.set('devices', 'mine')
    await expect(index.add([deviceId('a')])).rejects.toMatchObject({ side: 'redis', code: 'WRONGTYPE' })
    await expect(index.count()).rejects.toMatchObject({ code: 'WRONGTYPE' })
    await expect(index.scan('0')).rejects.toMatchObject({ code: 'WRONGTYPE' })
  })
})

test('any id is written to its own hash and the index, and removed from the index, without affecting other ids', async () => {
  const writer = createDeviceWriter(redis, { maxKeys: 3, maxBytes: 100_000 })
  const anyId = fc
    .oneof(
      fc.string({ unit: anyCharacter, minLength: 1, maxLength: 12 }),
      fc.string({
        unit: fc.constantFrom(':', '{', '}', '*', '%', ' ', 'é', '🚪', '"', '\\'),
        minLength: 1,
        maxLength: 6,
      }),
      fc.constantFrom(
        'x'.repeat(256),
        '🚪'.repeat(64),
        'é'.repeat(128),
        'device:a:metadata',
        '__proto__',
        'devices',
      ),
    )
    .filter((text): text is DeviceId => isDeviceId(text))
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(anyId, { minLength: 1, maxLength: 8 }), async (given) => {
      await redis.flushdb()
      const updates = given.map((id, i) => ({
        id,
        lastUpdated: timeText(NOW_MS),
        fields: ['datatype_id', String(i)],
        expiresAtMs: NOW_MS + 3_600_000,
      }))
      await writer.write(writePlan(updates))
      await index.add(given)
      expect(await scanAll()).toEqual(new Set(given))
      const stored = await Promise.all(given.map((id) => redis.hget(deviceKey(id), 'datatype_id')))
      expect(stored).toEqual(given.map((_, i) => String(i)))
      const [gone, ...rest] = given
      if (gone === undefined) return
      await redis.del(deviceKey(gone))
      expect(await index.removeAbsent(given)).toBe(1)
      expect(await scanAll()).toEqual(new Set(rest))
    }),
    { numRuns: 80 },
  )
})
