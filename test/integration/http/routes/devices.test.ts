import * as fc from 'fast-check'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { renderDevice } from '../../../../cache-service/core/devices/device-view.ts'
import { createDeviceReader } from '../../../../cache-service/redis/devices/device-reader.ts'
import { parseDeviceId, type DeviceId } from '../../../../shared/contract/device-id.ts'
import { progressKey, deviceKey } from '../../../../shared/contract/keys.ts'
import { describedApi, postJson, type DescribedApi } from '../../../support/docs/described-api.ts'
import { eventually } from '../../../support/eventually.ts'
import { connectPlainly } from '../../../support/servers/redis-connection.ts'
import { startOwnRedis } from '../../../support/servers/servers.ts'
import { startApi, type RunningApi } from '../../../support/processes/start-api.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import { markFilled } from '../../../support/records/filled-cache.ts'
import { lastingWorkerReporter } from '../../../support/records/lasting-reporter.ts'

let database: RedisDatabase
let running: RunningApi
let api: DescribedApi

const NEWEST = '2025-06-08T18:27:17.476623+00:00'

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  running = await startApi({ REDIS_URL: database.url })
  api = await describedApi(running.url)
})
afterAll(async () => {
  await running.stop()
  await database.release()
})
beforeEach(async () => {
  await database.client.flushdb()
  await markFilled(database.client)
})

function idOf(text: string): DeviceId {
  const id = parseDeviceId(text)
  if (id === undefined) throw new Error(`${text} is not a device id`)
  return id
}

async function store(text: string, fields: Record<string, string> = {}, ttlMs?: number): Promise<void> {
  const id = idOf(text)
  await database.client.hset(deviceKey(id), { persist: 'true', last_updated: NEWEST, ...fields })
  if (ttlMs !== undefined) await database.client.pexpire(deviceKey(id), ttlMs)
  await database.client.sadd('devices', id)
}

async function getDevice(id: string, query = '', init: RequestInit = {}) {
  return await api.ask(`/api/devices/${encodeURIComponent(id)}${query}`, init)
}

describe('GET /api/devices/{id}', () => {
  test('returns the fields with their original types', async () => {
    const fields = {
      datatype_id: '7',
      datatype_name: 'Temperature',
      datatype_unit: '["°C","%"]',
      persist: '[true,false]',
      battery_ok: 'true',
    }
    await store('d', fields, 90_000)
    const { headers, json, status } = await getDevice('d')
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(json).toEqual({
      device_id: 'd',
      datatype_id: '7',
      datatype_name: 'Temperature',
      datatype_unit: ['°C', '%'],
      persist: [true, false],
      last_updated: NEWEST,
      extra: { battery_ok: 'true' },
      ttl: 90,
    })
  })

  test('returns null for absent fields and for the ttl of a device that never expires', async () => {
    await database.client.hset(deviceKey(idOf('d')), { persist: 'false' })
    expect((await getDevice('d')).json).toEqual({
      device_id: 'd',
      datatype_id: null,
      datatype_name: null,
      datatype_unit: null,
      persist: false,
      last_updated: null,
      extra: {},
      ttl: null,
    })
  })

  test.each([
    'a:b:c',
    'a/b',
    'a/',
    '/',
    'lookup',
    'a%2Fb',
    'a b?c#d&e=f',
    'größe °C 温度 🌡',
    '"quoted" \\back',
    'x'.repeat(256),
    '🌡'.repeat(64),
    '%'.repeat(256),
  ])('finds, looks up and deletes the id %j', async (id) => {
    await store(id)
    const { json, status } = await getDevice(id)
    expect(status).toBe(200)
    expect(json).toMatchObject({ device_id: id })
    expect((await api.ask('/api/devices/lookup', postJson({ ids: [id] }))).json).toMatchObject({
      found: { [id]: { device_id: id } },
    })
    expect((await getDevice(id, '', { method: 'DELETE' })).status).toBe(204)
    expect((await getDevice(id)).status).toBe(404)
  })

  test('answers 404 for an unknown device, and 400 for an invalid id', async () => {
    const unknown = await getDevice('d')
    expect(unknown.status).toBe(404)
    expect(unknown.json).toEqual({
      type: 'not_found',
      title: 'Not found',
      status: 404,
      detail: 'There is no such device.',
    })
    for (const id of ['x'.repeat(257), '🌡'.repeat(65), 'a\u0007b', 'a\nb']) {
      const { json, status } = await getDevice(id)
      expect([id, status, json]).toEqual([id, 400, expect.objectContaining({ type: 'invalid_request' })])
    }
  })

  test('answers 304 while the hash is the same, regardless of its ttl, and 200 once it has changed', async () => {
    await store('d', {}, 90_000)
    const etag = (await getDevice('d')).headers.get('etag') ?? ''
    expect(etag).toMatch(/^W\/".+"$/)
    await database.client.pexpire(deviceKey(idOf('d')), 50_000)
    for (const header of [etag, `"other", ${etag}`, '*', etag.slice(2)]) {
      const { headers, status, text } = await getDevice('d', '', { headers: { 'if-none-match': header } })
      expect([header, status, text]).toEqual([header, 304, ''])
      expect(headers.get('etag')).toBe(etag)
    }
    await database.client.hset(deviceKey(idOf('d')), 'datatype_name', 'changed')
    const changed = await getDevice('d', '', { headers: { 'if-none-match': etag } })
    expect(changed.status).toBe(200)
    expect(changed.headers.get('etag')).not.toBe(etag)
  })

  test('answers HEAD like GET, without the body', async () => {
    await store('d')
    const get = await getDevice('d')
    const head = await getDevice('d', '', { method: 'HEAD' })
    expect([head.status, head.text]).toEqual([200, ''])
    for (const name of ['etag', 'content-type', 'content-length']) {
      expect(head.headers.get(name), name).toBe(get.headers.get(name))
    }
    expect((await getDevice('e', '', { method: 'HEAD' })).status).toBe(404)
  })

  test('returns only the requested fields, and always the id', async () => {
    await store('d', { datatype_unit: '°C', battery: '1' })
    const url = `${running.url}/api/devices/d?fields=`
    expect(await (await fetch(`${url}datatype_unit,ttl`)).json()).toEqual({
      device_id: 'd',
      datatype_unit: '°C',
      ttl: null,
    })
    expect(await (await fetch(`${url}extra`)).json()).toEqual({ device_id: 'd', extra: { battery: '1' } })
    for (const fields of ['', 'unit', 'ttl,', '__proto__']) {
      const { json, status } = await getDevice('d', `?fields=${fields}`)
      expect([fields, status, json]).toEqual([
        fields,
        400,
        expect.objectContaining({ type: 'invalid_request' }),
      ])
    }
  })

  test('answers corrupt_device for a corrupt hash, without quoting it', async () => {
    await store('broken', { persist: 'maybe secret' })
    await database.client.set(deviceKey(idOf('string')), 'secret')
    for (const id of ['broken', 'string']) {
      const { json, status, text } = await getDevice(id)
      expect([status, json]).toEqual([500, expect.objectContaining({ type: 'corrupt_device' })])
      expect(text).not.toContain('secret')
    }
  })

  test('renders any hash exactly like core/devices/device-view.ts', async () => {
    const reader = createDeviceReader(database.client)
    const word = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.json(),
      fc.constantFrom(
        'true',
        'false',
        '[]',
        '["a","b"]',
        '[true, 1]',
        ' ["x"]',
        '["\\u00e9"]',
        '[',
        '["a",]',
        '"',
        '\u007f',
      ),
    )
    const hash = fc.dictionary(
      fc.oneof(
        fc.constantFrom(
          'datatype_id',
          'datatype_name',
          'datatype_unit',
          'persist',
          'last_updated',
          '__proto__',
        ),
        fc.string({ maxLength: 8 }),
      ),
      word.filter((text) => text.isWellFormed()),
      { minKeys: 1, noNullPrototype: true },
    )
    const ids = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).map(parseDeviceId)
    await fc.assert(
      fc.asyncProperty(ids, hash, fc.boolean(), async (id, fields, expires) => {
        fc.pre(id !== undefined)
        await database.client.flushdb()
        await database.client.hset(deviceKey(id), ...Object.entries(fields).flat())
        if (expires) await database.client.pexpire(deviceKey(id), 4_000_000)
        const stored = await database.client.hgetall(deviceKey(id))
        const expected = renderDevice(id, Object.entries(stored).flat(), expires ? 4000 : undefined)
        const reading = await reader.read(id)
        expect(parsed(reading)).toEqual(parsed(expected))
      }),
      { numRuns: 300 },
    )
  })
})

function parsed(reading: { kind: string; json?: string }): unknown {
  return reading.json === undefined ? reading : JSON.parse(reading.json)
}

describe('GET /api/devices/{id}/hash', () => {
  test('returns the hash as Redis holds it, corrupt or not', async () => {
    const fields = { datatype_unit: '["°C", "%"]', persist: '{', extra: '' }
    await store('a/b:c', fields)
    const { json, status } = await api.ask(`/api/devices/${encodeURIComponent('a/b:c')}/hash`)
    expect(status).toBe(200)
    expect(json).toEqual({ ...fields, last_updated: NEWEST })
  })

  test('answers corrupt_device for a key of another type, and 404 for no key', async () => {
    await database.client.set('device:text:metadata', 'no hash')
    expect(await api.ask('/api/devices/text/hash')).toMatchObject({
      status: 500,
      json: { type: 'corrupt_device' },
    })
    expect(await api.ask('/api/devices/absent/hash')).toMatchObject({
      status: 404,
      json: { type: 'not_found' },
    })
  })
})

describe('POST /api/devices/lookup', () => {
  test('sorts each distinct id into found, missing or errors', async () => {
    await store('a', { datatype_name: 'A' })
    await store('b', { persist: 'broken' })
    const { json, status } = await api.ask(
      '/api/devices/lookup',
      postJson({ ids: ['a', 'b', 'c', 'a', '', 'c', 'x'.repeat(300)] }),
    )
    expect(status).toBe(200)
    expect(json).toEqual({
      found: { a: expect.objectContaining({ device_id: 'a', datatype_name: 'A' }) },
      missing: ['c'],
      errors: {
        b: expect.objectContaining({ type: 'corrupt_device' }),
        '': expect.objectContaining({ type: 'invalid_device_id' }),
        ['x'.repeat(300)]: expect.objectContaining({ type: 'invalid_device_id' }),
      },
      complete: true,
    })
  })

  test('looks up a thousand ids of maximum length, and refuses more', async () => {
    const ids = Array.from({ length: 1000 }, (_, i) => `${'°'.repeat(126)}${String(i).padStart(4, '0')}`)
    await Promise.all(ids.slice(0, 600).map((id) => store(id)))
    const { json, status } = await api.ask('/api/devices/lookup', postJson({ ids }))
    expect(status).toBe(200)
    expect(json).toMatchObject({ missing: ids.slice(600), errors: {}, complete: true })
    const more = await api.ask('/api/devices/lookup', postJson({ ids: Array(1001).fill('a') }))
    expect([more.status, more.json]).toEqual([400, expect.objectContaining({ type: 'invalid_request' })])
  })

  test('reads from Redis by scripts in one pipeline and nothing else', async () => {
    const server = await startOwnRedis()
    onTestFinished(() => server.stop())
    const alone = await startApi({ REDIS_URL: server.url })
    onTestFinished(() => alone.stop())
    const redis = connectPlainly(server)
    const ids = Array.from({ length: 1000 }, (_, i) => `d${i}`)
    const lookUp = () => fetch(`${alone.url}/api/devices/lookup`, postJson({ ids }))
    await lookUp()
    const commands = await commandsDuring(redis, lookUp)
    expect(Object.keys(commands).filter((name) => ['hget', 'hgetall', 'get', 'mget'].includes(name))).toEqual(
      [],
    )
    expect(commands['evalsha']).toBe(8)
  })

  test.each([
    ['ids that are not a list', { ids: 'a' }],
    ['no ids', {}],
    ['a number among the ids', { ids: ['a', 1] }],
    ['null', null],
  ])('refuses %s', async (_, body) => {
    const { json, status } = await api.ask('/api/devices/lookup', postJson(body))
    expect([status, json]).toEqual([400, expect.objectContaining({ type: 'invalid_request' })])
  })
})

async function commandsDuring(redis: Redis, work: () => Promise<unknown>): Promise<Record<string, number>> {
  const read = async () => {
    const text = await redis.info('commandstats')
    return new Map(
      [...text.matchAll(/^cmdstat_([\w|]+):calls=(\d+)/gm)].map(([, name = '', calls]) => [
        name,
        Number(calls),
      ]),
    )
  }
  const before = await read()
  await work()
  const after = await read()
  const more = [...after].map(([name, calls]): [string, number] => [name, calls - (before.get(name) ?? 0)])
  return Object.fromEntries(more.filter(([, calls]) => calls > 0))
}

describe('GET /api/devices', () => {
  async function allPages(query: string, limits?: readonly number[]) {
    const ids: string[] = []
    const sizes: number[] = []
    let cursor = ''
    for (let pages = 0; pages < 5000; pages++) {
      const limit = limits === undefined ? '' : `&limit=${limits[pages % limits.length]}`
      const { json, status } = await api.ask(`/api/devices?${query}${limit}${cursor}`)
      expect(status).toBe(200)
      const page = pageOf(json)
      sizes.push(page.devices.length)
      ids.push(...page.devices.map((device) => device.device_id))
      if (page.next_cursor === null) return { ids, sizes }
      cursor = `&cursor=${encodeURIComponent(page.next_cursor)}`
    }
    throw new Error('the pages never end')
  }

  async function storeMany(count: number): Promise<string[]> {
    const ids = Array.from({ length: count }, (_, i) => `d:${i}`)
    const pipeline = database.client.pipeline()
    for (const id of ids) {
      pipeline.hset(deviceKey(idOf(id)), { persist: 'true' })
      pipeline.sadd('devices', id)
    }
    await pipeline.exec()
    return ids
  }

  test.each([
    [3, 1],
    [100, 7],
    [300, 1],
    [2000, 3],
    [2000, 100],
    [2000, 1000],
  ])('lists each of %i devices once, in pages of at most %i', async (count, limit) => {
    const expected = await storeMany(count)
    const { ids, sizes } = await allPages(`limit=${limit}`)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(limit)
    expect(new Set(ids)).toEqual(new Set(expected))
    expect(ids).toHaveLength(count)
  })

  test('lists each device once even if the page size changes on the way', async () => {
    const expected = await storeMany(2000)
    const { ids } = await allPages('', [1, 50, 2, 7, 300])
    expect(new Set(ids)).toEqual(new Set(expected))
    expect(ids).toHaveLength(expected.length)
  })

  test('matches id prefixes literally', async () => {
    for (const id of ['a*b', 'a*c', 'axb', 'a[1]', 'a?', 'a\\', '°a', 'b']) await store(id)
    const idsOf = async (match: string) =>
      (await allPages(`limit=2&match=${encodeURIComponent(match)}`)).ids.sort()
    expect(await idsOf('a*')).toEqual(['a*b', 'a*c'])
    expect(await idsOf('a[')).toEqual(['a[1]'])
    expect(await idsOf('a?')).toEqual(['a?'])
    expect(await idsOf('a\\')).toEqual(['a\\'])
    expect(await idsOf('°')).toEqual(['°a'])
    expect(await idsOf('absent')).toEqual([])
    expect(await idsOf('')).toHaveLength(8)
  })

  test('finds the one matching device among many ids in few pages', async () => {
    const pipeline = database.client.pipeline()
    for (let i = 0; i < 30_000; i++) pipeline.sadd('devices', `d:${i}`)
    await pipeline.exec()
    await store('z:1')
    const { ids, sizes } = await allPages('match=z')
    expect(ids).toEqual(['z:1'])
    expect(sizes.length).toBeLessThan(6)
  })

  test('omits expired devices and reports corrupt ones', async () => {
    await store('good')
    await store('broken', { persist: '{' })
    await database.client.sadd('devices', 'expired', 'x'.repeat(300))
    const { json } = await api.ask('/api/devices')
    expect(json).toEqual({
      devices: [expect.objectContaining({ device_id: 'good' })],
      next_cursor: null,
      errors: { broken: expect.objectContaining({ type: 'corrupt_device', status: 500 }) },
    })
    expect(await (await fetch(`${running.url}/api/devices/`)).json()).toEqual(json)
  })

  test.each(['limit=0', 'limit=1001', 'limit=', 'limit=1.5', 'cursor=x', 'cursor=', 'limit=1&limit=2'])(
    'refuses ?%s',
    async (query) => {
      expect((await api.ask(`/api/devices?${query}`)).status).toBe(400)
    },
  )
})

function pageOf(json: unknown) {
  return json as { devices: { device_id: string }[]; next_cursor: string | null }
}

describe('DELETE /api/devices/{id}', () => {
  test('removes hash and index, once', async () => {
    await store('d')
    await store('e')
    const deleted = await getDevice('d', '', { method: 'DELETE' })
    expect([deleted.status, deleted.text]).toEqual([204, ''])
    expect(await database.client.keys('*')).toEqual(expect.not.arrayContaining(['device:d:metadata']))
    expect(await database.client.smembers('devices')).toEqual(['e'])
    expect((await getDevice('d', '', { method: 'DELETE' })).status).toBe(404)
  })
})

describe('while a worker reports a rebuild', () => {
  test('a present device is found, and a missing one is answered with 503 cache_rebuilding', async () => {
    const reporter = lastingWorkerReporter(database.client, 'w1')
    const report = {
      ...{ id: 'w1', version: '1', started_at: NEWEST, reported_at: NEWEST, state: 'consuming', ready: true },
      ...{
        reasons: [],
        rates: { records: 0, applied: 0, dead_letters: 0 },
        totals: {},
        dead_letters_total: 0,
      },
      ...{ lag: null, lag_records: null, devices: null, dead_letters: [] },
    }
    await store('here')
    await reporter.write({ ...report, rebuilding: true })
    const miss = await eventually(async () => {
      const answer = await getDevice('there')
      expect(answer.status).toBe(503)
      return answer
    })
    expect(miss.json).toMatchObject({ type: 'cache_rebuilding', status: 503 })
    expect(miss.headers.get('retry-after')).toBe('5')
    expect((await getDevice('here')).status).toBe(200)
    expect((await getDevice('there', '', { method: 'DELETE' })).status).toBe(503)
    const ask = async (...ids: string[]) => (await api.ask('/api/devices/lookup', postJson({ ids }))).json
    expect(await ask('here', 'there')).toMatchObject({ missing: ['there'], complete: false })
    expect(await ask('here')).toMatchObject({ missing: [], complete: true })

    await reporter.write({ ...report, rebuilding: false })
    await eventually(async () => expect((await getDevice('there')).status).toBe(404))
    expect(await ask('there')).toMatchObject({ missing: ['there'], complete: true })
  })
})

test('metrics count lookups by result and requests by route, and no label is an id', async () => {
  await store('counted')
  const before = await running.metric('cache_lookups_total', { result: 'found' })
  await getDevice('counted')
  await api.ask('/api/devices/lookup', postJson({ ids: ['counted', 'absent', ''] }))
  expect(await running.metric('cache_lookups_total', { result: 'found' })).toBe((before ?? 0) + 2)
  const labels = { method: 'GET', route: '/api/devices/:id', status: '200' }
  expect(await running.metric('http_requests_total', labels)).toBeGreaterThan(0)
  expect(
    await running.metric('http_request_duration_seconds_count', { route: '/api/devices/:id' }),
  ).toBeGreaterThan(0)
  const metrics = await (await fetch(`${running.health}/metrics`)).text()
  expect(metrics).not.toContain('counted"')
})

test('a miss is 503 without a live worker, too, until Redis holds the progress of a complete cache', async () => {
  const group = progressKey('cache_service_group', 'iot_validated_data')
  const ask = async (id: string) => (await api.ask('/api/devices/lookup', postJson({ ids: [id] }))).json
  await store('here')
  for (const progress of [{ '0:requested': '1' }, { 0: '3', '0:until': '9' }]) {
    await database.client.del(group)
    await database.client.hset(group, progress)
    await eventually(async () => expect((await getDevice('there')).status).toBe(503))
    expect(await ask('there')).toMatchObject({ missing: ['there'], complete: false })
    expect((await getDevice('here')).status).toBe(200)
    await database.client.hset(group, { 0: '9' })
    await database.client.hdel(group, '0:requested', '0:until')
    await eventually(async () => expect((await getDevice('there')).status).toBe(404))
    expect(await ask('there')).toMatchObject({ missing: ['there'], complete: true })
  }
})
