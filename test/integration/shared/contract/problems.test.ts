import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { DeviceSearcher } from '../../../../cache-service/core/devices/device-query.ts'
import type { AvailableReading, DeviceReader } from '../../../../cache-service/core/devices/device-view.ts'
import { createApiServer, type ApiServerDependencies } from '../../../../cache-service/http/api-server.ts'
import type { ApiServer } from '../../../../cache-service/http/api-server-types.ts'
import { PROBLEM_MEDIA_TYPE } from '../../../../cache-service/http/problem.ts'
import { createReadingQueue } from '../../../../cache-service/http/reading-queue.ts'
import { registerDeviceRoutes } from '../../../../cache-service/http/routes/devices.ts'
import { registerSearchRoutes } from '../../../../cache-service/http/routes/device-search.ts'
import { EVENT_HUB_LIMITS } from '../../../../cache-service/http/routes/event-hub.ts'
import { registerEventRoutes } from '../../../../cache-service/http/routes/events.ts'
import { LoopMonitor } from '../../../../cache-service/lifecycle/loops.ts'
import { createLogger } from '../../../../cache-service/telemetry/logger.ts'
import { PROBLEM_TYPES, problemEntry, type ProblemType } from '../../../../shared/contract/problems.ts'
import { redisError } from '../../../../shared/errors.ts'
import { describedApi, postJson, type DescribedApi } from '../../../support/docs/described-api.ts'
import { rawHttp } from '../../../support/processes/raw-http.ts'

type Facts = Partial<Pick<ApiServerDependencies, 'access' | 'limits'>> & {
  /** What happens when a device is read. */
  readonly read?: DeviceReader['read']
  readonly isRebuilding?: boolean
  readonly maxEventClients?: number
  readonly find?: DeviceSearcher['find']
}

const LIMITS = { maxConcurrentRequests: 10, maxConnections: 100, requestsPerMinute: 0 }

/** An API that has no Redis: what its ports answer is given. It stops when the test ends. */
async function openApi({
  access = { kind: 'hosts', allowed: [] },
  limits = LIMITS,
  read = async () => ({ kind: 'missing' }),
  isRebuilding = false,
  maxEventClients = 1,
  find = async () => await Promise.reject(new Error('there is no Redis')),
}: Facts = {}): Promise<{ server: ApiServer; url: string; api: DescribedApi }> {
  const ignore = () => undefined
  const server = await createApiServer({
    version: '0.0.0-test',
    log: createLogger('fatal', { write: ignore }),
    monitor: new LoopMonitor(() => Date.now()),
    checks: [],
    access,
    limits,
    trustedProxies: [],
    basePath: '',
    corsOrigins: [],
    telemetry: { requestDone: ignore, requestFailed: ignore, connectionClosed: ignore },
    monotonicNow: () => performance.now(),
  })
  const queue = createReadingQueue(1)
  registerDeviceRoutes(server, {
    queue,
    devices: {
      read,
      readMany: (ids) => Promise.all(ids.map(read)),
      readHash: async () => undefined,
      page: async () => ({ devices: [], next: undefined }),
      remove: async () => false,
    },
    isRebuilding: async () => isRebuilding,
    telemetry: { lookedUp: ignore },
  })
  const countTypes = async () => ({ types: [], total: 0, asOfMs: 0, isTruncated: false })
  registerSearchRoutes(server, { queue, searcher: { find, countTypes }, monotonicNow: () => 0 })
  registerEventRoutes(
    server,
    {
      position: () => undefined,
      follow: () => ignore,
      read: async () => undefined,
      announceListening: async () => undefined,
      monotonicNow: () => 0,
      telemetry: { sseClients: ignore, sseEventsSent: ignore, sseDropped: ignore },
    },
    { ...EVENT_HUB_LIMITS, maxClients: maxEventClients },
  )
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => server.close())
  return { server, url, api: await describedApi(url) }
}

type Answered = {
  readonly status: number
  readonly mediaType: string | null
  readonly retryAfter: string | null
  readonly json: unknown
}

/** The answer to a request, checked against the OpenAPI document of the API. */
async function ask(facts: Facts, path: string, init?: RequestInit): Promise<Answered> {
  const { api } = await openApi(facts)
  return await askApi(api, path, init)
}

async function askApi(api: DescribedApi, path: string, init?: RequestInit): Promise<Answered> {
  const { headers, json, status } = await api.ask(path, init)
  return { status, mediaType: headers.get('content-type'), retryAfter: headers.get('retry-after'), json }
}

/** The answer to bytes that no HTTP client would send. */
async function askRaw(text: string): Promise<Answered> {
  const { url } = await openApi()
  const { body, head, status } = await rawHttp(url, text)
  return { status, mediaType: mediaTypeOf(head), retryAfter: null, json: JSON.parse(body) }
}

/** Node emits this error after half a minute; here it is emitted right away, on the socket of a real connection. */
async function askTooSlowly(): Promise<Answered> {
  const { server, url } = await openApi()
  const accepted = once(server.server, 'connection')
  const client = connect(Number(new URL(url).port), '127.0.0.1')
  onTestFinished(() => void client.destroy())
  const [socket] = await accepted
  const error = Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' })
  server.server.emit('clientError', error, socket)
  const reply = Buffer.concat(await client.toArray()).toString()
  const [head = '', body = ''] = reply.split('\r\n\r\n')
  const status = Number(head.split(' ')[1])
  return { status, mediaType: mediaTypeOf(head), retryAfter: null, json: JSON.parse(body) }
}

function mediaTypeOf(head: string): string | null {
  return /^content-type: (.+)$/im.exec(head)?.[1]?.trim() ?? null
}

/** One request is stuck in Redis, and the limit is one request. */
async function askWhileBusy(): Promise<Answered> {
  const reading = Promise.withResolvers<void>()
  const redis = Promise.withResolvers<AvailableReading>()
  const { api, url } = await openApi({
    limits: { ...LIMITS, maxConcurrentRequests: 1 },
    read() {
      reading.resolve()
      return redis.promise
    },
  })
  const stuck = fetch(`${url}/api/devices/x`)
  await reading.promise
  const answer = await askApi(api, '/api/devices/x')
  redis.resolve({ kind: 'missing' })
  expect((await stuck).status).toBe(404)
  return answer
}

async function askTooOften(): Promise<Answered> {
  // The first request of the minute is the one for the OpenAPI document.
  const { api } = await openApi({ limits: { ...LIMITS, requestsPerMinute: 1 } })
  const answer = await askApi(api, '/api/devices')
  expect(Number(answer.retryAfter)).toBeGreaterThan(0)
  return { ...answer, retryAfter: null }
}

/** The only type that is never an answer of its own. */
async function lookUpInvalidId(): Promise<Answered> {
  const answer = await ask({}, '/api/devices/lookup', postJson({ ids: [''] }))
  const problem: unknown = Object(answer.json).errors['']
  return { ...answer, status: Object(problem).status, mediaType: PROBLEM_MEDIA_TYPE, json: problem }
}

function failing(error: Error): Facts {
  return {
    async read() {
      throw error
    },
  }
}

const sha256 = createHash('sha256').update('a-token').digest('hex')
const token = { name: 'reader', sha256, scopes: ['read'], expiresAtMs: undefined } as const
const withTokens: Facts = { access: { kind: 'tokens', tokens: () => [token], now: () => 0 } }
const bearer = { authorization: 'Bearer a-token' }
const evilHost = 'host: evil.example\r\nconnection: close'

/** As many searches are in progress as may be. */
async function askWhileSearching(): Promise<Answered> {
  const searching = Promise.withResolvers<void>()
  let started = 0
  const { api, url } = await openApi({
    limits: { ...LIMITS, maxConcurrentRequests: 100 },
    async find(_query, _position, signal) {
      if (++started === 32) searching.resolve()
      return await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    },
  })
  const gone = new AbortController()
  const stuck = Array.from({ length: 32 }, () => fetch(`${url}/api/search/devices`, { signal: gone.signal }))
  await searching.promise
  const answer = await askApi(api, '/api/search/devices')
  gone.abort()
  await Promise.allSettled(stuck)
  return answer
}

const truncated: Facts = {
  find: async () => ({
    total: 1,
    asOfMs: 0,
    isTruncated: true,
    offsetAfter: () => 0,
    positionAt: () => undefined,
    read: async () => [],
  }),
}

/** What provokes each type. The compiler refuses a type that has no entry here. */
const causes: Readonly<Record<ProblemType, () => Promise<Answered>>> = {
  bad_request: () => ask({}, '/api/devices/%ZZ'),
  invalid_request: () => ask({}, '/api/devices?limit=0'),
  invalid_cursor: () => ask({}, '/api/devices?cursor=x'),
  invalid_device_id: lookUpInvalidId,
  unauthorized: () => ask(withTokens, '/api/devices'),
  insufficient_scope: () => ask(withTokens, '/api/devices/x', { method: 'DELETE', headers: bearer }),
  host_not_allowed: () => askRaw(`GET /api/devices HTTP/1.1\r\n${evilHost}\r\n\r\n`),
  not_found: () => ask({}, '/api/devices/x'),
  method_not_allowed: () => ask({}, '/api/devices', { method: 'PUT' }),
  request_timeout: askTooSlowly,
  too_many_devices: () => ask(truncated, '/api/search/devices/export'),
  body_too_large: () => ask({}, '/api/devices/lookup', postJson({ ids: ['x'.repeat(262_144)] })),
  uri_too_long: () => ask({}, `/api/devices/${'x'.repeat(1025)}`),
  unsupported_media_type: () => ask({}, '/api/devices/lookup', { method: 'POST', body: 'ids' }),
  too_many_requests: askTooOften,
  headers_too_large: () => askRaw(`GET / HTTP/1.1\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`),
  internal_error: () => ask(failing(new Error('a bug')), '/api/devices/x'),
  corrupt_device: () =>
    ask({ read: async () => ({ kind: 'corrupt', reason: 'a reason' }) }, '/api/devices/x'),
  cache_rebuilding: () => ask({ isRebuilding: true }, '/api/devices/x'),
  redis_unavailable: () => ask(failing(redisError(new Error('Connection is closed'))), '/api/devices/x'),
  overloaded: askWhileBusy,
  too_many_searches: askWhileSearching,
  too_many_streams: () => ask({ maxEventClients: 0 }, '/api/events'),
}

describe('the table of problem types', () => {
  test.each(PROBLEM_TYPES)('describes %s exactly as the server answers it', async (type) => {
    const { detail, retryAfterS, status, title } = problemEntry(type)
    const answer = await causes[type]()
    expect(answer).toEqual({
      status,
      mediaType: PROBLEM_MEDIA_TYPE,
      retryAfter: retryAfterS === undefined ? null : String(retryAfterS),
      json: expect.objectContaining({ type, title, status, ...(detail !== undefined && { detail }) }),
    })
  })

  test('has the same types as the OpenAPI document', async () => {
    const { url } = await openApi()
    const document = await (await fetch(`${url}/openapi.json`)).text()
    const named = [...document.matchAll(/"type":\{[^{}]*"enum":(\[[^\]]*\])/g)].flatMap(([, list = '']) => {
      const types: unknown[] = JSON.parse(list)
      return types
    })
    // Occurs only inside the answer of a lookup, whose schema does not name types.
    expect(new Set([...named, 'invalid_device_id'])).toEqual(new Set(PROBLEM_TYPES))
  })
})
