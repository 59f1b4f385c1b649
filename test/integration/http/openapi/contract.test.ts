import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { DEVICE_INDEX_KEY, UPDATE_TYPES_KEY } from '../../../../shared/contract/keys.ts'
import { curlRequest } from '../../../support/docs/curl-request.ts'
import { describedApi, type Answer, type DescribedApi } from '../../../support/docs/described-api.ts'
import {
  curlLineOf,
  fetchDocument,
  operationsOf,
  examplesOf,
  type DocumentedOperation,
} from '../../../support/docs/openapi-document.ts'
import { eventually } from '../../../support/eventually.ts'
import { startApi, type RunningApi } from '../../../support/processes/start-api.ts'
import { startOwnRedis } from '../../../support/servers/servers.ts'
import { folderOfFile } from '../../../support/temporary-folder.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import { newToken, tokenEntry, writeTokens } from '../../../support/tokens.ts'

// Every operation is sent the example that its own curl line shows, and then whatever provokes each of the statuses that
// the document names. describedApi checks every answer against the document.

type Api = DescribedApi & { readonly url: string }
type Request = { path: string; init: RequestInit }

let database: RedisDatabase
let tokens: Record<'read' | 'write' | 'admin', string>
let secured: Api
/** Allows one request a minute, which the first has used up, and one event stream. */
let limited: Api
let withoutRedis: Api
const running: { stop(): Promise<void> }[] = []
const operations: DocumentedOperation[] = []
const folder = folderOfFile()

async function open(env: Record<string, string>): Promise<Api> {
  const api: RunningApi = await startApi(env)
  running.push(api)
  return { ...(await describedApi(api.url)), url: api.url }
}

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  tokens = { read: newToken(), write: newToken(), admin: newToken() }
  const entries = Object.entries(tokens).map(([scope, token]) =>
    tokenEntry(scope, token, { scopes: [scope] }),
  )
  const file = join(folder, 'tokens.json')
  await writeTokens(file, entries)
  const env = { REDIS_URL: database.url }
  secured = await open({ ...env, API_AUTH: 'token', API_TOKENS_FILE: file, API_MAX_EVENT_CLIENTS: '1' })
  limited = await open({ ...env, API_RATE_LIMIT_PER_MINUTE: '1' })
  const redis = await startOwnRedis()
  running.push(redis)
  withoutRedis = await open({ REDIS_URL: redis.url, REDIS_TIMEOUT_S: '1' })
  await redis.kill('SIGKILL')
  await eventually(async () => expect((await fetch(`${withoutRedis.url}/readyz`)).status).toBe(503))
  operations.push(...operationsOf(await fetchDocument(secured.url)))
})
afterAll(async () => {
  for (const part of running.toReversed()) await part.stop()
  await database.release()
})

/** What the examples ask for. */
async function fill(): Promise<void> {
  const { client } = database
  await client.flushdb()
  await client.hset('device:282c02014911:metadata', { datatype_name: 'door', persist: '[true]' })
  await client.sadd(DEVICE_INDEX_KEY, '282c02014911')
  await client.set('prices', '{"updated":null,"valid":true,"values":{"gas":12.5}}')
  await client.sadd(UPDATE_TYPES_KEY, 'prices')
  await client.set('user:1', '{"name":"Ana"}', 'EX', 60)
}

/** The request of the curl line, with a token of the scope that the operation needs. */
async function exampleOf(operation: DocumentedOperation): Promise<Request> {
  const [scope] = Object.values(operation.security[0] ?? {}).flat()
  const token = scope === 'read' || scope === 'write' || scope === 'admin' ? tokens[scope] : ''
  const { init, url } = await curlRequest(curlLineOf(operation), { TOKEN: token })
  return { path: url.pathname + url.search, init: { ...init, signal: AbortSignal.timeout(20_000) } }
}

function withHeaders({ path, init }: Request, changes: Record<string, string | undefined>): Request {
  const headers = new Headers(init.headers)
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) headers.delete(name)
    else headers.set(name, value)
  }
  return { path, init: { ...init, headers } }
}

const withBody = ({ path, init }: Request, body: string): Request => ({ path, init: { ...init, body } })

/** Replaces the values of the path parameters. */
function withPathOf(operation: DocumentedOperation, { init }: Request, value: string): Request {
  return { path: operation.path.replaceAll(/\{\w+\}/g, value), init }
}

const INVALID_QUERIES: Readonly<Record<string, string>> = {
  listDevices: '?limit=0',
  followEvents: '?events=x',
  searchDevices: '?limit=0',
  exportDevices: '?silent_for=x',
  listCacheKeys: '?pattern=****',
  listChannels: '?pattern=****',
}

/** Provokes a status of an operation, other than the one that its example is answered with. */
async function provoke(operation: DocumentedOperation, status: number, example: Request): Promise<Answer> {
  const { operationId, path, requestBody } = operation
  const ask = (request: Request, api = secured) => api.ask(request.path, request.init)
  switch (status) {
    case 304: {
      const etag = (await ask(example)).headers.get('etag') ?? ''
      return await ask(withHeaders(example, { 'if-none-match': etag }))
    }
    case 400: {
      if (requestBody !== undefined) return await ask(withBody(example, '{'))
      if (path.includes('{')) return await ask(withPathOf(operation, example, '%ZZ'))
      return await ask({ ...example, path: path + (INVALID_QUERIES[operationId] ?? '') })
    }
    case 401:
      return await ask(withHeaders(example, { authorization: undefined }))
    case 403: {
      const needed = new Headers(example.init.headers).get('authorization')
      const other = needed === `Bearer ${tokens.read}` ? tokens.admin : tokens.read
      return await ask(withHeaders(example, { authorization: `Bearer ${other}` }))
    }
    case 404:
      return await ask(withPathOf(operation, example, 'absent'))
    case 409:
      await database.client.rpush('list', 'x')
      return await ask(withPathOf(operation, example, 'list'))
    case 413:
      return await ask(withBody(example, JSON.stringify('x'.repeat(256 * 1024))))
    case 415:
      return await ask(withHeaders(example, { 'content-type': 'text/plain' }))
    case 429:
      return await ask(example, limited)
    case 500:
      await database.client.set('device:broken:metadata', 'not a hash')
      return await ask(withPathOf(operation, example, 'broken'))
    case 503: {
      if (operationId !== 'followEvents') return await ask(example, withoutRedis)
      const first = await fetch(secured.url + example.path, example.init)
      try {
        return await ask(example)
      } finally {
        await first.body?.cancel()
      }
    }
    default:
      throw new Error(`${operationId}: nothing here provokes the status ${status}`)
  }
}

/** A loop that is stuck, more devices than this Redis has, and an overload: no request here provokes them. */
const UNPROVOKED = ['getLiveness 503', 'exportDevices 409', 'getAccess 503']

/** The documented texts of an error of the cache-queue service; empty for others. */
function errorTextsOf({ responses, tags }: DocumentedOperation, status: number): string[] {
  const media = responses[String(status)]?.content?.['application/json']
  if (media === undefined || !tags.includes('cache-queue')) return []
  return examplesOf(media).flatMap(([, example]) => {
    const { error } = Object(example)
    return error === undefined ? [] : [String(error)]
  })
}

describe('the OpenAPI document', () => {
  test('shows a request of each operation that succeeds as described', async () => {
    const answers: [string, number][] = []
    for (const operation of operations) {
      if (operation.operationId === 'followEvents') continue
      await fill()
      const { init, path } = await exampleOf(operation)
      const { status } = await secured.ask(path, init)
      const [expected] = Object.keys(operation.responses)
      answers.push([`${operation.operationId} ${expected}`, status])
    }
    expect(answers.filter(([described, status]) => !described.endsWith(` ${status}`))).toEqual([])
    expect(answers.length).toBeGreaterThan(20)
  })

  test('shows a request for events that opens a stream', async () => {
    const operation = operations.find(({ operationId }) => operationId === 'followEvents')
    if (operation === undefined) throw new Error('followEvents is not described')
    const { init, path } = await exampleOf(operation)
    const answer = await fetch(secured.url + path, init)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    await answer.body?.cancel()
  })

  test('describes each status of each operation as the server answers it', async () => {
    const problems: string[] = []
    for (const operation of operations) {
      const [success, ...others] = Object.keys(operation.responses)
        .filter((status) => status !== 'default')
        .map(Number)
      expect(success).toBeLessThan(300)
      for (const status of others.filter((one) => !UNPROVOKED.includes(`${operation.operationId} ${one}`))) {
        await fill()
        const answer = await provoke(operation, status, await exampleOf(operation))
        const what = `${operation.operationId} ${status}`
        if (answer.status !== status) problems.push(`${what}: answered ${answer.status} ${answer.text}`)
        const texts = errorTextsOf(operation, status)
        if (texts.length > 0 && !texts.includes(String(Object(answer.json).error))) {
          problems.push(`${what}: ${answer.text} is not among the examples`)
        }
        const headers = Object.keys(operation.responses[String(status)]?.headers ?? {})
        // A status with several errors documents the headers of all of them.
        if ([304, 401, 429].includes(status)) {
          for (const name of headers) if (!answer.headers.has(name)) problems.push(`${what}: no ${name}`)
        }
      }
    }
    expect(problems).toEqual([])
  })
})
