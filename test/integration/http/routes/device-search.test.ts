import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { searchSchema, typeCountsSchema } from '../../../../shared/contract/api-schemas.ts'
import { describedApi, type DescribedApi } from '../../../support/docs/described-api.ts'
import { eventually } from '../../../support/eventually.ts'
import { startApi, type RunningApi } from '../../../support/processes/start-api.ts'
import { startOwnRedis } from '../../../support/servers/servers.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

let database: RedisDatabase
let running: RunningApi
let api: DescribedApi

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(() => database.release())
// An API keeps a snapshot for a while: each test has one of its own.
beforeEach(async () => {
  await database.client.flushdb()
  running = await startApi({ REDIS_URL: database.url, API_SEARCH_MAX_DEVICES: '5000' })
  onTestFinished(() => running.stop())
  api = await describedApi(running.url)
})

const ago = (seconds: number) =>
  `${new Date(Date.now() - seconds * 1000).toISOString().slice(0, -1)}000+00:00`

async function store(devices: Readonly<Record<string, Record<string, string>>>): Promise<void> {
  const pipeline = database.client.pipeline()
  for (const [id, fields] of Object.entries(devices)) {
    pipeline.hset(`device:${id}:metadata`, { persist: 'true', ...fields })
    pipeline.sadd('devices', id)
  }
  await pipeline.exec()
}

async function search(query: string, from = api) {
  const { json, status } = await from.ask(`/api/search/devices?${query}`)
  expect(status).toBe(200)
  return searchSchema.parse(json)
}

const idsOf = ({ devices }: { devices: readonly { device_id: string }[] }) =>
  devices.map(({ device_id }) => device_id)

async function storeFleet(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, n) => `device-${String((n * 7) % count).padStart(5, '0')}`)
  await store(
    Object.fromEntries(ids.map((id, n) => [id, { datatype_name: `type ${n % 3}`, last_updated: ago(n) }])),
  )
  return ids.toSorted()
}

describe('GET /api/search/devices', () => {
  test('filters and sorts all devices, counts them, and returns them complete', async () => {
    await store({
      'hall-1': {
        datatype_name: 'Temperature',
        datatype_unit: '["°C","%"]',
        last_updated: ago(7200),
        rssi: '-70',
      },
      'hall-2': { datatype_name: 'Temperature', datatype_unit: '°C', last_updated: ago(5) },
      'roof-1': { datatype_name: 'Humidity', datatype_unit: '%', last_updated: ago(7000) },
    })
    const answer = await search('type=Temperature&sort=-last_updated')
    expect(answer).toMatchObject({ total: 2, offset: 0, truncated: false, next_cursor: null })
    expect(answer.devices).toMatchObject([
      { device_id: 'hall-2', datatype_unit: '°C', extra: {}, ttl: null },
      { device_id: 'hall-1', datatype_unit: ['°C', '%'], extra: { rssi: '-70' } },
    ])
    expect(Math.abs(Date.parse(answer.as_of) - Date.now())).toBeLessThan(60_000)
    expect(idsOf(await search('silent_for=3600&sort=last_updated'))).toEqual(['hall-1', 'roof-1'])
    expect(idsOf(await search('unit=%25'))).toEqual(['hall-1', 'roof-1'])
    expect(idsOf(await search('match=hall&contains=L-2'))).toEqual(['hall-2'])
    expect(idsOf(await search(`updated_after=${encodeURIComponent(ago(60))}`))).toEqual(['hall-2'])
    expect(idsOf(await search(`updated_before=${encodeURIComponent(ago(60))}`))).toEqual(['hall-1', 'roof-1'])
    expect(await search('type=none')).toMatchObject({ total: 0, devices: [], next_cursor: null })
  })

  test.each(['device_id', '-device_id', 'datatype_name', '-last_updated'])(
    'pages by %s have every device once, and say how many precede them',
    async (sort) => {
      const ids = await storeFleet(250)
      const found: string[] = []
      for (let cursor: string | null = ''; cursor !== null;) {
        const page = await search(`limit=60&sort=${sort}${cursor === '' ? '' : `&cursor=${cursor}`}`)
        expect(page).toMatchObject({ offset: found.length, total: 250 })
        found.push(...idsOf(page))
        cursor = page.next_cursor
      }
      expect(found.toSorted()).toEqual(ids)
      if (sort.endsWith('device_id')) expect(found).toEqual(sort === 'device_id' ? ids : ids.toReversed())
    },
  )

  test('continues at another API process, after the last device of the page, even if that is gone', async () => {
    const ids = await storeFleet(30)
    const first = await search('limit=10')
    const last = idsOf(first).at(-1) ?? ''
    await database.client.del(`device:${last}:metadata`)
    await database.client.srem('devices', last)
    const other = await startApi({ REDIS_URL: database.url })
    onTestFinished(() => other.stop())
    const second = await search(`limit=10&cursor=${first.next_cursor}`, await describedApi(other.url))
    expect(idsOf(second)).toEqual(ids.slice(10, 20))
    expect(second).toMatchObject({ offset: 9, total: 29 })
  })

  test('shows devices as they are now: without expired ones, and with the problems of corrupt ones', async () => {
    await store({ a: {}, b: {}, c: { datatype_name: 'old' }, d: { persist: 'not JSON' } })
    const first = await search('limit=1')
    await store({ c: { datatype_name: 'new' } })
    await database.client.del('device:b:metadata')
    // The next page belongs to the same snapshot.
    const answer = await search(`cursor=${first.next_cursor}`)
    expect(answer.devices).toMatchObject([{ device_id: 'c', datatype_name: 'new' }])
    expect(answer).toMatchObject({ total: 4, offset: 1, as_of: first.as_of })
    expect(answer.errors).toMatchObject({ d: { type: 'corrupt_device' } })
  })

  test('reads the devices once for all searches of the next seconds', async () => {
    await storeFleet(2_000)
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, n) => search(`limit=1&contains=${n}&sort=last_updated`)),
    )
    expect(all[0]?.total).toBeGreaterThan(0)
    expect(await running.metric('device_scans_total', { result: 'complete' })).toBe(1)
    expect(await running.metric('device_scan_duration_seconds_count')).toBe(1)
  })

  test('says that it does not cover all devices, and then exports none', async () => {
    await storeFleet(5_001)
    expect(await search('limit=1')).toMatchObject({ total: 5_000, truncated: true })
    expect(await running.metric('device_scans_total', { result: 'truncated' })).toBe(1)
    const { json, status } = await api.ask('/api/search/devices/export')
    expect(status).toBe(409)
    expect(json).toMatchObject({ type: 'too_many_devices' })
  })

  test.each([
    ['sort=ttl', 'sort'],
    ['sort=--device_id', 'sort'],
    ['silent_for=1h', 'silent_for'],
    ['silent_for=-1', 'silent_for'],
    ['updated_before=yesterday', 'updated_before'],
    ['updated_after=', 'updated_after'],
    ['limit=1001', 'limit'],
    [`type=${'x'.repeat(2000)}`, 'type'],
    ['type=a&type=b', 'type'],
  ])('rejects %s and names the parameter', async (query, name) => {
    const { json, status } = await api.ask(`/api/search/devices?${query}`)
    expect(status).toBe(400)
    expect(json).toMatchObject({ type: 'invalid_request' })
    expect(JSON.stringify(json)).toContain(name)
  })

  test.each(['x', 'W10', Buffer.from('[0,"device_id","","a"]').toString('base64url'), '%00'])(
    'rejects the cursor %j of another order',
    async (cursor) => {
      const { json, status } = await api.ask(`/api/search/devices?sort=-last_updated&cursor=${cursor}`)
      expect(status).toBe(400)
      expect(json).toMatchObject({ type: 'invalid_cursor' })
    },
  )

  test('reads nothing more when its caller has disconnected', async () => {
    await storeFleet(5_000)
    const gone = new AbortController()
    const answer = fetch(`${running.url}/api/search/devices`, { signal: gone.signal })
    await eventually(async () => {
      const commands = await database.client.info('commandstats')
      expect(commands).toContain('cmdstat_sscan')
    })
    gone.abort()
    await expect(answer).rejects.toThrow()
    await eventually(async () => {
      const ended = ['cancelled', 'complete'].map((result) =>
        running.metric('device_scans_total', { result }),
      )
      expect((await Promise.all(ended)).reduce<number>((sum, n) => sum + (n ?? 0), 0)).toBe(1)
    })
    expect((await search('limit=1')).total).toBe(5_000)
    expect(running.lines().filter(({ level }) => level === 'error')).toEqual([])
  })
})

test('GET /api/search/types counts the devices of each type', async () => {
  await store({
    a: { datatype_name: 'x', datatype_unit: '["%"]' },
    b: { datatype_name: 'y' },
    c: { datatype_name: 'y' },
  })
  const { json } = await api.ask('/api/search/types')
  expect(typeCountsSchema.parse(json)).toMatchObject({
    total: 3,
    truncated: false,
    types: [
      { datatype_id: null, datatype_name: 'y', datatype_unit: null, devices: 2 },
      { datatype_id: null, datatype_name: 'x', datatype_unit: '["%"]', devices: 1 },
    ],
  })
})

describe('GET /api/search/devices/export', () => {
  const FULL = {
    datatype_id: '7',
    datatype_name: '=1+1',
    datatype_unit: '["°C","%"]',
    persist: '[true,false]',
    last_updated: '2025-06-08T18:27:17.476623+00:00',
    'room, floor': 'a "b"\nc',
  }

  test('writes CSV that a spreadsheet reads as text', async () => {
    await store({ a: FULL, b: {} })
    const { headers, status, text } = await api.ask('/api/search/devices/export')
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('text/csv; charset=utf-8')
    expect(headers.get('content-disposition')).toBe('attachment; filename="devices.csv"')
    expect(text.split('\n')).toEqual([
      'device_id,datatype_name,datatype_id,datatype_unit,persist,last_updated,ttl,extra',
      `a,'=1+1,7,"[""°C"",""%""]","[true,false]",2025-06-08T18:27:17.476623+00:00,,"{""room, floor"":""a \\""b\\""\\nc""}"`,
      'b,,,,true,,,',
      '',
    ])
  })

  test('writes the columns that were asked for, in the order of the search', async () => {
    await store({ a: FULL, b: {} })
    const columns = ['extra.room, floor', 'device_id', 'extra.none'].map(
      (column) => `column=${encodeURIComponent(column)}`,
    )
    const { text } = await api.ask(`/api/search/devices/export?sort=-device_id&${columns.join('&')}`)
    expect(text).toBe('"extra.room, floor",device_id,extra.none\n,b,\n"a ""b""\nc",a,\n')
    expect((await api.ask('/api/search/devices/export?column=secret')).status).toBe(400)
  })

  test('writes one JSON document per line, of thousands of devices, and those that match only', async () => {
    await storeFleet(3_000)
    const { headers, text } = await api.ask('/api/search/devices/export?format=jsonl&type=type%201')
    expect(headers.get('content-type')).toBe('application/x-ndjson')
    const lines = text.split('\n').slice(0, -1)
    const schema = z.object({ device_id: z.string(), datatype_name: z.literal('type 1') })
    expect(new Set(lines.map((line) => schema.parse(JSON.parse(line)).device_id)).size).toBe(1_000)
  })

  test('is made twice at a time, and no longer than its caller is connected', async () => {
    const fields = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`field ${n}`, 'x'.repeat(400)]))
    await store(Object.fromEntries(Array.from({ length: 3_000 }, (_, n) => [`d${n}`, fields])))
    const path = '/api/search/devices/export'
    const gone = new AbortController()
    // They do not read the 24 MB, so that the API has to wait for them.
    const stuck = await Promise.all([1, 2].map(() => fetch(running.url + path, { signal: gone.signal })))
    expect(stuck.map(({ status }) => status)).toEqual([200, 200])
    const { json, status } = await api.ask(path)
    expect(status).toBe(503)
    expect(json).toMatchObject({ type: 'too_many_searches' })
    expect((await api.ask('/api/devices/d1')).status).toBe(200)
    gone.abort()
    await eventually(async () => expect((await api.ask(`${path}?match=d1`)).status).toBe(200))
  })

  test('ends when the API stops', async () => {
    const fields = { text: 'x'.repeat(8_000) }
    await store(Object.fromEntries(Array.from({ length: 3_000 }, (_, n) => [`d${n}`, fields])))
    const other = await startApi({ REDIS_URL: database.url })
    const response = await fetch(`${other.url}/api/search/devices/export`)
    await other.stop()
    await expect(response.text()).rejects.toThrow()
  })
})

test('searches and exports fail visibly when Redis fails', async () => {
  const redis = await startOwnRedis()
  const other = await startApi({ REDIS_URL: redis.url })
  onTestFinished(() => other.stop())
  await redis.stop()
  const asked = await describedApi(other.url)
  for (const path of ['devices', 'types', 'devices/export']) {
    const { json, status } = await asked.ask(`/api/search/${path}`)
    expect(status).toBe(503)
    expect(json).toMatchObject({ type: 'redis_unavailable' })
  }
  expect(await other.metric('device_scans_total', { result: 'failed' })).toBeGreaterThan(0)
})
