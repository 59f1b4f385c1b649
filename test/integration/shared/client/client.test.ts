import { getEventListeners } from 'node:events'
import { inspect } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import {
  CacheRebuildingError,
  CacheUnavailableError,
  ClientClosedError,
  CorruptDeviceError,
  DeviceCacheError,
  ForbiddenError,
  InvalidRequestError,
  RateLimitedError,
  TimeoutError,
  TokenError,
  UnauthorizedError,
  UnexpectedAnswerError,
} from '../../../../shared/client/errors.ts'
import { deviceKey, UPDATE_TYPES_KEY } from '../../../../shared/contract/keys.ts'
import type { Treatment } from '../../../support/servers/api-proxy.ts'
import {
  clientOf,
  lookupsOf,
  NEWEST,
  proxyTo,
  reportRebuilding,
  storeDevice,
} from '../../../support/processes/client-world.ts'
import { deviceId } from '../../../support/records/record-builder.ts'
import { eventually, patiently } from '../../../support/eventually.ts'
import { startOwnRedis } from '../../../support/servers/native-redis.ts'
import { startApi, type RunningApi } from '../../../support/processes/start-api.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import { newToken, requireTokens, tokenEntry } from '../../../support/tokens.ts'
import { markFilled } from '../../../support/records/filled-cache.ts'

// The client against a real api. A proxy between them counts the requests and simulates network failures.

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
  await database.client.flushdb()
  await markFilled(database.client)
})

const store = (id: string, fields: Record<string, string> = {}) => storeDevice(database.client, id, fields)

/** The error with which a call rejects; fails if it resolves. */
async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    (value) => expect.fail(`it resolved with ${JSON.stringify(value)}`),
    (error: unknown) => error,
  )
}

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = []
  for await (const value of values) collected.push(value)
  return collected
}

describe('get', () => {
  test('returns the device with typed values, frozen because callers share it', async () => {
    await store('d', { datatype_name: 'Temperature', datatype_unit: '["°C","%"]', battery_ok: 'true' })
    const device = await clientOf(api.url).get('d')
    expect(device).toMatchObject({
      device_id: 'd',
      datatype_id: null,
      datatype_name: 'Temperature',
      datatype_unit: ['°C', '%'],
      persist: true,
      last_updated: NEWEST,
      extra: { battery_ok: 'true' },
    })
    expect(device?.ttl).toBeGreaterThan(86_000)
    expect([device, device?.extra, device?.datatype_unit].every(Object.isFrozen)).toBe(true)
  })

  test.each(['a/b?c#d', '..', 'ü:1', '%2F', '__proto__', 'x'.repeat(256)])('finds %s', async (id) => {
    await store(id)
    expect(await clientOf(api.url).get(id)).toMatchObject({ device_id: id })
  })

  test('returns undefined for an unknown device, and rejects an invalid id without a request', async () => {
    const proxy = await proxyTo(api.url)
    const client = clientOf(proxy.url)
    expect(await client.get('unknown')).toBeUndefined()
    for (const id of ['', 'a\n', 'x'.repeat(257), '\ud800']) {
      expect(await failureOf(client.get(id))).toBeInstanceOf(InvalidRequestError)
    }
    expect(proxy.seen).toHaveLength(1)
  })

  test('rejects with CacheRebuildingError for a missing device while the cache is being rebuilt', async () => {
    const client = clientOf(api.url)
    await store('here')
    await reportRebuilding(database.client, true)
    const error = await patiently(() => failureOf(client.get('there')))
    expect(error).toBeInstanceOf(CacheRebuildingError)
    expect(await client.get('here')).toMatchObject({ device_id: 'here' })
    expect(await client.lookup(['here', 'there'])).toMatchObject({ missing: ['there'], complete: false })
    expect(await failureOf(client.remove('there'))).toMatchObject({
      name: 'CacheRebuildingError',
      status: 503,
      retryAfterMs: 5_000,
      problem: { type: 'cache_rebuilding' },
    })
    await reportRebuilding(database.client, false)
    await patiently(async () => expect(await client.get('there')).toBeUndefined())
  })

  test('rejects for a corrupt device without affecting other devices', async () => {
    const client = clientOf(api.url)
    await Promise.all([store('whole'), store('corrupt', { persist: 'perhaps' })])
    const [whole, corrupt] = await Promise.all([client.get('whole'), failureOf(client.get('corrupt'))])
    expect(whole).toMatchObject({ device_id: 'whole' })
    expect(corrupt).toBeInstanceOf(CorruptDeviceError)
    expect(corrupt).toMatchObject({ status: 500, problem: { type: 'corrupt_device' }, isTransient: false })
  })
})

describe('concurrent gets', () => {
  test('of one turn share one request with one lookup per id, each with its own outcome', async () => {
    const proxy = await proxyTo(api.url)
    const client = clientOf(proxy.url)
    await Promise.all(['a', 'b'].map((id) => store(id)))
    await store('bad', { persist: 'perhaps' })
    const asked = ['a', 'b', 'a', 'none', 'bad', 'a']
    const outcomes = await Promise.allSettled(asked.map((id) => client.get(id)))
    expect(outcomes.map(({ status }) => status)).toEqual(
      asked.map((id) => (id === 'bad' ? 'rejected' : 'fulfilled')),
    )
    expect(lookupsOf(proxy)).toEqual([['a', 'b', 'none', 'bad']])
    expect(client.stats.requests).toBe(1)
  })

  test('are collected for the next request while maxConcurrency requests are pending', async () => {
    const proxy = await proxyTo(api.url)
    const client = clientOf(proxy.url, { maxConcurrency: 1 })
    const { promise: gate, resolve: open } = Promise.withResolvers<Treatment>()
    proxy.treat = () => gate
    const first = client.get('first')
    await eventually(() => expect(proxy.seen).toHaveLength(1))
    const later: Promise<unknown>[] = []
    for (let i = 0; i < 20; i++) {
      later.push(client.get(`later-${i}`))
      await new Promise(setImmediate)
    }
    open('pass')
    await Promise.all([first, ...later])
    expect(lookupsOf(proxy).map((ids) => ids.length)).toEqual([1, 20])
  })

  test('continue when the signal of another caller is aborted', async () => {
    const proxy = await proxyTo(api.url)
    const client = clientOf(proxy.url)
    await store('d')
    const { promise: gate, resolve: open } = Promise.withResolvers<Treatment>()
    proxy.treat = () => gate
    const abort = new AbortController()
    const left = failureOf(client.get('d', { signal: abort.signal }))
    const stays = client.get('d', { signal: new AbortController().signal })
    await eventually(() => expect(proxy.seen).toHaveLength(1))
    abort.abort(new Error('aborted'))
    expect(await left).toEqual(new Error('aborted'))
    open('pass')
    expect(await stays).toMatchObject({ device_id: 'd' })
    expect(proxy.seen).toHaveLength(1)
  })

  test('abort their request when the last of them is aborted', async () => {
    const proxy = await proxyTo(api.url)
    const client = clientOf(proxy.url, { timeoutMs: 60_000, maxConcurrency: 1 })
    proxy.treat = ({ body }) => (body.includes('slow') ? 'hang' : 'pass')
    const abort = new AbortController()
    const calls = ['slow-1', 'slow-2'].map((id) => failureOf(client.get(id, { signal: abort.signal })))
    await eventually(() => expect(proxy.seen).toHaveLength(1))
    abort.abort()
    for (const call of calls) expect(await call).toMatchObject({ name: 'AbortError' })
    // Otherwise it would wait for the pending request for a minute.
    expect(await client.get('quick')).toBeUndefined()
  })
})

describe('lookup', () => {
  test('of more than 1,000 ids with duplicates has an outcome for each id', async () => {
    const proxy = await proxyTo(api.url)
    const client = clientOf(proxy.url)
    const present = Array.from({ length: 1_500 }, (_, i) => `present-${i}`)
    const absent = Array.from({ length: 900 }, (_, i) => `absent-${i}`)
    const pipeline = database.client.pipeline()
    for (const id of present) pipeline.hset(deviceKey(deviceId(id)), { persist: 'true' })
    await pipeline.exec()
    await store('corrupt', { persist: 'perhaps' })
    const result = await client.lookup([...present, ...absent, ...present, 'corrupt', 'in\nvalid'])
    expect(new Set(result.found.keys())).toEqual(new Set(present))
    expect(result.found.get('present-7')).toMatchObject({ device_id: 'present-7', ttl: null })
    expect(result.missing).toEqual(absent)
    expect([...result.errors].map(([id, { name }]) => [id, name])).toEqual([
      ['corrupt', 'CorruptDeviceError'],
      ['in\nvalid', 'InvalidRequestError'],
    ])
    expect(result.complete).toBe(true)
    expect(lookupsOf(proxy).map((ids) => ids.length)).toEqual([1_000, 1_000, 401])
  })

  test('of long ids stays below the maximum body size of the server', async () => {
    const client = clientOf(api.url)
    const ids = Array.from({ length: 1_000 }, (_, i) => `${i}-`.padEnd(256, '"'))
    expect((await client.lookup(ids)).missing).toHaveLength(1_000)
    expect((await client.lookup([])).complete).toBe(true)
  })

  test('of 40,000 ids adds few listeners to its signal, as do as many gets, and removes them', async () => {
    const client = clientOf(api.url)
    const { signal, abort } = watchedSignal()
    const ids = Array.from({ length: 40_000 }, (_, i) => `id-${i}`)
    expect((await client.lookup(ids, { signal })).missing).toEqual(ids)
    await Promise.all(ids.map((id) => client.get(id, { signal })))
    expect(signal.added).toBeLessThan(100)
    expect(getEventListeners(signal, 'abort')).toEqual([])
    const aborted = [client.lookup(ids, { signal }), client.get('id-0', { signal })].map(failureOf)
    abort(new Error('aborted'))
    expect(await Promise.all(aborted)).toEqual([new Error('aborted'), new Error('aborted')])
  })
})

/** A signal that counts the listeners that were ever added to it: each costs time in proportion to those already there. */
function watchedSignal() {
  const controller = new AbortController()
  let added = 0
  const addEventListener: AbortSignal['addEventListener'] = (
    ...args: Parameters<EventTarget['addEventListener']>
  ) => {
    added++
    EventTarget.prototype.addEventListener.apply(controller.signal, args)
  }
  const signal = Object.defineProperties(controller.signal, {
    addEventListener: { value: addEventListener },
    added: { get: () => added },
  })
  return {
    signal: signal as AbortSignal & { readonly added: number },
    abort: (reason: unknown) => controller.abort(reason),
  }
}

describe('list', () => {
  test('yields the devices of all pages, or those with the same prefix', async () => {
    const proxy = await proxyTo(api.url)
    const client = clientOf(proxy.url)
    const ids = Array.from({ length: 950 }, (_, i) => `${i % 2 === 0 ? 'even' : 'odd'}-${i}`)
    await Promise.all(ids.map((id) => store(id)))
    const listed = (await all(client.list({ pageSize: 100 }))).map(({ device_id }) => device_id)
    expect(listed.sort()).toEqual(ids.sort())
    expect(proxy.seen.length).toBeGreaterThan(5)
    let even = 0
    for await (const { device_id } of client.list({ match: 'even' })) if (device_id.startsWith('even')) even++
    expect(even).toBe(475)
  })

  test('skips corrupt devices, which the pages name', async () => {
    await store('whole')
    await store('corrupt', { persist: 'perhaps' })
    const client = clientOf(api.url)
    const devices = await all(client.list())
    expect(devices.map(({ device_id }) => device_id)).toEqual(['whole'])
    const pages = await all(client.pages())
    expect(pages.flatMap(({ errors }) => [...errors.keys()])).toEqual(['corrupt'])
  })

  test('can be left early or aborted, and rejects an invalid page size', async () => {
    for (let i = 0; i < 30; i++) await store(`d-${i}`)
    const client = clientOf(api.url)
    for await (const device of client.list({ pageSize: 10 })) {
      expect(device.device_id).toMatch(/^d-/)
      break
    }
    const signal = AbortSignal.abort(new Error('aborted'))
    expect(await failureOf(client.list({ signal }).next())).toEqual(new Error('aborted'))
    const error = await failureOf(client.list({ pageSize: 5_000 }).next())
    expect(error).toMatchObject({ name: 'InvalidRequestError', status: 400 })
  })
})

describe('search', () => {
  test('yields the devices that match, in their order, and their number', async () => {
    await Promise.all(
      Array.from({ length: 25 }, (_, n) =>
        store(`d-${n}`, { datatype_name: n % 2 === 0 ? 'even' : 'odd', last_updated: at(n) }),
      ),
    )
    await store('d-30', { datatype_name: 'odd', last_updated: at(30), persist: 'perhaps' })
    const client = clientOf(api.url)
    const options = { match: 'd-', contains: 'D', type: 'odd', sort: '-last_updated', pageSize: 5 } as const
    const found = await all(client.search(options))
    expect(found.map(({ device_id }) => device_id)).toEqual(
      [23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1].map((n) => `d-${n}`),
    )
    const pages = await all(client.searchPages(options))
    expect(pages).toMatchObject([
      { total: 13, offset: 0, truncated: false },
      { total: 13, offset: 5 },
      { total: 13, offset: 10 },
    ])
    expect([...(pages[0]?.errors.keys() ?? [])]).toEqual(['d-30'])
    expect(Math.abs((pages[0]?.asOf.getTime() ?? 0) - Date.now())).toBeLessThan(60_000)
    const times = {
      updatedAfter: new Date(at(3).slice(0, 23) + 'Z'),
      updatedBefore: new Date(at(6).slice(0, 23) + 'Z'),
    }
    const between = await all(client.search({ ...times, silentForS: 60, unit: '' }))
    expect(between.map(({ device_id }) => device_id)).toEqual(['d-4', 'd-5'])
  })

  test('is aborted, and rejects invalid options', async () => {
    const client = clientOf(api.url)
    const signal = AbortSignal.abort(new Error('aborted'))
    expect(await failureOf(client.search({ signal }).next())).toEqual(new Error('aborted'))
    expect(await failureOf(client.search({ silentForS: 1.5 }).next())).toMatchObject({ status: 400 })
  })
})

/** An event time in the past. */
function at(second: number): string {
  return `2025-06-08T18:27:${String(second).padStart(2, '0')}.476000+00:00`
}

describe('remove', () => {
  test('removes a device and returns whether it existed', async () => {
    const client = clientOf(api.url)
    await store('a/b')
    expect(await client.remove('a/b')).toBe(true)
    expect(await client.get('a/b')).toBeUndefined()
    expect(await client.remove('a/b')).toBe(false)
    expect(await failureOf(client.remove(''))).toBeInstanceOf(InvalidRequestError)
  })

  test.each(['.', '..'])('rejects the id %s, which would change the path of the URL', async (id) => {
    const proxy = await proxyTo(api.url)
    expect(await failureOf(clientOf(proxy.url).remove(id))).toBeInstanceOf(InvalidRequestError)
    expect(proxy.seen).toEqual([])
  })

  test('is retried after a lost response, and returns true although the device is then gone', async () => {
    const proxy = await proxyTo(api.url)
    const client = clientOf(proxy.url)
    await store('d')
    proxy.treat = () => (proxy.seen.length === 1 ? 'lose-answer' : 'pass')
    expect(await client.remove('d')).toBe(true)
    expect(proxy.seen.map(({ line }) => line)).toEqual(Array(2).fill('DELETE /api/devices/d'))
  })
})

describe('state', () => {
  test('returns all values or one, and the event id from which a watch continues', async () => {
    await database.client.sadd(UPDATE_TYPES_KEY, 'a/ü', 'b')
    await database.client.mset({ 'a/ü': '{"values":[1]}', b: '{"values":[2]}' })
    const client = clientOf(api.url)
    expect(await client.state()).toEqual({
      values: new Map([
        ['a/ü', { values: [1] }],
        ['b', { values: [2] }],
      ]),
      lastEventId: '0-0.0-0',
    })
    expect((await client.state('a/ü'))?.values.get('a/ü')).toEqual({ values: [1] })
    expect(await client.state('none')).toBeUndefined()
    for (const type of ['', '..'])
      expect(await failureOf(client.state(type))).toBeInstanceOf(DeviceCacheError)
  })
})

describe('a call that fails', () => {
  test('transiently is retried after the time of Retry-After', async () => {
    const proxy = await proxyTo(api.url)
    const client = clientOf(proxy.url)
    await store('d')
    const times: number[] = []
    proxy.treat = () => {
      times.push(performance.now())
      if (times.length === 1) return { status: 503, headers: { 'retry-after': '1' } }
      return times.length === 2 ? { status: 502, body: '<html>' } : 'pass'
    }
    expect(await client.get('d')).toMatchObject({ device_id: 'd' })
    expect(times).toHaveLength(3)
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(990)
    expect(client.stats).toMatchObject({ requests: 3, retries: 2 })
  })

  test('with a Retry-After that is too long is not retried, and the error has the time', async () => {
    const limited = await startApi({ REDIS_URL: database.url, API_RATE_LIMIT_PER_MINUTE: '2' })
    onTestFinished(() => limited.stop())
    const client = clientOf(limited.url)
    await client.get('a')
    await client.get('b')
    const error = await failureOf(client.get('c'))
    expect(error).toBeInstanceOf(RateLimitedError)
    expect(error).toMatchObject({ status: 429, problem: { type: 'too_many_requests' }, isTransient: true })
    expect(error instanceof DeviceCacheError && error.retryAfterMs).toBeGreaterThan(10_000)
    expect(client.stats).toMatchObject({ requests: 3, retries: 0 })
  })

  test('at every attempt rejects after the last retry, with the cause', async () => {
    const proxy = await proxyTo(api.url)
    const { url } = proxy
    const client = clientOf(url, { retries: 2 })
    proxy.treat = () => 'lose-answer'
    const error = await failureOf(client.get('d'))
    expect(error).toBeInstanceOf(CacheUnavailableError)
    expect(error).toMatchObject({ status: undefined, isTransient: true, cause: expect.any(TypeError) })
    expect(proxy.seen).toHaveLength(3)
  })

  test('to get a response rejects within the timeout', async () => {
    const proxy = await proxyTo(api.url)
    proxy.treat = () => 'hang'
    // Long enough for the proxy to see each attempt.
    const client = clientOf(proxy.url, { timeoutMs: 1_000, retries: 1 })
    expect(await failureOf(client.get('d'))).toBeInstanceOf(TimeoutError)
    expect(proxy.seen).toHaveLength(2)
  })

  test('can be aborted while it waits for a retry', async () => {
    const proxy = await proxyTo(api.url)
    proxy.treat = () => ({ status: 503, headers: { 'retry-after': '9' } })
    const abort = new AbortController()
    const call = failureOf(clientOf(proxy.url).state({ signal: abort.signal }))
    await eventually(() => expect(proxy.seen).toHaveLength(1))
    abort.abort(new Error('aborted'))
    expect(await call).toEqual(new Error('aborted'))
  })

  test('because another server responds rejects with UnexpectedAnswerError', async () => {
    const proxy = await proxyTo(api.url)
    const client = clientOf(proxy.url)
    for (const treatment of [
      { status: 404, body: '<html>' },
      { status: 200, body: '<html>' },
      { status: 200, body: '{"found":[]}' },
    ]) {
      proxy.treat = () => treatment
      expect(await failureOf(client.get('d'))).toBeInstanceOf(UnexpectedAnswerError)
      expect(await failureOf(client.watch().next())).toBeInstanceOf(UnexpectedAnswerError)
    }
    expect(proxy.seen).toHaveLength(6)
  })

  test('because of an outage of Redis is retried until Redis is back', async () => {
    const redis = await startOwnRedis()
    onTestFinished(() => redis.stop())
    const own = await startApi({ REDIS_URL: redis.url })
    onTestFinished(() => own.stop())
    const client = clientOf(own.url, { retries: 50 })
    await redis.kill()
    const impatient = clientOf(own.url, { retries: 0 })
    expect(await failureOf(impatient.get('d'))).toMatchObject({
      name: 'CacheUnavailableError',
      status: 503,
      problem: { type: 'redis_unavailable' },
    })
    const call = client.get('d')
    await eventually(() => expect(client.stats.retries).toBeGreaterThan(0))
    await redis.start()
    // It has lost everything, and there is no worker to fill it again.
    expect(await failureOf(call)).toMatchObject({ name: 'CacheRebuildingError' })
  })
})

describe('API_AUTH=token', () => {
  test('requires a token with the right scope, which may be replaced at run time', async () => {
    const [reading, writing] = [newToken(), newToken()]
    const settings = await requireTokens([
      tokenEntry('r', reading),
      tokenEntry('w', writing, { scopes: ['write'] }),
    ])
    const guarded = await startApi({ REDIS_URL: database.url, ...settings })
    onTestFinished(() => guarded.stop())
    await store('d')

    const without = clientOf(guarded.url)
    expect(await failureOf(without.get('d'))).toBeInstanceOf(UnauthorizedError)
    expect(await failureOf(without.watch().next())).toBeInstanceOf(UnauthorizedError)
    expect(without.stats.retries).toBe(0)
    let token = reading
    const client = clientOf(guarded.url, { token: async () => token })
    expect(await client.get('d')).toMatchObject({ device_id: 'd' })
    const refused = await failureOf(client.remove('d'))
    expect(refused).toBeInstanceOf(ForbiddenError)
    expect(JSON.stringify(refused)).not.toContain(reading)
    token = writing
    expect(await client.remove('d')).toBe(true)

    // The function returns a token that has expired in the meantime, and a new one when it is asked again.
    const answers = ['expired', reading, 'expired', 'expired']
    const renewing = clientOf(guarded.url, { token: () => answers.shift(), retries: 0 })
    expect(await renewing.get('d')).toBeUndefined()
    expect(await failureOf(renewing.get('d'))).toBeInstanceOf(UnauthorizedError)
    expect(renewing.stats.requests).toBe(3)
  })
})

describe('a function token', () => {
  const secret = 'c2VjcmV0'

  test('that does not answer is subject to the timeout, the signal and close', async () => {
    const never = () => new Promise<string>(() => {})
    const impatient = clientOf(api.url, { token: never, timeoutMs: 50, retries: 0 })
    const late = await failureOf(impatient.get('d'))
    expect(late).toBeInstanceOf(TimeoutError)
    expect(late).toMatchObject({ message: 'No token within 50 ms' })
    const client = clientOf(api.url, { token: never })
    const abort = new AbortController()
    const { signal } = abort
    const aborted = [
      client.get('a', { signal }),
      client.state({ signal }),
      client.list({ signal }).next(),
      client.remove('b', { signal }),
      client.watch({ signal }).next(),
    ].map(failureOf)
    abort.abort(new Error('aborted'))
    for (const call of aborted) expect(await call).toEqual(new Error('aborted'))
    const closed = failureOf(client.state())
    client.close()
    expect(await closed).toBeInstanceOf(ClientClosedError)
    expect(client.stats.requests).toBe(0)
  })

  test.each([
    [
      'throws',
      () => Promise.reject(new RangeError(`no ${secret}`)),
      /^The function token failed with RangeError;/,
    ],
    ['throws text', () => Promise.reject(secret), /^The function token failed;/],
    ['returns a line break', () => `${secret}\n`, /line breaks/],
    ['returns text outside of ASCII', () => `${secret}é`, /other characters/],
    ['returns no text', () => Object({ secret }), /must return a string/],
  ])('that %s is named as the cause, and nothing of it is quoted', async (_, token, message) => {
    const client = clientOf(api.url, { token })
    for (const call of [client.get('d'), client.state(), client.watch().next()].map(failureOf)) {
      const failure = await call
      expect(failure).toBeInstanceOf(TokenError)
      expect(String(failure)).toMatch(new RegExp(message.source.replace('^', '^TokenError: ')))
      expect(inspect(failure, { showHidden: true, depth: 9 }) + JSON.stringify(failure)).not.toContain(secret)
    }
    expect(client.stats).toMatchObject({ requests: 0, retries: 0 })
  })

  test('that throws leaves its error to the caller', async () => {
    const thrown = new Error(secret)
    const client = clientOf(api.url, { token: () => Promise.reject(thrown) })
    expect(await failureOf(client.get('d'))).toHaveProperty('thrown', thrown)
  })
})

describe('close', () => {
  test('rejects pending and later calls', async () => {
    const proxy = await proxyTo(api.url)
    proxy.treat = () => 'hang'
    const client = clientOf(proxy.url)
    const calls = [client.get('a'), client.state(), client.remove('b'), client.list().next()].map(failureOf)
    await eventually(() => expect(proxy.seen).toHaveLength(4))
    const unsent = failureOf(client.get('c'))
    client.close()
    client.close()
    for (const call of [...calls, unsent, failureOf(client.get('d'))]) {
      expect(await call).toBeInstanceOf(ClientClosedError)
    }
    expect(proxy.seen).toHaveLength(4)
  })

  test('ends calls and streams also if the given fetch ignores its signal', async () => {
    const proxy = await proxyTo(api.url)
    const deaf: typeof fetch = (input, init) => fetch(input, { ...init, signal: null })
    const client = clientOf(proxy.url, { fetch: deaf })
    const { promise: live, resolve } = Promise.withResolvers<void>()
    const watch = client.watch({ onConnection: () => resolve() }).next()
    await live
    proxy.treat = () => 'hang'
    const calls = [client.get('a'), client.state(), client.watch().next()]
    await eventually(() => expect(proxy.seen).toHaveLength(4))
    client.close()
    for (const call of calls.slice(0, 2).map(failureOf)) expect(await call).toBeInstanceOf(ClientClosedError)
    expect([await watch, await calls[2]]).toEqual([{ done: true }, { done: true }])
  })
})

test.each([
  [{ baseUrl: 'cache:5011' }],
  [{ baseUrl: 'http://u:p@cache' }],
  [{ baseUrl: 'http://cache', timeoutMs: 0 }],
  [{ baseUrl: 'http://cache', retries: NaN }],
  [{ baseUrl: 'http://cache', token: 'a b' }],
  [{ baseUrl: 'http://cache', nearCache: { maxEntries: 0 } }],
])('the client rejects the invalid options %j', ({ baseUrl, ...options }) => {
  expect(() => clientOf(baseUrl, options)).toThrow(TypeError)
})

test('the client keeps the path of its base URL', async () => {
  const proxy = await proxyTo(api.url)
  proxy.treat = () => ({ status: 404 })
  await failureOf(clientOf(`${proxy.url}/cache`).state())
  expect(proxy.seen.map(({ line }) => line)).toEqual(['GET /cache/api/state'])
})
