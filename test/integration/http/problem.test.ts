import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { describedApi, postJson, type DescribedApi } from '../../support/docs/described-api.ts'
import { eventually } from '../../support/eventually.ts'
import { rawHttp } from '../../support/processes/raw-http.ts'
import { startOwnRedis } from '../../support/servers/servers.ts'
import { startApi, type RunningApi } from '../../support/processes/start-api.ts'
import { useRedisDatabase, type RedisDatabase } from '../../support/test-scope.ts'

let database: RedisDatabase
let running: RunningApi
let api: DescribedApi

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  running = await startApi({ REDIS_URL: database.url })
  api = await describedApi(running.url)
})
afterAll(async () => {
  await running.stop()
  await database.release()
})

const problem = (status: number, type: string) =>
  expect.objectContaining({ status, type, title: expect.any(String) })
const json = { 'content-type': 'application/json' }
const post = (body: string, headers: Record<string, string> = json) => ({ method: 'POST', headers, body })

describe('an invalid request', () => {
  test.each([
    ['malformed JSON', '/api/devices/lookup', post('{"ids":["secret",'), 400, 'bad_request'],
    ['no body', '/api/devices/lookup', post(''), 400, 'bad_request'],
    ['__proto__ in the body', '/api/devices/lookup', post('{"__proto__":{"secret":1}}'), 400, 'bad_request'],
    [
      'a form',
      '/api/devices/lookup',
      post('ids=secret', { 'content-type': 'text/plain' }),
      415,
      'unsupported_media_type',
    ],
    [
      'no content type',
      '/api/devices/lookup',
      { method: 'POST', body: new Uint8Array(3) },
      415,
      'unsupported_media_type',
    ],
    [
      'a body of more than 256 KiB',
      '/api/devices/lookup',
      post(JSON.stringify({ ids: ['x'.repeat(262_144)] })),
      413,
      'body_too_large',
    ],
    ['an unknown route', '/api/secret', {}, 404, 'not_found'],
    ['a malformed path', '/api/devices/%ZZ', {}, 400, 'bad_request'],
    [
      'a path segment of more than 1024 characters',
      `/api/devices/${'x'.repeat(1025)}`,
      {},
      414,
      'uri_too_long',
    ],
    [
      'a body that is not a list of ids',
      '/api/devices/lookup',
      post('{"ids":"secret"}'),
      400,
      'invalid_request',
    ],
  ])('with %s is answered with a problem document', async (_, path, init, status, type) => {
    const answer = await api.ask(path, init)
    expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8')
    expect([answer.status, answer.json]).toEqual([status, problem(status, type)])
    expect(answer.text).not.toContain('secret')
  })

  test.each([
    ['PUT', '/api/devices/x', 'DELETE, GET, HEAD'],
    ['POST', '/api/devices', 'GET, HEAD'],
    ['DELETE', '/api/devices/', 'DELETE, GET, HEAD'],
    ['PATCH', '/openapi.json', 'GET, HEAD'],
    ['OPTIONS', '/api/devices/lookup', 'DELETE, GET, HEAD, POST'],
    ['DELETE', '/', 'GET, HEAD'],
  ])('with method %s on %s is answered with the allowed methods: %s', async (method, path, allow) => {
    const answer = await api.ask(path, { method })
    if (path === '/api/devices/') return expect(answer.status).toBe(400)
    expect([answer.status, answer.json]).toEqual([405, problem(405, 'method_not_allowed')])
    return expect(answer.headers.get('allow')).toBe(allow)
  })

  test('that is not valid HTTP is answered with a problem document', async () => {
    const answer = await rawHttp(running.url, 'HELLO\r\n\r\n')
    expect([answer.status, JSON.parse(answer.body)]).toEqual([400, problem(400, 'bad_request')])
    expect(answer.head).toContain('content-type: application/problem+json')
    const large = await rawHttp(
      running.url,
      `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`,
    )
    expect([large.status, JSON.parse(large.body)]).toEqual([431, problem(431, 'headers_too_large')])
  })

  test('is never logged', async () => {
    expect(JSON.stringify(running.lines())).not.toContain('secret')
  })
})

describe('an overloaded api', () => {
  test('rejects further requests immediately with 503, answers probes, and recovers', async () => {
    const redis = await startOwnRedis()
    onTestFinished(() => redis.stop())
    const busy = await startApi({
      REDIS_URL: redis.url,
      API_MAX_CONCURRENT_REQUESTS: '2',
      REDIS_TIMEOUT_S: '20',
    })
    onTestFinished(() => busy.stop())
    await redis.kill('SIGSTOP')
    const stuck = [1, 2].map(() => fetch(`${busy.url}/api/devices/x`))
    await eventually(async () => expect((await fetch(`${busy.url}/api/devices/x`)).status).toBe(503))
    const refused = await fetch(`${busy.url}/api/devices/x`)
    expect(await refused.json()).toEqual(problem(503, 'overloaded'))
    expect(refused.headers.get('retry-after')).toBe('1')
    expect((await fetch(`${busy.url}/livez`)).status).toBe(200)
    await redis.kill('SIGCONT')
    expect(await Promise.all(stuck.map(async (answer) => (await answer).status))).toEqual([404, 404])
    expect((await fetch(`${busy.url}/api/devices/x`)).status).toBe(404)
  })

  test('counts the requests of callers that have disconnected until Redis has answered them', async () => {
    const redis = await startOwnRedis()
    onTestFinished(() => redis.stop())
    const busy = await startApi({
      REDIS_URL: redis.url,
      API_MAX_CONCURRENT_REQUESTS: '1',
      REDIS_TIMEOUT_S: '20',
    })
    onTestFinished(() => busy.stop())
    await redis.kill('SIGSTOP')
    const { port } = new URL(busy.url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write('GET /api/devices/x HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await eventually(async () => expect((await fetch(`${busy.url}/api/devices/y`)).status).toBe(503))
    socket.destroy()
    await once(socket, 'close')
    expect((await fetch(`${busy.url}/api/devices/y`)).status).toBe(503)
    await redis.kill('SIGCONT')
    await eventually(async () => expect((await fetch(`${busy.url}/api/devices/y`)).status).toBe(404))
  })

  test('does not count open event streams as concurrent requests', async () => {
    const busy = await startApi({ REDIS_URL: database.url, API_MAX_CONCURRENT_REQUESTS: '1' })
    onTestFinished(() => busy.stop())
    for (let i = 0; i < 3; i++) expect((await fetch(`${busy.url}/api/events`)).status).toBe(200)
    expect((await fetch(`${busy.url}/api/devices/x`)).status).toBe(404)
  })
})

describe('without Redis', () => {
  test('the api stays alive but not ready, answers 503, and recovers by itself', async () => {
    const redis = await startOwnRedis()
    onTestFinished(() => redis.stop())
    const own = await startApi({ REDIS_URL: redis.url, REDIS_TIMEOUT_S: '1' })
    onTestFinished(() => own.stop())
    const client = await describedApi(own.url)
    await eventually(async () => expect(await own.metric('redis_up')).toBe(1))
    await redis.kill('SIGKILL')
    const asks = [
      () => client.ask('/api/devices/x'),
      () => client.ask('/api/devices'),
      () => client.ask('/api/devices/x', { method: 'DELETE' }),
      () => client.ask('/api/devices/lookup', postJson({ ids: ['x'] })),
      () => client.ask('/api/state'),
      () => client.ask('/api/workers'),
    ]
    for (const ask of asks) {
      const answer = await ask()
      expect([answer.status, answer.json]).toEqual([503, problem(503, 'redis_unavailable')])
      expect(answer.headers.get('retry-after')).toBe('1')
    }
    expect((await client.ask('/livez')).status).toBe(200)
    for (const url of [own.url, own.health]) {
      await eventually(async () => {
        const ready = await fetch(`${url}/readyz`)
        expect(ready.status).toBe(503)
        expect(await ready.json()).toMatchObject({
          ready: false,
          reasons: expect.arrayContaining([expect.stringContaining('Redis at')]),
        })
      })
    }
    expect(await own.metric('redis_up')).toBe(0)
    expect(await own.metric('redis_errors_total', { code: 'CONNECTION' })).toBeGreaterThan(0)
    await redis.restart()
    await eventually(async () => expect((await client.ask('/readyz')).status).toBe(200))
    expect(await own.metric('redis_up')).toBe(1)
    // Redis has lost everything, and there is no worker to fill it again.
    expect((await client.ask('/api/devices/x')).json).toMatchObject({ type: 'cache_rebuilding' })
  })

  test('the api starts anyway', async () => {
    const refusing: Server = createServer((socket) => socket.destroy())
    refusing.listen(0, '127.0.0.1')
    await once(refusing, 'listening')
    onTestFinished(() => void refusing.close())
    const address = refusing.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const own = await startApi({ REDIS_URL: `redis://127.0.0.1:${port}` }, { until: '/livez' })
    onTestFinished(() => own.stop())
    expect((await fetch(`${own.url}/readyz`)).status).toBe(503)
    expect((await fetch(`${own.url}/api/devices/x`)).status).toBe(503)
  })
})

test('the api shuts down after answering its requests and closing its event streams', async () => {
  const own = await startApi({ REDIS_URL: database.url })
  const stream = await fetch(`${own.url}/api/events`)
  expect(stream.status).toBe(200)
  const all = stream.text()
  const answers = Promise.all(Array.from({ length: 20 }, () => fetch(`${own.url}/api/devices/x`)))
  await eventually(async () => expect(await own.metric('sse_clients')).toBe(1))
  expect((await answers).map(({ status }) => status)).toEqual(Array(20).fill(404))
  await own.stop()
  await all
  await expect(fetch(`${own.url}/livez`)).rejects.toThrow()
})
