import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { eventTimeUs } from '../../../../cache-service/core/event-time.ts'
import { NO_EVENT_TIME } from '../../../../cache-service/core/devices/device-table.ts'
import { createDeviceScan } from '../../../../cache-service/redis/devices/device-scan.ts'
import { startOwnRedis } from '../../../support/servers/servers.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

const UPDATED = '2025-06-08T18:27:17.476623+00:00'
const PLENTY = { maxDevices: 1_000_000, maxIdBytes: 100_000_000, maxTypeCharacters: 1_000_000 }

let database: RedisDatabase
beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(() => database.release())
beforeEach(async () => {
  await database.client.flushdb()
})

async function store(id: string, fields: Record<string, string>, redis = database.client): Promise<void> {
  await redis.hset(`device:${id}:metadata`, fields)
  await redis.sadd('devices', id)
}

/** By id: its type and event time. */
async function scan(limits = PLENTY, signal = new AbortController().signal) {
  const progress: number[] = []
  const { isTruncated, table } = await createDeviceScan(database.client)({
    limits,
    signal,
    progress: (devices) => progress.push(devices),
  })
  const rows = Array.from({ length: table.length }, (_, row) => {
    const facts = { ...table.types[table.typeOf(row)], updatedUs: table.updatedOf(row) }
    return [table.idOf(row), facts] as const
  })
  return { devices: new Map(rows), isTruncated, progress }
}

describe('a scan of all devices', () => {
  test('reads type and event time, and distinguishes an absent field from an empty one', async () => {
    await store('a', { datatype_id: '7', datatype_name: 'x\0y', datatype_unit: '°C', last_updated: UPDATED })
    await store('größe 🌡', { datatype_name: '' })
    const { devices, isTruncated } = await scan()
    expect(isTruncated).toBe(false)
    expect(devices).toEqual(
      new Map([
        ['a', { id: '7', name: 'x\0y', unit: '°C', updatedUs: 1_749_407_237_476_623 }],
        ['größe 🌡', { id: null, name: '', unit: null, updatedUs: NO_EVENT_TIME }],
      ]),
    )
    expect(eventTimeUs(UPDATED)).toBe(1_749_407_237_476_623)
  })

  test('omits ids without a hash and invalid ids, but not devices that hold nothing that a search compares', async () => {
    await store('other fields', { persist: 'true' })
    await database.client.sadd('devices', 'expired', 'not\nvalid')
    await database.client.set('device:text:metadata', 'not a hash')
    await database.client.sadd('devices', 'text')
    const { devices } = await scan()
    const nothing = { id: null, name: null, unit: null, updatedUs: NO_EVENT_TIME }
    expect(devices).toEqual(
      new Map([
        ['other fields', nothing],
        ['text', nothing],
      ]),
    )
  })

  test.each([
    '',
    'yesterday',
    '2025-06-08T18:27:17',
    `${UPDATED.slice(0, 31)}°`,
    '°'.repeat(16),
    ' '.repeat(32),
    '2025-13-08T18:27:17.476623+00:00',
  ])(
    'counts the event time %j, which no worker writes, as absent, and misreads no other',
    async (last_updated) => {
      for (const id of ['a', 'b', 'c']) await store(id, { last_updated: id === 'b' ? last_updated : UPDATED })
      const { devices } = await scan()
      const times = ['a', 'b', 'c'].map((id) => devices.get(id)?.updatedUs)
      expect(times).toEqual([eventTimeUs(UPDATED), NO_EVENT_TIME, eventTimeUs(UPDATED)])
    },
  )

  test('reads thousands of devices, each with a type of its own', async () => {
    const pipeline = database.client.pipeline()
    for (let n = 0; n < 3_000; n++) {
      pipeline.hset(`device:d${n}:metadata`, { datatype_id: `t${n}`, last_updated: UPDATED })
      pipeline.sadd('devices', `d${n}`)
    }
    await pipeline.exec()
    const { devices, progress } = await scan()
    expect(devices.size).toBe(3_000)
    expect([...devices].every(([id, { id: type }]) => type === id.replace('d', 't'))).toBe(true)
    expect(progress.at(-1)).toBeGreaterThanOrEqual(3_000)
  })

  test.each([{ maxDevices: 5 }, { maxIdBytes: 260 }, { maxTypeCharacters: 40 }])(
    'ends and is truncated when the table is full: %j',
    async (limits) => {
      for (let n = 0; n < 20; n++) await store(`device-${n}`, { datatype_id: String(n) })
      const { devices, isTruncated } = await scan({ ...PLENTY, ...limits })
      expect(isTruncated).toBe(true)
      expect(devices.size).toBeLessThan(20)
      expect((await scan({ ...PLENTY, maxDevices: 20 })).isTruncated).toBe(false)
    },
  )

  test('ends with the reason of its signal', async () => {
    await store('a', { last_updated: UPDATED })
    const reason = new Error('no one waits')
    await expect(scan(PLENTY, AbortSignal.abort(reason))).rejects.toBe(reason)
  })

  test('works after Redis has forgotten its scripts', async (context) => {
    // A server of its own: other tests would notice.
    const server = await startOwnRedis()
    const own = new Redis(server.url)
    context.onTestFinished(async () => {
      own.disconnect()
      await server.stop()
    })
    await store('a', { last_updated: UPDATED }, own)
    const run = createDeviceScan(own)
    const options = { limits: PLENTY, signal: new AbortController().signal, progress: () => undefined }
    await run(options)
    await own.script('FLUSH')
    expect((await run(options)).table.length).toBe(1)
  })
})
