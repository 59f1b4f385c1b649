import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { describedApi } from '../../../support/docs/described-api.ts'
import { startApi } from '../../../support/processes/start-api.ts'
import { startOwnRedis } from '../../../support/servers/servers.ts'
import { useRedisDatabase } from '../../../support/test-scope.ts'
import { requireTokens, tokenEntry } from '../../../support/tokens.ts'

describe('GET /api/redis', () => {
  test('describes the Redis server, and is a problem while Redis is away', async () => {
    const redis = await startOwnRedis()
    onTestFinished(() => redis.stop())
    const running = await startApi({ REDIS_URL: redis.url, REDIS_TIMEOUT_S: '1' })
    onTestFinished(() => running.stop())
    const api = await describedApi(running.url)
    const { json, status } = await api.ask('/api/redis')
    expect(status).toBe(200)
    expect(json).toMatchObject({
      mode: 'standalone',
      role: 'master',
      memory: { used_bytes: expect.any(Number), max_bytes: 0, eviction_policy: 'noeviction' },
      clients: { connected: expect.any(Number), max: expect.any(Number) },
      lookups: { hits_total: expect.any(Number), misses_total: expect.any(Number) },
      persistence: { loading: false, append_only_file: false },
    })
    await redis.kill('SIGKILL')
    expect(await api.ask('/api/redis')).toMatchObject({ status: 503, json: { status: 503 } })
  })
})

test('GET /api/state keeps the digits of numbers', async () => {
  const database = await useRedisDatabase(inject('redisUrl'))
  onTestFinished(() => database.release())
  const value = '{"updated":1767600751738123457,"valid":true,"values":[18446744073709551615,1.0,0.1]}'
  await database.client.set('limits', value)
  const running = await startApi({ REDIS_URL: database.url, STATE_TYPES: 'limits' })
  onTestFinished(() => running.stop())
  const api = await describedApi(running.url)
  expect((await api.ask('/api/state')).text).toContain(`"limits":${value}`)
  expect((await api.ask('/api/state/limits')).text).toContain(`"limits":${value}`)
})

describe('GET /api/access', () => {
  test('grants everything if the API needs no tokens', async () => {
    const running = await startApi({ REDIS_URL: inject('redisUrl') })
    onTestFinished(() => running.stop())
    const { json } = await (await describedApi(running.url)).ask('/api/access')
    expect(json).toEqual({ token: null, scopes: ['read', 'write', 'admin'], expires_at: null })
  })

  test('lists the scopes and the expiry of the token', async () => {
    const expires = '2999-01-01T00:00:00+01:00'
    const entry = tokenEntry('console', 'secret', { scopes: ['read', 'write'], expires })
    const running = await startApi({ REDIS_URL: inject('redisUrl'), ...(await requireTokens([entry])) })
    onTestFinished(() => running.stop())
    const api = await describedApi(running.url)
    expect((await api.ask('/api/access')).status).toBe(401)
    const { json } = await api.ask('/api/access', { headers: { authorization: 'Bearer secret' } })
    expect(json).toEqual({
      token: 'console',
      scopes: ['read', 'write'],
      expires_at: '2998-12-31T23:00:00.000Z',
    })
  })
})
