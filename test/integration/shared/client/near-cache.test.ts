import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import type { DeviceCacheClient } from '../../../../shared/client/client.ts'
import { deviceKey } from '../../../../shared/contract/keys.ts'
import type { ApiProxy, Treatment } from '../../../support/servers/api-proxy.ts'
import {
  appendGap,
  clientOf,
  hint,
  lookupsOf,
  proxyTo,
  reportRebuilding,
  storeDevice,
} from '../../../support/processes/client-world.ts'
import { deviceId } from '../../../support/records/record-builder.ts'
import { eventually, patiently } from '../../../support/eventually.ts'
import { startApi, type RunningApi } from '../../../support/processes/start-api.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

let database: RedisDatabase
let api: RunningApi

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  api = await startApi({ REDIS_URL: database.url })
})
afterAll(async () => {
  await api.stop()
  await database.release()
})
beforeEach(async () => {
  const keys = await database.client.keys('device:*')
  if (keys.length > 0) await database.client.del(keys)
})

const store = (id: string, name: string) =>
  storeDevice(database.client, id, { datatype_name: name, last_updated: '2025-06-08T18:27:17.476623+00:00' })

const nameOf = async (client: DeviceCacheClient, id: string) => (await client.get(id))?.datatype_name

/** A client whose near cache is fresh because it receives the events. */
async function watching(proxy: ApiProxy, nearCache: object = {}, options: object = {}) {
  const client = clientOf(proxy.url, { retries: 0, nearCache, ...options })
  await store('probe', 'probe')
  await patiently(async () => {
    const before = client.stats.nearHits
    await client.get('probe')
    expect(client.stats.nearHits).toBe(before + 1)
  })
  return client
}

describe('the near cache', () => {
  test('answers without a request until an event names the device', async () => {
    const proxy = await proxyTo(api.url)
    const client = await watching(proxy)
    await store('d', 'old')
    expect(await nameOf(client, 'd')).toBe('old')
    const asked = lookupsOf(proxy).length
    for (let i = 0; i < 1_000; i++) expect(await nameOf(client, 'd')).toBe('old')
    expect(lookupsOf(proxy)).toHaveLength(asked)
    await store('d', 'new')
    expect(await nameOf(client, 'd')).toBe('old')
    await hint(database.client, 'changed', ['d'])
    await patiently(async () => expect(await nameOf(client, 'd')).toBe('new'))
    expect(lookupsOf(proxy).slice(asked)).toEqual([['d']])
    await database.client.del(deviceKey(deviceId('d')))
    await hint(database.client, 'deleted', ['d'])
    await patiently(async () => expect(await client.get('d')).toBeUndefined())
  })

  test.each([
    ['a gap', () => appendGap(database.client)],
    ['a hint with more changes than it names', () => hint(database.client, 'changed', ['other'], 1)],
  ])('is emptied by %s', async (_, happen) => {
    const proxy = await proxyTo(api.url)
    const client = await watching(proxy)
    await store('d', 'old')
    await client.get('d')
    await store('d', 'new')
    await happen()
    await patiently(async () => expect(await nameOf(client, 'd')).toBe('new'))
  })

  test('does not keep a response that was read before a change and arrived after its event', async () => {
    const proxy = await proxyTo(api.url)
    const client = await watching(proxy)
    await store('d', 'old')
    const { promise: gate, resolve: open } = Promise.withResolvers<Treatment>()
    // The api has read the old value before its response is held back.
    const held = await fetch(`${api.url}/api/devices/lookup`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"ids":["d"]}',
    })
    const oldResponse: Treatment = {
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: await held.text(),
    }
    proxy.treat = () => gate
    const asked = lookupsOf(proxy).length
    const first = nameOf(client, 'd')
    await eventually(() => expect(lookupsOf(proxy)).toHaveLength(asked + 1))
    proxy.treat = () => 'pass'
    await store('d', 'new')
    await hint(database.client, 'changed', ['d'])
    // A call after the event does not join the lookup that began before it.
    await patiently(async () => {
      const device = await client.get('d', { signal: AbortSignal.timeout(200) })
      expect(device?.datatype_name).toBe('new')
    })
    open(oldResponse)
    expect(await first).toBe('old')
    expect(await nameOf(client, 'd')).toBe('new')
  })

  test('is limited to maxEntries, and keeps nothing beyond maxAgeMs or the ttl of the device', async () => {
    const proxy = await proxyTo(api.url)
    const small = await watching(proxy, { maxEntries: 3 })
    for (const id of ['a', 'b', 'c', 'd']) await store(id, id)
    await small.lookup(['a', 'b', 'c', 'd'])
    expect(small.stats.nearSize).toBe(3)
    const young = await watching(proxy, { maxAgeMs: 300 })
    await store('e', 'old')
    await young.get('e')
    await store('e', 'new')
    await patiently(async () => expect(await nameOf(young, 'e')).toBe('new'))
    await storeDevice(database.client, 'short', {}, 1_500)
    expect(await small.get('short')).toMatchObject({ ttl: 2 })
    await patiently(async () => expect(await small.get('short')).toBeUndefined())
  })

  test('does not cache that a device is missing', async () => {
    const client = await watching(await proxyTo(api.url))
    expect(await client.get('soon')).toBeUndefined()
    await store('soon', 'here')
    expect(await nameOf(client, 'soon')).toBe('here')
  })

  test('sends a request for every get while the event stream is disconnected, and returns stale data if it fails', async () => {
    const proxy = await proxyTo(api.url)
    const client = await watching(proxy, {}, { timeoutMs: 2_000 })
    await store('d', 'held')
    await client.get('d')
    proxy.treat = ({ line }) => (line.startsWith('GET /api/events') ? { status: 503 } : 'pass')
    proxy.breakConnections()
    const asked = lookupsOf(proxy).length
    await patiently(async () => {
      await client.get('d')
      expect(lookupsOf(proxy).length).toBeGreaterThan(asked)
    })
    expect(client.stats.staleHits).toBe(0)
    proxy.treat = () => ({ status: 503 })
    expect(await nameOf(client, 'd')).toBe('held')
    expect(client.stats.staleHits).toBe(1)
    await expect(client.get('never seen')).rejects.toMatchObject({ name: 'CacheUnavailableError' })
    proxy.treat = () => ({ status: 401 })
    await expect(client.get('d')).rejects.toMatchObject({ name: 'UnauthorizedError' })
    proxy.treat = () => 'pass'
    const before = client.stats.nearHits
    await patiently(async () => {
      await client.get('d')
      expect(client.stats.nearHits).toBeGreaterThan(before)
    })
  })

  test('returns stale data while the cache is being rebuilt', async () => {
    const proxy = await proxyTo(api.url)
    const client = await watching(proxy, { maxAgeMs: 500 })
    const plain = clientOf(api.url)
    onTestFinished(async () => {
      await reportRebuilding(database.client, false)
      await patiently(() => plain.get('nobody'))
    })
    await store('d', 'held')
    await client.get('d')
    await reportRebuilding(database.client, true)
    await patiently(() => expect(plain.get('nobody')).rejects.toMatchObject({ name: 'CacheRebuildingError' }))
    await client.get('d')
    await database.client.del(deviceKey(deviceId('d')))
    await patiently(async () => {
      expect(await nameOf(client, 'd')).toBe('held')
      expect(client.stats.staleHits).toBeGreaterThan(0)
    })
  })

  test('drops a device that this client removes', async () => {
    const client = await watching(await proxyTo(api.url))
    await store('d', 'old')
    await client.get('d')
    await client.remove('d')
    expect(await client.get('d')).toBeUndefined()
  })

  test('follows the events on one connection, which is closed with the client', async () => {
    const proxy = await proxyTo(api.url)
    const client = await watching(proxy)
    await Promise.all(['a', 'b', 'c'].map((id) => client.get(id)))
    const streams = proxy.seen.filter(({ line }) => line.startsWith('GET /api/events'))
    expect(streams.map(({ line }) => line)).toEqual(['GET /api/events?events=device'])
    const open = await api.metric('sse_clients')
    client.close()
    await patiently(async () => expect(await api.metric('sse_clients')).toBe((open ?? 0) - 1))
  })
})
