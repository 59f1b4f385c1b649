import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { eventually, patiently } from '../support/eventually.ts'
import { startApi, type RunningApi } from '../support/processes/start-api.ts'
import { useRedisDatabase, type RedisDatabase } from '../support/test-scope.ts'

let database: RedisDatabase

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
})
afterAll(() => database.release())

async function startedApi(env: Readonly<Record<string, string>> = {}): Promise<RunningApi> {
  const api = await startApi({ REDIS_URL: database.url, ...env })
  onTestFinished(() => api.stop())
  return api
}

type Client = {
  readonly socket: Socket
  /** All that was read. */
  readonly received: string
  /** Whether the API has closed the connection. */
  readonly isClosed: boolean
}

/**
 * Connects and sends the text. The connection stays open, as far as the client is concerned.
 * @param reads false: nothing but the beginning of the response.
 */
async function openClient(url: string, text: string, { reads = true } = {}): Promise<Client> {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true })
  let received = ''
  let isClosed = false
  socket.on('error', () => undefined)
  for (const event of ['end', 'close']) socket.once(event, () => (isClosed = true))
  socket.setEncoding('utf8').on('data', (part: string) => (received += part))
  if (!reads) socket.once('data', () => socket.pause())
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  socket.write(text)
  return {
    socket,
    get received() {
      return received
    },
    get isClosed() {
      return isClosed
    },
  }
}

const openClients = (count: number, ...args: Parameters<typeof openClient>) =>
  Promise.all(Array.from({ length: count }, () => openClient(...args)))

const statusOf = async (url: string) => (await fetch(url)).status

const head = (line: string, ...headers: readonly string[]) =>
  [`${line} HTTP/1.1`, 'host: localhost', ...headers, '', ''].join('\r\n')
const jsonType = 'content-type: application/json'

const BIG_DEVICES = 500
/** A response of 10 MB: more than the kernel keeps for a client that does not read. */
const bigPage = head(`GET /api/devices?limit=${BIG_DEVICES}`)

async function storeBigDevices(): Promise<void> {
  const pipeline = database.client.pipeline()
  for (let i = 0; i < BIG_DEVICES; i++) {
    pipeline.hset(`device:big-${i}:metadata`, { persist: 'true', blob: 'x'.repeat(20_000) })
    pipeline.sadd('devices', `big-${i}`)
  }
  await pipeline.exec()
}

describe('a client that sends slowly', () => {
  test('takes no place from the requests of others, and is disconnected after 15 seconds', async () => {
    const api = await startedApi({ API_MAX_CONCURRENT_REQUESTS: '4' })
    const lookup = head('POST /api/devices/lookup', jsonType, 'content-length: 100')
    const deletion = head('DELETE /api/devices/x', 'content-length: 10')
    const clients = [
      ...(await openClients(8, api.url, lookup)),
      ...(await openClients(4, api.url, deletion)),
      ...(await openClients(4, api.url, 'GET /api/devices HTTP/1.1\r\nhost: local')),
      ...(await openClients(4, api.url, '')),
    ]
    const trickling = await openClient(api.url, lookup)
    const timer = setInterval(() => trickling.socket.write(' '), 1_000)
    onTestFinished(() => clearInterval(timer))
    expect(await statusOf(`${api.url}/api/devices/x`)).toBe(404)
    expect(await statusOf(`${api.url}/`)).toBe(200)
    expect(await statusOf(`${api.url}/readyz`)).toBe(200)
    expect(trickling.isClosed).toBe(false)
    await patiently(() => {
      for (const client of clients) {
        expect(client.received).toMatch(/^HTTP\/1\.1 408 .*"type":"request_timeout"/s)
        expect(client.isClosed).toBe(true)
      }
      expect(trickling.isClosed).toBe(true)
    })
  })

  test('changes nothing with what it sends after the response that its time is over', async () => {
    const api = await startedApi()
    const body = JSON.stringify({ key: 'late', value: 1 })
    const request = head('POST /api/cache/', jsonType, `content-length: ${body.length}`)
    const client = await openClient(api.url, request + body.slice(0, -1))
    const completed = once(client.socket, 'data').then(() => client.socket.write(body.slice(-1)))
    await completed
    expect(client.received).toContain('408')
    // A request on another connection is answered after the one that has arrived before.
    expect(await statusOf(`${api.url}/api/devices/x`)).toBe(404)
    await eventually(() => expect(client.isClosed).toBe(true))
    expect(await database.client.exists('late')).toBe(0)
  })
})

describe('a client that reads slowly', () => {
  test('takes no place from the requests of others, and is disconnected when it stops reading', async () => {
    await storeBigDevices()
    const api = await startedApi({ API_MAX_CONCURRENT_REQUESTS: '1' })
    const stalled = () => api.metric('http_connections_closed_total', { reason: 'stalled' })
    for (let i = 0; i < 3; i++) {
      const client = await openClient(api.url, bigPage, { reads: false })
      await eventually(() => expect(client.received).toMatch(/^HTTP\/1\.1 200 /))
      // The page has been read from Redis: its place is free again.
      expect(await statusOf(`${api.url}/api/devices/x`)).toBe(404)
    }
    expect(await stalled()).toBe(0)
    await patiently(async () => expect(await stalled()).toBe(3))
  }, 120_000)

  test('loses its place among the exports to another caller, even if it reads a little', async () => {
    await storeBigDevices()
    const api = await startedApi()
    const path = '/api/search/devices/export?format=jsonl'
    for (let i = 0; i < 2; i++) {
      const { socket } = await openClient(api.url, head(`GET ${path}`), { reads: false })
      await eventually(() => expect(socket.isPaused()).toBe(true))
      const timer = setInterval(() => socket.once('data', () => socket.pause()).resume(), 1_000)
      onTestFinished(() => clearInterval(timer))
    }
    expect(await statusOf(`${api.url}${path}`)).toBe(503)
    await patiently(async () => {
      const { body, status } = await fetch(`${api.url}${path}`)
      await body?.cancel()
      expect(status).toBe(200)
    })
    expect(await api.metric('http_connections_closed_total', { reason: 'stalled' })).toBeGreaterThan(0)
  }, 120_000)

  test('is disconnected before others if the responses that are not read take 64 MiB', async () => {
    await storeBigDevices()
    const api = await startedApi()
    await openClients(9, api.url, bigPage, { reads: false })
    await patiently(async () =>
      expect(
        await api.metric('http_connections_closed_total', { reason: 'unread_responses' }),
      ).toBeGreaterThan(0),
    )
    // One that reads receives its response.
    const page: unknown = await (await fetch(`${api.url}/api/devices?limit=${BIG_DEVICES}`)).json()
    expect(Object(page).devices.length).toBeGreaterThan(0)
  }, 120_000)
})

describe('more connections than the API keeps', () => {
  test('close those that have waited for longest without a request, never an event stream', async () => {
    const api = await startedApi({ API_MAX_CONCURRENT_REQUESTS: '4', API_MAX_EVENT_CLIENTS: '1' })
    const stream = await openClient(api.url, head('GET /api/events'))
    await eventually(() => expect(stream.received).toContain('text/event-stream'))
    const oldest = await openClient(api.url, '')
    const others = await openClients(300, api.url, '')
    await eventually(() => expect(oldest.isClosed).toBe(true))
    expect(await statusOf(`${api.url}/readyz`)).toBe(200)
    expect(await statusOf(`${api.url}/api/devices/x`)).toBe(404)
    const open = others.filter(({ isClosed }) => !isClosed)
    expect(open.length).toBeGreaterThan(200)
    expect(open.length).toBeLessThan(257)
    expect(stream.isClosed).toBe(false)
    const closed = await api.metric('http_connections_closed_total', { reason: 'too_many' })
    expect(closed).toBeGreaterThanOrEqual(300 + 2 - 257)
    const lines = api.lines().filter(({ msg }) => msg.startsWith('connection closed'))
    expect(lines).toHaveLength(1)
  })
})

describe('requests that are sent without waiting for responses', () => {
  test('are answered in their order', async () => {
    const api = await startedApi({ API_MAX_CONCURRENT_REQUESTS: '4' })
    const requests = Array.from({ length: 500 }, (_, i) => head(`GET /api/devices/d${i % 7}`))
    const client = await openClient(api.url, `${requests.join('')}${head('GET /livez', 'connection: close')}`)
    await patiently(() => expect(client.isClosed).toBe(true))
    const statuses = [...client.received.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
    expect(statuses).toHaveLength(501)
    expect(new Set(statuses.slice(0, -1))).toEqual(new Set(['404']))
    expect(statuses.at(-1)).toBe('200')
    // All places are free again.
    for (let i = 0; i < 8; i++) expect(await statusOf(`${api.url}/api/devices/x`)).toBe(404)
  })
})
