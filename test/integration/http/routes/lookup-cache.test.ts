import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { deviceSchema, lookupSchema } from '../../../../shared/contract/api-schemas.ts'
import { eventually, patiently } from '../../../support/eventually.ts'
import { startApi, type RunningApi } from '../../../support/processes/start-api.ts'
import { startOwnRedis, type OwnRedis } from '../../../support/servers/servers.ts'
import { connectPlainly } from '../../../support/servers/redis-connection.ts'

let server: OwnRedis
let redis: ReturnType<typeof connectPlainly>

beforeEach(async () => {
  server = await startOwnRedis()
  onTestFinished(() => server.stop())
  redis = connectPlainly(server)
})

async function openApi(env: Readonly<Record<string, string>> = {}): Promise<RunningApi> {
  const api = await startApi({ REDIS_URL: server.url, REDIS_TIMEOUT_S: '1', ...env })
  onTestFinished(() => api.stop())
  return api
}

async function openCachingApi(): Promise<RunningApi> {
  const api = await openApi()
  await eventually(() => isActive(api))
  return api
}

async function isActive(api: RunningApi): Promise<void> {
  expect(await api.metric('lookup_cache_active')).toBe(1)
}

const hits = async (api: RunningApi) => await api.metric('lookup_cache_reads_total', { result: 'hit' })
const store = (id: string, name: string) =>
  redis.hset(`device:${id}:metadata`, { datatype_name: name, persist: 'true' })

async function get(api: RunningApi, id: string) {
  const response = await fetch(`${api.url}/api/devices/${id}`)
  return response.ok
    ? { status: 200, device: deviceSchema.parse(await response.json()) }
    : { status: response.status, device: undefined }
}

async function nameOf(api: RunningApi, id: string): Promise<string | null | undefined> {
  return (await get(api, id)).device?.datatype_name
}

async function lookUp(api: RunningApi, ids: readonly string[]) {
  const response = await fetch(`${api.url}/api/devices/lookup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ids }),
  })
  return lookupSchema.parse(await response.json())
}

describe('a device that has been looked up', () => {
  test('is not read from Redis again, by single lookups and by lists', async () => {
    const api = await openCachingApi()
    await store('a', 'one')
    await store('b', 'two')
    const first = await get(api, 'a')
    expect((await lookUp(api, ['b', 'none', 'a'])).missing).toEqual(['none'])
    expect(await hits(api)).toBe(1)
    expect(await get(api, 'a')).toEqual(first)
    const { found, missing } = await lookUp(api, ['a', 'none', 'b', 'a'])
    expect([found['a']?.datatype_name, found['b']?.datatype_name, missing]).toEqual(['one', 'two', ['none']])
    expect(await hits(api)).toBe(4)
  })

  test('is read again when it has changed', async () => {
    const api = await openCachingApi()
    for (let n = 0; n < 100; n++) {
      await store('a', String(n))
      expect(await nameOf(api, 'a')).toBe(String(n))
      expect(await nameOf(api, 'a')).toBe(String(n))
    }
    expect(await hits(api)).toBeGreaterThan(0)
  })

  test('never goes back while it is changed and read at the same time', async () => {
    const api = await openCachingApi()
    await store('a', '0')
    const written = new AbortController()
    const writing = (async () => {
      for (let n = 1; n <= 300; n++) await store('a', String(n))
      written.abort()
    })()
    const readers = Array.from({ length: 4 }, async () => {
      let last = 0
      while (!written.signal.aborted) {
        const seen = Number(await nameOf(api, 'a'))
        expect(seen).toBeGreaterThanOrEqual(last)
        last = seen
      }
    })
    await Promise.all([writing, ...readers])
    expect(await nameOf(api, 'a')).toBe('300')
  })

  test('is not found once it has been deleted by this API', async () => {
    const api = await openCachingApi()
    for (let n = 0; n < 30; n++) {
      await store('a', String(n))
      expect(await nameOf(api, 'a')).toBe(String(n))
      await fetch(`${api.url}/api/devices/a`, { method: 'DELETE' })
      expect((await get(api, 'a')).status).toBe(404)
    }
  })

  test('is not found once it has expired, and its ttl counts down before', async () => {
    const api = await openCachingApi()
    await store('a', 'one')
    await redis.pexpire('device:a:metadata', 3_500)
    expect((await get(api, 'a')).device?.ttl).toBe(4)
    await eventually(async () => expect((await get(api, 'a')).device?.ttl).toBe(3))
    expect(await hits(api)).toBeGreaterThan(0)
    await eventually(async () => expect((await get(api, 'a')).status).toBe(404))
    expect(await redis.exists('device:a:metadata')).toBe(0)
  })

  test('is not found after FLUSHALL', async () => {
    const api = await openCachingApi()
    await store('a', 'one')
    expect(await nameOf(api, 'a')).toBe('one')
    await redis.flushall()
    await eventually(async () => expect((await get(api, 'a')).device).toBeUndefined())
  })
})

describe('nothing old is returned', () => {
  test.each(['lookups', 'invalidations'])('when the connection for %s is lost', async (connection) => {
    const api = await openCachingApi()
    await store('a', 'one')
    expect(await nameOf(api, 'a')).toBe('one')
    const list = String(await redis.client('LIST'))
    const id = new RegExp(`^id=(\\d+) .* name=\\S*-${connection} `, 'm').exec(list)?.[1] ?? ''
    await redis.client('KILL', 'ID', id)
    await store('a', 'two')
    await eventually(async () => expect(await nameOf(api, 'a')).toBe('two'))
    await eventually(() => isActive(api))
    await store('a', 'three')
    expect(await nameOf(api, 'a')).toBe('three')
  })

  test('when Redis does not answer: the lookup fails', async () => {
    const api = await openCachingApi()
    await store('a', 'one')
    expect(await nameOf(api, 'a')).toBe('one')
    await server.kill('SIGSTOP')
    await patiently(async () => expect((await get(api, 'a')).status).toBe(503))
    await server.kill('SIGCONT')
    await patiently(async () => expect(await nameOf(api, 'a')).toBe('one'))
  })
})

describe('without CLIENT TRACKING', () => {
  test('because the user may not: every device is read from Redis, and one line says so', async () => {
    await redis.acl('SETUSER', 'reader', 'on', '>secret', '~*', '&*', '+@all', '-client|tracking')
    const api = await openApi({ REDIS_URL: server.url.replace('//', '//reader:secret@') })
    await store('a', 'one')
    await eventually(() =>
      expect(
        api
          .lines()
          .map(({ msg }) => msg)
          .join(),
      ).toContain('CLIENT TRACKING'),
    )
    expect(await nameOf(api, 'a')).toBe('one')
    await store('a', 'two')
    expect(await nameOf(api, 'a')).toBe('two')
    expect(await hits(api)).toBe(0)
    expect(await api.metric('lookup_cache_active')).toBe(0)
  })

  test('because it is switched off, there are no further connections', async () => {
    const api = await openApi({ API_LOOKUP_CACHE_BYTES: '0' })
    await store('a', 'one')
    expect([await nameOf(api, 'a'), await nameOf(api, 'a'), await hits(api)]).toEqual(['one', 'one', 0])
    expect(String(await redis.client('LIST'))).not.toMatch(/name=\S*-(lookups|invalidations) /)
  })
})
