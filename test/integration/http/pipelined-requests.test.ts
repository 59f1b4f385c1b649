import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { startApi, type RunningApi } from '../../support/processes/start-api.ts'
import { useRedisDatabase, type RedisDatabase } from '../../support/test-scope.ts'

/** More than the kernel keeps for a client that does not read. */
const BIG_BYTES = 8_000_000

let database: RedisDatabase
let api: RunningApi

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  await database.client.set('big', JSON.stringify('x'.repeat(BIG_BYTES)))
  api = await startApi({ REDIS_URL: database.url })
})
afterAll(async () => {
  await api.stop()
  await database.release()
})

/** Sends the requests at once, and reads no more than the beginning of the first response. */
async function sendAndStopReading(lines: readonly string[]): Promise<{ socket: Socket; received: Buffer[] }> {
  const received: Buffer[] = []
  const socket = connect(Number(new URL(api.url).port), '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined)
  socket.once('data', () => socket.pause()).on('data', (part) => received.push(part))
  socket.write(lines.map((line) => `${line} HTTP/1.1\r\nhost: localhost\r\n\r\n`).join(''))
  await eventually(() => expect(received).not.toHaveLength(0))
  return { socket, received }
}

const textOf = (parts: readonly Buffer[]) => Buffer.concat(parts).toString('latin1')

const lookups = () => api.metric('cache_lookups_total', { result: 'missing' })

describe('requests behind a response that their client does not read', () => {
  test('begin when it is read, and are answered in their order', async () => {
    const before = (await lookups()) ?? 0
    const ids = Array.from({ length: 10 }, (_, n) => `none-${n}`)
    const { received, socket } = await sendAndStopReading([
      'GET /api/cache/big',
      ...ids.map((id) => `GET /api/devices/${id}`),
      'GET /api/cache/exists/last',
    ])
    // Had they begun, they would have been answered before this one.
    expect((await fetch(`${api.url}/api/devices/other`)).status).toBe(404)
    expect(await lookups()).toBe(before + 1)
    socket.resume()
    await eventually(() => expect(textOf(received.slice(-3))).toContain('"key":"last"'))
    expect(textOf(received).match(/HTTP\/1\.1 \d+/g)).toEqual([
      'HTTP/1.1 200',
      ...ids.map(() => 'HTTP/1.1 404'),
      'HTTP/1.1 200',
    ])
    expect(await lookups()).toBe(before + 11)
  })

  test('are rejected immediately beyond 1,000', async () => {
    const overloaded = () =>
      api.metric('http_requests_total', { route: '/api/devices/:id', status: '503', method: 'GET' })
    const { received, socket } = await sendAndStopReading([
      'GET /api/cache/big',
      ...Array.from({ length: 1_004 }, () => 'GET /api/devices/none'),
    ])
    socket.resume()
    await eventually(async () => expect(await overloaded()).toBe(4))
    await eventually(() => expect(textOf(received.slice(-3))).toContain('"type":"overloaded"'))
  })
})
