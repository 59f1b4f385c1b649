import { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { openApi } from '../../../cache-service/roles/api.ts'
import { openKvUpdater } from '../../../cache-service/roles/kv-updater.ts'
import { eventually } from '../../support/eventually.ts'
import { reservePort } from '../../support/servers/free-port.ts'
import { redisAclOf } from '../../support/docs/redis-acl.ts'
import { startRole } from '../../support/processes/role-run.ts'
import { startOwnRedis } from '../../support/servers/servers.ts'

const PASSWORD = 'correct-horse'

async function startAsUser(user: string) {
  const acl = redisAclOf(user)
  const server = await startOwnRedis({ aclUsers: { [user]: `on >${PASSWORD} ${acl}` } })
  const admin = new Redis(server.url)
  onTestFinished(async () => {
    admin.disconnect()
    await server.stop()
  })
  const url = `redis://${user}:${PASSWORD}@127.0.0.1:${server.port}`
  async function used(): Promise<string[]> {
    const stats = await admin.info('commandstats')
    return [...stats.matchAll(/^cmdstat_([\w|]+):/gm)].map(([, name = '']) => name)
  }
  /** No command was denied, and every permitted command was used. */
  async function assertFits(): Promise<void> {
    expect(await admin.acl('LOG')).toEqual([])
    const asked = new Set(await used())
    const allowed = [...acl.matchAll(/\+(\S+)/g)].map(([, name = '']) => name)
    expect(allowed.filter((name) => !asked.has(name))).toEqual([])
  }
  return { admin, url, used, assertFits }
}

test('the api needs exactly the Redis permissions of docs/configuration.md, which include neither KEYS nor FLUSH', async () => {
  const { admin, assertFits, url } = await startAsUser('api')
  await admin.hset('device:d:1:metadata', { persist: 'true', extra: 'x' })
  await admin.sadd('devices', 'd:1')
  await admin.xadd('cache_service:{events}:update', '*', 'kind', 'gap', 'reason', 'takeover')
  await admin.zadd('cache_service:{workers}:index', Date.now(), 'w')
  const { port, release } = await reservePort()
  onTestFinished(release)
  const api = await startRole(openApi, { REDIS_URL: url, PORT: String(port), STATE_TYPES: 'prices' })
  const base = `http://127.0.0.1:${port}`
  await eventually(async () => expect((await fetch(`${base}/readyz`)).status).toBe(200))

  const ask = async (method: string, path: string, body?: unknown) =>
    await fetch(base + path, {
      method,
      ...(body !== undefined && {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    })
  const streams = new AbortController()
  const events = await fetch(`${base}/api/events?events=device,update&last_event_id=0-0.0-0`, {
    signal: streams.signal,
  })
  expect(events.status).toBe(200)
  expect((await ask('GET', '/api/state/none')).status).toBe(404)
  for (const path of ['/api/devices', '/api/devices/d%3A1', '/api/devices/d%3A1/hash', '/api/state']) {
    expect([path, (await ask('GET', path)).status]).toEqual([path, 200])
  }
  for (const path of ['/api/workers', '/api/lag', '/api/dead-letters', '/health', '/stats']) {
    expect([path, (await ask('GET', path)).status]).toEqual([path, 200])
  }
  expect((await ask('POST', '/api/devices/lookup', { ids: ['d:1', 'unknown'] })).status).toBe(200)
  expect((await ask('DELETE', '/api/devices/d%3A1')).status).toBe(204)
  for (const ttl of [60, null]) {
    expect((await ask('POST', '/api/cache/', { key: 'k', value: 1, ttl })).status).toBe(200)
  }
  for (const path of ['/api/cache/k', '/api/cache/exists/k', '/api/cache/keys?pattern=*']) {
    expect([path, (await ask('GET', path)).status]).toEqual([path, 200])
  }
  expect((await ask('DELETE', '/api/cache/k')).status).toBe(200)
  expect((await ask('DELETE', '/api/cache/pattern/k*')).status).toBe(200)
  expect((await ask('POST', '/api/cache/flush', { confirm: true })).status).toBe(200)
  expect((await ask('POST', '/api/queue/publish', { message: 1 })).status).toBe(200)
  expect((await ask('GET', '/api/queue/channels')).status).toBe(200)
  expect((await ask('GET', '/api/queue/subscribers/c')).status).toBe(200)
  await admin.xadd('cache_service:{events}:update', '*', 'kind', 'gap', 'reason', 'takeover')
  await eventually(async () => expect(await admin.exists('cache_service:listening')).toBe(1))
  streams.abort()
  await api.stop()
  await assertFits()
})

test('the kv-updater needs exactly the Redis permissions of docs/configuration.md', async () => {
  const { admin, assertFits, url, used } = await startAsUser('kv_updater')
  const updater = await startRole(openKvUpdater, { REDIS_URL: url })
  await eventually(async () => expect(await updater.isReady()).toBe(true))
  await admin.publish('update', JSON.stringify({ type: 'prices', values: [1] }))
  await eventually(async () => expect(await admin.get('prices')).toContain('[1]'))
  // The subscription is pinged every second, and the lease is extended.
  await eventually(async () => expect(await used()).toEqual(expect.arrayContaining(['ping', 'pexpire'])))
  await updater.stop()
  await assertFits()
})
