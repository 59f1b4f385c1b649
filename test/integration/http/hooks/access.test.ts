import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { describedApi, postJson } from '../../../support/docs/described-api.ts'
import { eventually } from '../../../support/eventually.ts'
import { rawHttp } from '../../../support/processes/raw-http.ts'
import { startApi } from '../../../support/processes/start-api.ts'
import { folderOfTest } from '../../../support/temporary-folder.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import { newToken, requireTokens, tokenEntry, writeTokens } from '../../../support/tokens.ts'

let database: RedisDatabase

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(() => database.release())

async function startedApi(env: Record<string, string>) {
  const api = await startApi({ REDIS_URL: database.url, ...env })
  onTestFinished(() => api.stop())
  return api
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

describe('API_AUTH=token', () => {
  test('requires a token with the right scope on every route except probes, the page and the API documents', async () => {
    const [reading, writing, admin, expired] = [newToken(), newToken(), newToken(), newToken()]
    const settings = await requireTokens([
      tokenEntry('reader', reading),
      tokenEntry('writer', writing, { scopes: ['read', 'write'], expires: '2999-01-01T00:00:00Z' }),
      tokenEntry('admin', admin, { scopes: ['admin'] }),
      tokenEntry('gone', expired, { expires: '2020-01-01T00:00:00Z' }),
    ])
    const running = await startedApi(settings)
    const api = await describedApi(running.url)
    const status = async (route: string, init: RequestInit = {}) => (await api.ask(route, init)).status

    for (const route of ['/livez', '/readyz', '/openapi.json', '/docs', '/', '/health']) {
      expect([route, (await fetch(running.url + route)).status]).toEqual([route, 200])
    }
    for (const route of [
      '/api/devices',
      '/api/devices/x',
      '/api/state',
      '/api/workers',
      '/api/lag',
      '/api/cache/x',
      '/stats',
    ]) {
      expect([route, await status(route)]).toEqual([route, 401])
    }
    const missing = await api.ask('/api/devices')
    expect(missing.json).toMatchObject({ type: 'unauthorized', status: 401 })
    expect(missing.headers.get('www-authenticate')).toBe('Bearer')
    expect(await status('/api/devices', bearer(newToken()))).toBe(401)
    expect(await status('/api/devices', bearer(expired))).toBe(401)
    expect(await status('/api/devices', { headers: { authorization: `Basic ${reading}` } })).toBe(401)
    expect(await status('/api/devices', bearer(reading))).toBe(200)
    expect(await status('/api/devices', bearer(admin))).toBe(403)
    const refused = await api.ask('/api/devices/x', { method: 'DELETE', ...bearer(reading) })
    expect([refused.status, refused.json]).toEqual([
      403,
      expect.objectContaining({ type: 'insufficient_scope' }),
    ])
    expect(await status('/api/devices/x', { method: 'DELETE', ...bearer(writing) })).toBe(404)
    const flush = {
      ...postJson({ confirm: false }),
      headers: { ...bearer(writing).headers, 'content-type': 'application/json' },
    }
    expect(await status('/api/cache/flush', flush)).toBe(403)
    expect((await fetch(`${running.url}/nowhere`)).status).toBe(404)

    const document = await (await fetch(`${running.url}/openapi.json`)).json()
    expect(document).toMatchObject({
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      paths: { '/api/devices': { get: { security: [{ token: ['read'] }] } } },
    })
    const log = JSON.stringify(running.lines())
    expect(log).toContain('"reader"')
    for (const token of [reading, writing, admin, expired]) expect(log).not.toContain(token)
  })

  test('exports the devices only to a token that may read, in the header', async () => {
    const [reading, writing] = [newToken(), newToken()]
    const settings = await requireTokens([
      tokenEntry('reader', reading),
      tokenEntry('writer', writing, { scopes: ['write'] }),
    ])
    await database.client.hset('device:a:metadata', { persist: 'true' })
    await database.client.sadd('devices', 'a')
    const running = await startedApi(settings)
    const api = await describedApi(running.url)
    const route = '/api/search/devices/export?column=device_id'
    const exported = await api.ask(route, bearer(reading))
    expect([exported.status, exported.text]).toEqual([200, 'device_id\na\n'])
    expect((await api.ask(route)).status).toBe(401)
    expect((await api.ask(route, bearer(writing))).status).toBe(403)
    // Neither in the address: it would be stored in logs and histories.
    for (const name of ['token', 'access_token']) {
      expect((await api.ask(`${route}&${name}=${reading}`)).status).toBe(401)
    }
  })

  test('accepts any Host header', async () => {
    const token = newToken()
    const { url } = await startedApi(await requireTokens([tokenEntry('a', token)]))
    const head = `GET /api/devices HTTP/1.1\r\nconnection: close\r\nhost: example.org\r\nauthorization: Bearer ${token}`
    expect((await rawHttp(url, `${head}\r\n\r\n`)).status).toBe(200)
  })

  test('reloads the token file when it changes, and keeps the previous tokens while it is invalid', async () => {
    const [first, second] = [newToken(), newToken()]
    const settings = await requireTokens([tokenEntry('a', first)])
    const path = settings.API_TOKENS_FILE
    const { lines, url } = await startedApi(settings)
    const status = async (token: string) => (await fetch(`${url}/api/devices`, bearer(token))).status
    expect([await status(first), await status(second)]).toEqual([200, 401])
    await writeTokens(path, [tokenEntry('b', second)])
    await eventually(async () => expect([await status(first), await status(second)]).toEqual([401, 200]))
    await writeTokens(path, 'not JSON')
    const message = 'keeping the previously loaded tokens'
    await eventually(() => expect(lines().some(({ msg }) => msg.includes(message))).toBe(true))
    expect(await status(second)).toBe(200)
    await writeTokens(path, [tokenEntry('a', first)])
    await eventually(async () => expect([await status(first), await status(second)]).toEqual([200, 401]))
  })

  test.each([
    ['is missing', undefined],
    ['is not a list of tokens', '{}'],
    ['is empty', ''],
  ])('refuses to start when the file %s, and names the setting', async (_, text) => {
    const path = join(folderOfTest(), 'tokens.json')
    if (text !== undefined) await writeTokens(path, text)
    const starting = startApi({ REDIS_URL: database.url, API_AUTH: 'token', API_TOKENS_FILE: path })
    await expect(starting).rejects.toMatchObject({
      name: 'OperatorError',
      message: expect.stringContaining('API_TOKENS_FILE'),
    })
  })
})

describe('without API_AUTH', () => {
  test('the api refuses to start on an address that others can reach, and names the setting', async () => {
    const starting = startApi({ REDIS_URL: database.url, API_HOST: '0.0.0.0' })
    await expect(starting).rejects.toMatchObject({
      name: 'OperatorError',
      message: expect.stringMatching(/API_AUTH is not set.*0\.0\.0\.0/),
    })
  })

  test('the api starts on a loopback address; with API_AUTH=off, it starts on any address', async () => {
    expect((await fetch(`${(await startedApi({})).url}/api/devices`)).status).toBe(200)
    const open = await startedApi({ API_HOST: '0.0.0.0', API_AUTH: 'off' })
    expect((await fetch(`${open.url}/api/devices`)).status).toBe(200)
  })
})

describe('without tokens', () => {
  test('the api accepts only allowed Host headers, except for probes', async () => {
    const { url } = await startedApi({ API_ALLOWED_HOSTS: 'cache_service,Cache.Example.org' })
    const statusOf = async (host: string, path = '/api/devices') => {
      const reply = await rawHttp(url, `GET ${path} HTTP/1.1\r\nconnection: close\r\nhost: ${host}\r\n\r\n`)
      return [host, reply.status, reply.status === 200 ? '' : Object(JSON.parse(reply.body)).type]
    }
    for (const host of [
      'localhost',
      'localhost:80',
      '127.0.0.1',
      '127.0.0.1:5011',
      '[::1]:5011',
      'CACHE_SERVICE:5011',
      'cache.example.org',
    ]) {
      expect(await statusOf(host)).toEqual([host, 200, ''])
    }
    for (const host of [
      'evil.example',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      '10.0.0.1',
      '[::2]',
    ]) {
      expect(await statusOf(host)).toEqual([host, 403, 'host_not_allowed'])
    }
    expect(await statusOf('10.0.0.1', '/livez')).toEqual(['10.0.0.1', 200, ''])
  })
})

describe('a browser', () => {
  test('receives headers that forbid foreign scripts, content sniffing and referrers', async () => {
    const { url } = await startedApi({})
    for (const path of ['/api/devices', '/nowhere', '/']) {
      const { headers } = await fetch(url + path)
      expect(headers.get('content-security-policy')).toContain("script-src 'self'")
      expect(headers.get('content-security-policy')).not.toContain('unsafe')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('x-frame-options')).toBe('DENY')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('access-control-allow-origin')).toBeNull()
    }
  })

  test('may call from the origins in API_CORS_ORIGINS, without a token for the preflight', async () => {
    const { url } = await startedApi({
      ...(await requireTokens([tokenEntry('a', newToken())])),
      API_CORS_ORIGINS: 'https://good.example',
    })
    const preflight = (origin: string) =>
      fetch(`${url}/api/devices/lookup`, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization',
        },
      })
    const good = await preflight('https://good.example')
    expect(good.status).toBe(204)
    expect(good.headers.get('access-control-allow-origin')).toBe('https://good.example')
    expect((await preflight('https://evil.example')).headers.get('access-control-allow-origin')).not.toBe(
      'https://evil.example',
    )
  })
})
