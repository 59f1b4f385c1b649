import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import type { DeviceCacheClient } from '../../../../shared/client/client.ts'
import type { WatchConnection, WatchEvent, WatchOptions } from '../../../../shared/client/types.ts'
import { UPDATE_STREAM_KEY } from '../../../../shared/contract/keys.ts'
import { appendGap, appendUpdate, clientOf, hint, proxyTo } from '../../../support/processes/client-world.ts'
import { patiently } from '../../../support/eventually.ts'
import { startApi, type RunningApi } from '../../../support/processes/start-api.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

let database: RedisDatabase
let api: RunningApi

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(() => database.release())
beforeEach(async () => {
  await database.client.flushdb()
  api = await startApi({ REDIS_URL: database.url })
  return () => api.stop()
})

/** Collects the events of a watch until it ends. */
function collect(client: DeviceCacheClient, options: WatchOptions = {}) {
  const events: WatchEvent[] = []
  const connections: WatchConnection['kind'][] = []
  const ended = (async () => {
    const onConnection = ({ kind }: WatchConnection) => void connections.push(kind)
    for await (const event of client.watch({ ...options, onConnection })) events.push(event)
  })()
  ended.catch(() => undefined) // reported to the test that awaits it
  return {
    events,
    connections,
    ended,
    isLive: () => patiently(() => expect(connections.at(-1)).toBe('live')),
    values: () => events.flatMap((event) => (event.kind === 'update' ? [firstOf(event.values)] : [])),
  }
}

function firstOf(values: unknown): unknown {
  return Array.isArray(values) ? values[0] : values
}

const setValue = (value: number) => appendUpdate(database.client, 'inventory', value)

describe('watch', () => {
  test('yields each kind of event, typed, with its id', async () => {
    const watch = collect(clientOf(api.url))
    await watch.isLive()
    await setValue(1)
    await hint(database.client, 'changed', ['a', 'b'], 3)
    await hint(database.client, 'deleted', ['c'])
    await appendGap(database.client)
    await patiently(() => expect(watch.events).toHaveLength(4))
    const id = expect.stringMatching(/^\d+-\d+\.\d+-\d+$/)
    expect(watch.events).toEqual([
      {
        ...{ kind: 'update', type: 'inventory', updated: null, valid: true, values: [1] },
        ...{ isTooLarge: false, id },
      },
      { kind: 'device', change: 'changed', deviceIds: ['a', 'b'], more: 3, id },
      { kind: 'device', change: 'deleted', deviceIds: ['c'], more: 0, id },
      { kind: 'reset', streams: ['device'], reason: 'missed', id },
    ])
    expect(new Set(watch.events.map((event) => event.id)).size).toBe(4)
  })

  test('yields only the requested events', async () => {
    const client = clientOf(api.url)
    const devices = collect(client, { devices: ['b & c'], events: ['device'] })
    const types = collect(client, { updateTypes: ['x', 'inventory'] })
    await Promise.all([devices.isLive(), types.isLive()])
    await hint(database.client, 'changed', ['a', 'b & c'], 3)
    await appendUpdate(database.client, 'other', 1)
    await setValue(2)
    await patiently(() => expect(types.values()).toEqual([2]))
    await patiently(() => expect(devices.events).toMatchObject([{ deviceIds: ['b & c'], more: 3 }]))
  })

  test('resumes after the id of an event, or the lastEventId of the state', async () => {
    const client = clientOf(api.url)
    const first = collect(client)
    await first.isLive()
    for (let n = 0; n < 5; n++) await setValue(n)
    await patiently(() => expect(first.values()).toHaveLength(5))
    const again = collect(client, { lastEventId: first.events[1]?.id })
    await patiently(() => expect(again.values()).toEqual([2, 3, 4]))
    const { lastEventId } = await client.state()
    await setValue(5)
    const fromState = collect(client, { lastEventId })
    await patiently(() => expect(fromState.values()).toEqual([5]))
  })

  test('loses and repeats nothing when its connection breaks several times', async () => {
    const proxy = await proxyTo(api.url)
    const watch = collect(clientOf(proxy.url))
    await watch.isLive()
    for (let n = 0; n < 300; n++) {
      await setValue(n)
      if (n % 75 === 50) {
        proxy.breakConnections()
        await patiently(() => expect(watch.connections.at(-1)).toBe('interrupted'))
      }
    }
    await patiently(() => expect(watch.values()).toHaveLength(300))
    expect(watch.values()).toEqual(Array.from({ length: 300 }, (_, n) => n))
    expect(watch.events.filter(({ kind }) => kind === 'reset')).toEqual([])
  })

  test('survives a restart of the api, and misses no event from the meantime', async () => {
    const proxy = await proxyTo(api.url)
    const watch = collect(clientOf(proxy.url))
    await watch.isLive()
    await setValue(0)
    await patiently(() => expect(watch.values()).toEqual([0]))
    await api.stop()
    await patiently(() => expect(watch.connections.at(-1)).toBe('interrupted'))
    for (let n = 1; n < 5; n++) await setValue(n)
    api = await startApi({ REDIS_URL: database.url })
    proxy.target = api.url
    await patiently(() => expect(watch.values()).toEqual([0, 1, 2, 3, 4]))
    await watch.isLive()
  })

  test('yields a reset when events from the meantime are no longer in the stream', async () => {
    const proxy = await proxyTo(api.url)
    const watch = collect(clientOf(proxy.url))
    await watch.isLive()
    for (let n = 0; n < 2; n++) await setValue(n)
    await patiently(() => expect(watch.values()).toHaveLength(2))
    proxy.treat = () => ({ status: 503, headers: { 'retry-after': '1' } })
    proxy.breakConnections()
    for (let n = 2; n < 300; n++) await setValue(n)
    await database.client.xtrim(UPDATE_STREAM_KEY, 'MAXLEN', 1)
    proxy.treat = () => 'pass'
    await patiently(() => expect(watch.events.at(-1)).toMatchObject({ kind: 'reset' }))
    await watch.isLive()
    await setValue(300)
    await patiently(() => expect(watch.values().at(-1)).toBe(300))
  })

  test('reconnects when the connection is silent', async () => {
    const proxy = await proxyTo(api.url)
    const watch = collect(clientOf(proxy.url, { silenceMs: 300 }))
    await patiently(() => expect(watch.connections).toContain('interrupted'))
    await patiently(() =>
      expect(watch.connections.filter((kind) => kind === 'live').length).toBeGreaterThan(1),
    )
    expect(proxy.seen.at(-1)?.headers['last-event-id']).toBe('0-0.0-0')
  })

  test('waits as long as Retry-After says, and can be aborted meanwhile', async () => {
    const proxy = await proxyTo(api.url)
    proxy.treat = () => ({ status: 503, headers: { 'retry-after': '60' } })
    const abort = new AbortController()
    const waits: number[] = []
    const events = clientOf(proxy.url).watch({
      signal: abort.signal,
      onConnection: (connection) => {
        if (connection.kind === 'interrupted') waits.push(connection.retryInMs)
        abort.abort(new Error('aborted'))
      },
    })
    await expect(events.next()).rejects.toThrow('aborted')
    expect(waits).toEqual([expect.any(Number)])
    expect(waits[0]).toBeGreaterThanOrEqual(60_000)
  })

  test('closes its connection when it is left or aborted, or when its client is closed', async () => {
    const clients = async () => api.metric('sse_clients')
    const client = clientOf(api.url)
    const abort = new AbortController()
    const aborted = collect(client, { signal: abort.signal })
    const closed = collect(client)
    const left = (async () => {
      for await (const event of client.watch()) return event
      return undefined
    })()
    await patiently(async () => expect(await clients()).toBe(3))
    await setValue(1)
    expect(await left).toMatchObject({ kind: 'update' })
    await patiently(async () => expect(await clients()).toBe(2))
    abort.abort(new Error('aborted'))
    await expect(aborted.ended).rejects.toThrow('aborted')
    client.close()
    await closed.ended
    await patiently(async () => expect(await clients()).toBe(0))
  })

  test.each([
    ['a proxy that has no backend for a while', { status: 404, body: '<html>' }],
    ['a page of maintenance', { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }],
    ['a token that is being renewed', { status: 401 }],
    ['a token whose scope is being restored', { status: 403 }],
  ])('survives %s, and misses nothing', async (_, treatment) => {
    const proxy = await proxyTo(api.url)
    const watch = collect(clientOf(proxy.url))
    await watch.isLive()
    await setValue(1)
    await patiently(() => expect(watch.values()).toEqual([1]))
    proxy.treat = () => treatment
    proxy.breakConnections()
    // It goes on trying meanwhile.
    const interruptions = () => watch.connections.filter((kind) => kind === 'interrupted').length
    await patiently(() => expect(interruptions()).toBeGreaterThanOrEqual(3))
    await setValue(2)
    proxy.treat = () => 'pass'
    await patiently(() => expect(watch.values()).toEqual([1, 2]))
  })

  test('ends if the request becomes invalid, or if an event does not match the API', async () => {
    const proxy = await proxyTo(api.url)
    const watch = collect(clientOf(proxy.url))
    await watch.isLive()
    proxy.treat = () => ({ status: 400 })
    proxy.breakConnections()
    await expect(watch.ended).rejects.toMatchObject({ name: 'InvalidRequestError' })
    const headers = { 'content-type': 'text/event-stream' }
    proxy.treat = () => ({ status: 200, headers, body: 'event: reset\ndata: {}\n\n' })
    await expect(collect(clientOf(proxy.url)).ended).rejects.toThrow('Unexpected reset event')
  })

  test('rejects with an error that a retry would not fix', async () => {
    const watch = collect(clientOf(api.url), { devices: Array.from({ length: 101 }, (_, i) => `${i}`) })
    await expect(watch.ended).rejects.toMatchObject({ name: 'InvalidRequestError', status: 400 })
  })

  test('catches up without a loss after it has not read for a while, and is not disconnected', async () => {
    const watch = clientOf(api.url).watch({ events: ['update'] })
    const waiting = watch.next()
    await patiently(async () => expect(await api.metric('sse_clients')).toBe(1))
    const filler = 'x'.repeat(60_000)
    const append = (n: number) =>
      database.client.xadd(UPDATE_STREAM_KEY, '*', ...['kind', 'update', 'type', 'big'], 'json', big(n))
    const big = (n: number) =>
      JSON.stringify({ type: 'big', updated: null, valid: null, values: [n, filler] })
    const sent = 400
    for (let n = 0; n < sent; n++) await append(n)
    const got = [await waiting]
    while (got.length < sent) got.push(await watch.next())
    const values = got.map(({ value }) => (value?.kind === 'update' ? firstOf(value.values) : value))
    expect(values).toEqual(Array.from({ length: sent }, (_, n) => n))
    expect(await api.metric('sse_clients')).toBe(1)
    expect(await api.metric('sse_dropped_total', { reason: 'slow' })).toBe(0)
    onTestFinished(async () => void (await watch.return()))
  })
})
