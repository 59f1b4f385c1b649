import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { rawHttp } from '../../../support/processes/raw-http.ts'
import { startApi } from '../../../support/processes/start-api.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import { requireTokens, tokenEntry } from '../../../support/tokens.ts'

let database: RedisDatabase

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(() => database.release())

/** An API that allows two requests per minute; returns the status of a request with these headers. */
async function openApi(env: Readonly<Record<string, string>> = {}) {
  const api = await startApi({ REDIS_URL: database.url, API_RATE_LIMIT_PER_MINUTE: '2', ...env })
  onTestFinished(() => api.stop())
  const statusOf = async (headers: Record<string, string> = {}, path = '/api/devices/x') =>
    (await fetch(api.url + path, { headers })).status
  return { ...api, statusOf }
}

const forwarded = (...addresses: string[]) => ({ 'x-forwarded-for': addresses.join(', ') })

describe('the rate limit', () => {
  test('rejects the further requests of a client with 429, but not its probes', async () => {
    const { statusOf, url } = await openApi()
    expect([await statusOf(), await statusOf(), await statusOf()]).toEqual([404, 404, 429])
    const answer = await fetch(`${url}/api/devices/x`)
    expect(await answer.json()).toMatchObject({ type: 'too_many_requests', status: 429 })
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await statusOf({}, '/nowhere')).toBe(429)
    expect(await statusOf({}, '/livez')).toBe(200)
  })

  test('ignores X-Forwarded-For without API_TRUSTED_PROXIES, and from other peers', async () => {
    for (const env of [{}, { API_TRUSTED_PROXIES: '10.0.0.0/8' }]) {
      const { statusOf } = await openApi(env)
      const statuses: number[] = []
      for (let i = 0; i < 3; i++) statuses.push(await statusOf(forwarded(`192.0.2.${i}`)))
      expect(statuses).toEqual([404, 404, 429])
    }
  })

  test('counts each client of a trusted proxy by itself, whatever the client claims to be', async () => {
    const { statusOf } = await openApi({ API_TRUSTED_PROXIES: 'loopback,10.0.0.0/8' })
    for (const client of ['192.0.2.1', '192.0.2.2', '192.0.2.3:4711', '2001:db8::1', '[2001:db8:1::1]:80']) {
      const statuses: number[] = []
      for (let i = 0; i < 3; i++)
        statuses.push(await statusOf(forwarded(`203.0.113.${i}`, client, '10.1.1.1')))
      expect([client, ...statuses]).toEqual([client, 404, 404, 429])
    }
    // The same clients, written differently: with a port, and another address of the same IPv6 network.
    for (const client of ['192.0.2.1:80', '192.0.2.3', '2001:db8::2', '[2001:db8:1::2]']) {
      expect([client, await statusOf(forwarded(client))]).toEqual([client, 429])
    }
  })

  test('counts what is not an address for the proxy', async () => {
    const { statusOf } = await openApi({ API_TRUSTED_PROXIES: '127.0.0.1' })
    expect(await statusOf(forwarded('unknown'))).toBe(404)
    expect(await statusOf(forwarded('_hidden'))).toBe(404)
    expect(await statusOf(forwarded('x'.repeat(1000)))).toBe(429)
    expect(await statusOf()).toBe(429)
  })

  test('counts each token by itself, and requests without a valid token for their address', async () => {
    const entries = ['one', 'two'].map((name) => tokenEntry(name, `token-${name}`))
    const { statusOf } = await openApi(await requireTokens(entries))
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
    for (const token of ['token-one', 'token-two']) {
      const statuses = [
        await statusOf(bearer(token)),
        await statusOf(bearer(token)),
        await statusOf(bearer(token)),
      ]
      expect([token, ...statuses]).toEqual([token, 404, 404, 429])
    }
    const guesses = [await statusOf(bearer('guess-1')), await statusOf(), await statusOf(bearer('guess-3'))]
    expect(guesses).toEqual([401, 401, 429])
  })
})

describe('behind a trusted proxy', () => {
  test('Host is checked, not X-Forwarded-Host', async () => {
    const { url } = await openApi({ API_TRUSTED_PROXIES: 'loopback', API_RATE_LIMIT_PER_MINUTE: '0' })
    const statusOf = async (...headers: string[]) => {
      const reply = await rawHttp(
        url,
        ['GET /api/devices HTTP/1.1', 'connection: close', ...headers, '', ''].join('\r\n'),
      )
      return reply.status
    }
    expect(await statusOf('host: evil.example', 'x-forwarded-host: localhost')).toBe(403)
    expect(await statusOf('host: evil.example', 'forwarded: host=localhost')).toBe(403)
    expect(await statusOf('host: localhost', 'x-forwarded-host: evil.example')).toBe(200)
  })
})

describe('with API_BASE_PATH', () => {
  test('the API answers with and without the prefix, and redirects the prefix itself', async () => {
    const { statusOf, url } = await openApi({ API_BASE_PATH: '/iot/cache', API_RATE_LIMIT_PER_MINUTE: '0' })
    await database.client.hset('device:a/b:metadata', { persist: 'true' })
    const device = await fetch(`${url}/iot/cache/api/devices/a%2Fb`)
    expect(await device.json()).toMatchObject({ device_id: 'a/b' })
    await database.client.set('k/1', '7')
    const value = await fetch(`${url}/iot/cache/api/cache/k/1`)
    expect(await value.json()).toMatchObject({ key: 'k/1', value: 7 })
    for (const path of ['/livez', '/iot/cache/livez', '/iot/cache/', '/iot/cache/openapi.json']) {
      expect([path, await statusOf({}, path)]).toEqual([path, 200])
    }
    for (const path of ['/iot', '/iot/cachet/livez', '/iot/cache/nowhere', '/IOT/cache/livez']) {
      expect([path, await statusOf({}, path)]).toEqual([path, 404])
    }
    const bare = await fetch(`${url}/iot/cache?a=b`, { redirect: 'manual' })
    expect([bare.status, bare.headers.get('location')]).toEqual([308, '/iot/cache/?a=b'])
  })
})
