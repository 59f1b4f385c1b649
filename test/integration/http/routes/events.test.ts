import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import {
  DEVICE_STREAM_KEY,
  LISTENING_KEY,
  UPDATE_STREAM_KEY,
  UPDATE_TYPES_KEY,
} from '../../../../shared/contract/keys.ts'
import { gapFields, hintFields } from '../../../../cache-service/core/events/stream-entry.ts'
import { startEventApi, type EventApi } from '../../../support/processes/event-api.ts'
import { eventually } from '../../../support/eventually.ts'
import { openSse, type SseClient } from '../../../support/processes/sse-client.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

let database: RedisDatabase

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(() => database.release())
beforeEach(async () => {
  await database.client.flushdb()
})

describe('GET /api/events', () => {
  test('sends a ping first, then updates and hints as they occur, each with an id', async () => {
    const api = await startApi()
    const client = await follow(api)
    expect(client.headers.get('content-type')).toBe('text/event-stream')
    expect(client.events[0]).toEqual({ id: '0-0.0-0', event: 'ping', data: {} })
    await appendUpdate('inventory', 1)
    await appendHint('changed', ['a', 'b'], 3)
    await appendHint('deleted', ['c'])
    const news = await client.waitForNews(3)
    expect(news.map(({ event, data }) => ({ event, data }))).toEqual([
      { event: 'update', data: { type: 'inventory', updated: null, valid: true, values: [1] } },
      { event: 'device', data: { change: 'changed', device_ids: ['a', 'b'], more: 3 } },
      { event: 'device', data: { change: 'deleted', device_ids: ['c'], more: 0 } },
    ])
    expect(new Set(news.map(({ id }) => id)).size).toBe(3)
    expect(api.counts.sent).toBe(3)
  })

  test('sends only the events that pass the filter', async () => {
    const api = await startApi()
    const devices = await follow(api, '?events=device')
    const one = await follow(api, '?device=b&device=z')
    const types = await follow(api, '?events=update&update_type=x&update_type=y')
    await appendUpdate('x', 1)
    await appendUpdate('other', 2)
    await appendHint('changed', ['a', 'b'], 3)
    await appendHint('changed', ['a'])
    await appendHint('deleted', ['a'], 2)
    await appendUpdate('y', 3)
    await one.waitForNews(5)
    expect((await devices.waitForNews(3)).map(({ event }) => event)).toEqual(['device', 'device', 'device'])
    expect(one.news().filter(({ event }) => event === 'device')).toEqual([
      expect.objectContaining({ data: { change: 'changed', device_ids: ['b'], more: 3 } }),
      expect.objectContaining({ data: { change: 'deleted', device_ids: [], more: 2 } }),
    ])
    expect((await types.waitForNews(2)).map(valueOf)).toEqual([1, 3])
  })

  test('sends a reset for a gap, to the followers of that stream only', async () => {
    const api = await startApi()
    const updates = await follow(api, '?events=update')
    const devices = await follow(api, '?events=device')
    await database.client.xadd(UPDATE_STREAM_KEY, '*', ...gapFields('takeover'))
    await appendHint('changed', ['a'])
    expect(await updates.waitForNews(1)).toMatchObject([
      { event: 'reset', data: { streams: ['update'], reason: 'takeover' } },
    ])
    expect((await devices.waitForNews(1)).map(({ event }) => event)).toEqual(['device'])
  })

  test('resumes after Last-Event-ID or last_event_id on another api, with each event once and in order', async () => {
    const [first, second] = [await startApi(), await startApi()]
    const client = await follow(first)
    for (let n = 0; n < 10; n++) await appendUpdate('inventory', n)
    const seen = await client.waitForNews(10)
    client.close()
    for (let n = 10; n < 700; n++) {
      if (n % 7 === 0) await appendHint('changed', [`device-${n}`])
      await appendUpdate('inventory', n)
    }
    const byHeader = await follow(second, '', seen[4]?.id)
    const byQuery = await follow(first, `?last_event_id=${seen[4]?.id ?? ''}`)
    for (let n = 700; n < 720; n++) await appendUpdate('inventory', n)
    for (const resumed of [byHeader, byQuery]) {
      await eventually(() => {
        expect(updatesOf(resumed)).toEqual(Array.from({ length: 715 }, (_, i) => i + 5))
      })
      expect(resumed.news().filter(({ event }) => event === 'device')).toHaveLength(98)
      expect(resumed.news().some(({ event }) => event === 'reset')).toBe(false)
    }
  })

  test('sends each update once and in order to a client that keeps reconnecting to alternating apis', async () => {
    const apis = [await startApi(), await startApi()]
    const got: (number | undefined)[] = []
    let appended = 0
    const appending = (async () => {
      while (appended < 600) {
        await appendUpdate('inventory', appended++)
        if (appended % 5 === 0) await appendHint('changed', [`device-${appended}`])
      }
    })()
    const start = await openSse(`${apis[0]?.url}/api/events?last_event_id=0-0.0-0`)
    await start.waitForNews(1)
    start.close()
    got.push(...updatesOf(start))
    let id = start.lastId
    for (let round = 0; got.length < 600; round++) {
      const client = await openSse(`${apis[round % 2]?.url}/api/events`, id)
      await eventually(() => expect(updatesOf(client).length).toBeGreaterThan(0), { everyMs: 2 })
      client.close()
      const news = client.news()
      got.push(...updatesOf(client))
      id = client.lastId ?? id
      expect(news.some(({ event }) => event === 'reset')).toBe(false)
    }
    await appending
    expect(got).toEqual(Array.from({ length: 600 }, (_, n) => n))
  })

  test('sends a reset when the position is no longer in the stream, and continues from the end', async () => {
    const api = await startApi()
    await appendUpdate('inventory', 0)
    const before = await follow(api)
    const place = before.lastId
    before.close()
    for (let n = 1; n < 300; n++) await appendUpdate('inventory', n)
    await database.client.xtrim(UPDATE_STREAM_KEY, 'MAXLEN', 10)
    const client = await follow(api, '', place)
    await appendUpdate('inventory', 300)
    const news = await client.waitForNews(2)
    expect(news[0]).toMatchObject({ event: 'reset', data: { streams: ['update', 'device'] } })
    expect(valueOf(news[1])).toBe(300)
    // A client that does not follow the trimmed stream has missed nothing.
    const devices = await follow(api, '?events=device', place)
    expect(devices.news()).toEqual([])
  })

  test.each([
    'yesterday',
    '1-1',
    '1-1.1-1',
    '9999999999999-0.0-0',
    '0-0.999999999999999-999999999999999',
    '18446744073709551616-0.0-0',
    '0-0.0-18446744073709551616',
    '0-0.0-0x',
  ])('sends a reset for %s, which is not a position in the streams', async (place) => {
    const api = await startApi()
    await appendUpdate('inventory', 0)
    const client = await follow(api, '', place)
    expect(client.news()).toMatchObject([{ event: 'reset' }])
    await appendUpdate('inventory', 1)
    expect(valueOf((await client.waitForNews(2))[1])).toBe(1)
  })

  test('keeps the position of a filtered client current by pings', async () => {
    const api = await startApi({ pingIntervalMs: 100 })
    const quiet = await follow(api, '?events=update&update_type=rare')
    for (let n = 0; n < 50; n++) await appendUpdate('often', n)
    await eventually(async () => {
      const [last] = await database.client.xrevrange(UPDATE_STREAM_KEY, '+', '-', 'COUNT', 1)
      expect(quiet.events.at(-1)).toEqual({ id: `${last?.[0]}.0-0`, event: 'ping', data: {} })
    })
    quiet.close()
    await database.client.xtrim(UPDATE_STREAM_KEY, 'MAXLEN', 2)
    await appendUpdate('rare', 1)
    const resumed = await follow(api, '?events=update&update_type=rare', quiet.lastId)
    expect((await resumed.waitForNews(1)).map(valueOf)).toEqual([1])
  })

  test('drops only a client that takes nothing for a while, and holds a bounded part of the past for it', async () => {
    const api = await startApi({ stallTimeoutMs: 1_000 })
    const good = await follow(api)
    await openAndNeverRead(api)
    await eventually(() => expect(api.counts.clients).toBe(2))
    const filler = 'x'.repeat(30_000)
    let sent = 0
    await eventually(
      async () => {
        for (let n = 0; n < 20; n++) await appendUpdate('inventory', sent++, filler)
        expect(api.counts.dropped).toEqual(['slow'])
      },
      { everyMs: 10, timeoutMs: 30_000 },
    )
    expect((await good.waitForNews(sent)).map(valueOf)).toEqual(Array.from({ length: sent }, (_, n) => n))
    expect(api.counts.clients).toBe(1)
  })

  test('drops no client in a burst of large updates, and sends each of them once and in order', async () => {
    const api = await startApi()
    const clients = await Promise.all(
      ['', '', '?events=update', '?device=a'].map((query) => follow(api, query)),
    )
    const filler = 'x'.repeat(20_000)
    const burst = database.client.multi()
    for (let n = 0; n < 400; n++) burst.xadd(UPDATE_STREAM_KEY, '*', ...updateFields('inventory', n, filler))
    await burst.exec()
    await appendUpdate('inventory', 400)
    for (const client of clients) {
      await client.waitForNews(401)
      expect(updatesOf(client)).toEqual(Array.from({ length: 401 }, (_, n) => n))
    }
    expect(api.counts.dropped).toEqual([])
  })

  test('lets clients with different filters and at different places catch up from the same pages', async () => {
    const reads: string[] = []
    const api = await startApi({ observeRead: (stream, after) => reads.push(`${stream} ${after}`) })
    const before = await follow(api)
    for (let n = 0; n < 300; n++) {
      await appendHint('changed', [`device-${n}`, 'everywhere'])
      if (n % 3 === 0) await appendUpdate('inventory', n)
    }
    const news = await before.waitForNews(400)
    before.close()
    const places = [0, 1, 7, 63, 64, 65, 200].map((index) => news[index]?.id)
    const clients = await Promise.all(
      places.flatMap((place) =>
        ['', '?device=everywhere', '?events=update'].map((query) => follow(api, query, place)),
      ),
    )
    for (const [i, client] of clients.entries()) {
      const missed = news.slice(news.findIndex(({ id }) => id === places[Math.floor(i / 3)]) + 1)
      const expected = i % 3 === 2 ? missed.filter(isUpdate) : missed
      await eventually(() => expect(client.news()).toHaveLength(expected.length))
      expect(updatesOf(client)).toEqual(expected.filter(isUpdate).map(valueOf))
      if (i % 3 === 0) expect(hintedBy(client.news())).toEqual(hintedBy(expected))
    }
    // 300 hints and 100 updates are 7 pages. Clients that begin in the same page at once read it several times.
    expect(reads.length).toBeLessThan(30)
  })

  test('sends a reset to a client whose past is trimmed while it catches up, and loses nothing after it', async () => {
    let reads = 0
    const api = await startApi({
      observeRead: async () => {
        if (++reads === 2) await database.client.xtrim(UPDATE_STREAM_KEY, 'MAXLEN', 5)
      },
    })
    await appendUpdate('inventory', 0)
    const before = await follow(api)
    const place = before.lastId
    before.close()
    for (let n = 1; n <= 300; n++) await appendUpdate('inventory', n)
    const client = await follow(api, '?events=update', place)
    await eventually(() => expect(client.news().some(({ event }) => event === 'reset')).toBe(true))
    await appendUpdate('inventory', 301)
    await eventually(() => expect(client.news().map(valueOf).at(-1)).toBe(301))
    const kinds = client.news().map(({ event }) => event)
    const reset = kinds.indexOf('reset')
    expect(kinds.filter((kind) => kind === 'reset')).toHaveLength(1)
    expect(client.news().slice(0, reset).map(valueOf)).toEqual(Array.from({ length: reset }, (_, n) => n + 1))
    expect(
      client
        .news()
        .slice(reset + 1)
        .map(valueOf),
    ).toEqual([301])
  })

  test('forgets clients that leave while they connect, catch up, or do not read', async () => {
    const api = await startApi({ maxHeldBytes: 64 * 1024, maxConcurrentChunks: 1 })
    const before = await follow(api)
    const place = before.lastId
    before.close()
    const filler = 'x'.repeat(20_000)
    for (let n = 0; n < 300; n++) await appendUpdate('inventory', n, filler)
    for (let round = 0; round < 10; round++) {
      const leaving = Array.from({ length: 20 }, async (_, n) => {
        const socket = await openAndNeverRead(api, `?device=${n}`, place)
        if (n % 2 === 0) await eventually(() => expect(api.counts.clients).toBeGreaterThan(0), { everyMs: 1 })
        socket.destroy()
      })
      await Promise.all(leaving)
    }
    await eventually(() => expect(api.counts.clients).toBe(0))
    // Nothing is held for them any more: another client catches up.
    const client = await follow(api, '', place)
    await client.waitForNews(300)
    expect(updatesOf(client)).toEqual(Array.from({ length: 300 }, (_, n) => n))
  })

  test('lets others catch up while clients do not read, though the bytes that are held are bounded', async () => {
    const api = await startApi({ maxHeldBytes: 128 * 1024, stallTimeoutMs: 1_000 })
    const before = await follow(api)
    const place = before.lastId
    before.close()
    const filler = 'x'.repeat(60_000)
    for (let n = 0; n < 300; n++) await appendUpdate('inventory', n, filler)
    for (let n = 0; n < 10; n++) await openAndNeverRead(api, `?device=${n}`, place)
    const client = await follow(api, '?device=reads', place)
    await client.waitForNews(300)
    expect(updatesOf(client)).toEqual(Array.from({ length: 300 }, (_, n) => n))
    await eventually(() => expect(api.counts.dropped).toEqual(Array.from({ length: 10 }, () => 'slow')))
  })

  test('refuses clients beyond the limit, and accepts one when another has left', async () => {
    const api = await startApi({ maxClients: 2 })
    const first = await follow(api)
    await follow(api)
    const refused = await openSse(`${api.url}/api/events`)
    expect(refused.status).toBe(503)
    expect(refused.headers.get('retry-after')).toBe('2')
    first.close()
    await eventually(async () => {
      const client = await openSse(`${api.url}/api/events`)
      onTestFinished(() => client.close())
      expect(client.status).toBe(200)
    })
  })

  test('refuses an unknown filter, and HEAD', async () => {
    const api = await startApi()
    expect((await fetch(`${api.url}/api/events?events=update,other`)).status).toBe(400)
    expect((await fetch(`${api.url}/api/events`, { method: 'HEAD' })).status).toBe(404)
    expect(api.counts.clients).toBe(0)
  })

  test('closes the streams immediately when the server closes', async () => {
    const api = await startEventApi(database.url)
    const client = await openSse(`${api.url}/api/events`)
    await api.stop()
    await eventually(() => expect(client.isEnded).toBe(true))
  })

  test('announces a listener only while a client follows devices', async () => {
    const api = await startApi()
    await follow(api, '?events=update')
    expect(await database.client.exists(LISTENING_KEY)).toBe(0)
    await follow(api, '?events=device')
    await eventually(async () => expect(await database.client.pttl(LISTENING_KEY)).toBeGreaterThan(0))
  })

  test('serves a thousand idle clients with little memory, and sends each the next update', async () => {
    const api = await startApi()
    const heapBefore = process.memoryUsage().heapUsed
    const clients: SseClient[] = []
    for (let n = 0; n < 20; n++) {
      const some = await Promise.all(Array.from({ length: 50 }, () => openSse(`${api.url}/api/events`)))
      clients.push(...some)
    }
    onTestFinished(() => clients.forEach((client) => client.close()))
    expect(api.counts.clients).toBe(1_000)
    await appendUpdate('inventory', 1)
    await eventually(() => expect(clients.every((client) => client.news().length === 1)).toBe(true))
    expect(api.counts.sent).toBe(1_000)
    // This includes the clients of the test.
    expect((process.memoryUsage().heapUsed - heapBefore) / 1_000).toBeLessThan(200_000)
  })
})

describe('GET /api/state', () => {
  test('returns the values, and an event id after which all newer events follow', async () => {
    const api = await startApi({}, ['older', 'absent', 'text', 'hash'])
    await database.client.sadd(UPDATE_TYPES_KEY, 'inventory', 'deleted')
    await database.client.mset({
      inventory: '{"updated":1,"valid":true,"values":[1]}',
      older: '{"values":[2]}',
    })
    await database.client.set('text', 'not JSON')
    await database.client.hset('hash', 'a', 'b')
    await appendUpdate('inventory', 1)
    await appendHint('changed', ['a'])
    const state = await getState(api, '')
    expect(state.body.state).toEqual({
      inventory: { updated: 1, valid: true, values: [1] },
      older: { values: [2] },
      text: 'not JSON',
    })
    await appendUpdate('inventory', 2)
    const client = await follow(api, `?last_event_id=${state.body.last_event_id}`)
    expect((await client.waitForNews(1)).map(valueOf)).toEqual([2])
  })

  test('returns one value, and 404 for an unknown type', async () => {
    const api = await startApi({}, ['older'])
    await database.client.sadd(UPDATE_TYPES_KEY, 'a/ü:1')
    await database.client.set('a/ü:1', '{"values":[1]}')
    await database.client.set('private', '{"values":[1]}')
    const found = await getState(api, `/${encodeURIComponent('a/ü:1')}`)
    expect(found).toEqual({
      status: 200,
      body: { state: { 'a/ü:1': { values: [1] } }, last_event_id: '0-0.0-0' },
    })
    for (const type of ['private', 'older', UPDATE_TYPES_KEY]) {
      expect(await getState(api, `/${type}`)).toMatchObject({ status: 404, body: { type: 'not_found' } })
    }
  })
})

async function startApi(
  limits: Parameters<typeof startEventApi>[1] = {},
  stateTypes: readonly string[] = [],
): Promise<EventApi> {
  const api = await startEventApi(database.url, limits, stateTypes)
  onTestFinished(() => api.stop())
  return api
}

async function follow(api: EventApi, query = '', lastEventId?: string): Promise<SseClient> {
  const client = await openSse(`${api.url}/api/events${query}`, lastEventId)
  onTestFinished(() => client.close())
  expect(client.status).toBe(200)
  return client
}

/** A connection that asks for the events, and reads only when the test does. */
async function openAndNeverRead(api: EventApi, query = '', lastEventId?: string): Promise<Socket> {
  const { hostname, port } = new URL(api.url)
  const socket = connect({ host: hostname, port: Number(port) })
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined).pause()
  const resume = lastEventId === undefined ? '' : `Last-Event-ID: ${lastEventId}\r\n`
  socket.write(`GET /api/events${query} HTTP/1.1\r\nHost: test\r\n${resume}\r\n`)
  await once(socket, 'connect')
  return socket
}

async function getState(api: EventApi, path: string) {
  const response = await fetch(`${api.url}/api/state${path}`)
  const body: { state: unknown; last_event_id: string; type?: string } = JSON.parse(await response.text())
  return { status: response.status, body }
}

async function appendUpdate(type: string, value: number, filler?: string): Promise<void> {
  await database.client.xadd(UPDATE_STREAM_KEY, '*', ...updateFields(type, value, filler))
}

function updateFields(type: string, value: number, filler?: string): string[] {
  const values = filler === undefined ? [value] : [value, filler]
  return [
    'kind',
    'update',
    'type',
    type,
    'json',
    JSON.stringify({ type, updated: null, valid: true, values }),
  ]
}

async function appendHint(kind: 'changed' | 'deleted', ids: readonly string[], more = 0): Promise<void> {
  await database.client.xadd(DEVICE_STREAM_KEY, '*', ...hintFields(kind, ids, more))
}

function isUpdate({ event }: SseClient['events'][number]): boolean {
  return event === 'update'
}

/** The device ids of all hints. */
function hintedBy(news: readonly SseClient['events'][number][]): unknown[] {
  return news.flatMap(({ data, event }) =>
    event === 'device' && typeof data === 'object' && data !== null && 'device_ids' in data
      ? [data.device_ids]
      : [],
  )
}

function updatesOf(client: SseClient): (number | undefined)[] {
  return client.news().filter(isUpdate).map(valueOf)
}

function valueOf(event: SseClient['events'][number] | undefined): number | undefined {
  const data = event?.data
  if (typeof data !== 'object' || data === null || !('values' in data) || !Array.isArray(data.values))
    return undefined
  return Number(data.values[0])
}
