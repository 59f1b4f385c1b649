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
  const update = (id: string, expiresAtMs = NOW_MS + 3_600_000) => ({
    id,
    lastUpdated: timeText(NOW_MS),
    fields: ['persist', 'true'],
    expiresAtMs,
  })
  const tombstone = (id: string) => ({ id, deletesUpTo: timeText(NOW_MS) })
  const writer = () => createDeviceWriter(redis, { maxKeys: 2, maxBytes: 100_000 })

  test('gets the ids of all hashes that are written, once', async () => {
    await writer().write(writePlan([update('a'), update('gw1:node:7'), update('é')]))
    await writer().write(writePlan([update('a'), update('b')]))
    expect(await members()).toEqual(['a', 'b', 'gw1:node:7', 'é'].sort())
    expect(await index.count()).toBe(4)
  })

  test('gets the id of a hash that another program wrote, even if the update is stale', async () => {
    await redis.hset('device:a:metadata', 'last_updated', timeText(NOW_MS, 1_000))
    expect((await writer().write(writePlan([update('a')]))).updates).toEqual(['stale'])
    expect(await members()).toEqual(['a'])
  })

  test('does not get the id of a key that Redis refused', async () => {
    await redis.lpush('device:a:metadata', 'x')
    await writer().write(writePlan([update('a'), update('b')]))
    expect(await members()).toEqual(['b'])
  })

  test('loses the ids that a tombstone deletes or finds without a hash, and keeps the others', async () => {
    await writer().write(writePlan(['a', 'b', 'c'].map((id) => update(id))))
    await redis.del('device:b:metadata')
    await redis.hset('device:c:metadata', 'last_updated', timeText(NOW_MS, 1_000))
    const { deletes } = await writer().write(writePlan([], ['a', 'b', 'c'].map(tombstone)))
    expect(deletes).toEqual(['deleted', 'absent', 'kept'])
    expect(await members()).toEqual(['c'])
  })

  test('keeps a device that a chunk deletes and writes again', async () => {
    await writer().write(writePlan([update('a')]))
    await writer().write(writePlan([{ ...update('a'), lastUpdated: timeText(NOW_MS, 1) }], [tombstone('a')]))
    expect(await members()).toEqual(['a'])
  })

  test('is not created by removing nothing', async () => {
    expect(await index.removeAbsent([])).toBe(0)
    expect(await redis.exists('devices')).toBe(0)
    expect(await index.count()).toBe(0)
  })

  test('removes ids without a hash, and keeps the others', async () => {
    const all = ids(1_700)
    await redis.sadd('devices', ...all)
    const alive = all.filter((_, i) => i % 7 === 0)
    for (const id of alive) await redis.hset(deviceKey(id), 'persist', 'true')
    expect(await index.removeAbsent(all)).toBe(all.length - alive.length)
    expect(await members()).toEqual([...alive].sort())
    expect(await index.removeAbsent(all)).toBe(0)
  })

  test('removes only the given ids', async () => {
    await redis.sadd('devices', ...ids(3))
    expect(await index.removeAbsent([deviceId('d1')])).toBe(1)
    expect(await members()).toEqual(['d0', 'd2'])
  })

  test('is scanned page by page, and completely', async () => {
    const all = ids(3_000)
    await redis.sadd('devices', ...all)
    const first = await index.scan('0')
    expect(first.cursor).not.toBe('0')
    expect(first.deviceIds.length).toBeLessThan(3_000)
    expect(await scanAll()).toEqual(new Set(all))
  })

  test('of another Redis type causes an error that names the key', async () => {
    await redis.set('devices', 'mine')
    await expect(writer().write(writePlan([update('a')]))).rejects.toMatchObject({
      side: 'redis',
      code: 'KEY_TYPE',
      failureClass: 'operator',
    })
    await expect(index.count()).rejects.toMatchObject({ code: 'KEY_TYPE', failureClass: 'operator' })
    await expect(index.scan('0')).rejects.toMatchObject({ code: 'KEY_TYPE', failureClass: 'operator' })
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
