import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { RECORD_RESULTS } from '../../cache-service/core/records/settle.ts'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { becomesReady, startRoleProcess } from '../support/processes/role-process.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'

const CALLERS = 100

test('an overloaded api rejects excess requests, and the worker keeps working', async (context) => {
  const report = reportFault(context, 'H5')
  const scenario = await openWorkerScenario(context)
  const { oracle } = scenario
  const worker = await scenario.startWorker()
  await worker.ready()
  const redisUrl = scenario.env['REDIS_URL'] ?? ''
  const api = await startRoleProcess('api', { REDIS_URL: redisUrl, API_MAX_CONCURRENT_REQUESTS: '4' })
  context.onTestFinished(async () => void (await api.stop()))
  await becomesReady(api)

  const ids = Array.from({ length: 1000 }, (_, i) => `device-${i}`)
  const flood = new AbortController()
  const statuses = new Map<number, number>()
  const callers = Array.from({ length: CALLERS }, async () => {
    while (!flood.signal.aborted) {
      const reply = await fetch(`${api.apiUrl}/api/devices/lookup`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ids }),
      })
      await reply.arrayBuffer()
      statuses.set(reply.status, (statuses.get(reply.status) ?? 0) + 1)
      if (reply.status === 503) expect(reply.headers.get('retry-after')).toBe('1')
    }
  })
  await patiently(() => expect(statuses.get(503) ?? 0).toBeGreaterThan(CALLERS))
  await scenario.sendFleet(2_000, { seed: 7, devices: 100 })
  // The flood is still going on.
  await oracle.assertCaughtUp({ consumed: scenario.consumed })
  expect((await fetch(`${api.apiUrl}/livez`)).status).toBe(200)
  flood.abort()
  await Promise.all(callers)
  expect([...statuses.keys()].toSorted()).toEqual([200, 503])
  report.saw(
    `${CALLERS} callers: ${statuses.get(200)} lookups answered, ${statuses.get(503)} rejected with 503`,
  )
  expect(await worker.stop()).toBe(0)
})

/** Clients that open connections, send this text, and neither send nor read anything more. */
async function openSilentClients(url: string, count: number, text: string): Promise<void> {
  const { port } = new URL(url)
  for (let i = 0; i < count; i++) {
    const socket = connect(Number(port), '127.0.0.1')
    socket.on('error', () => undefined)
    onTestFinished(() => void socket.destroy())
    await once(socket, 'connect')
    socket.write(text)
  }
}

test('a worker keeps working while clients attack the api of the same process', async (context) => {
  const report = reportFault(context, 'H5')
  const scenario = await openWorkerScenario(context)
  const { oracle, redis } = scenario
  const both = await startRoleProcess('all', scenario.env)
  context.onTestFinished(async () => void (await both.stop()))
  await becomesReady(both)
  const url = both.apiUrl
  const consumed = async () => {
    const counts = RECORD_RESULTS.map((result) => both.metric('cache_service_messages_total', { result }))
    return (await Promise.all(counts)).reduce<number>((sum, count) => sum + (count ?? 0), 0)
  }
  await redis.set('big', JSON.stringify('x'.repeat(8_000_000)))

  const head = (line: string, ...headers: string[]) =>
    [`${line} HTTP/1.1`, 'host: localhost', ...headers, '', ''].join('\r\n')
  const lookup = (bytes: number) =>
    head('POST /api/devices/lookup', 'content-type: application/json', `content-length: ${bytes}`)
  await openSilentClients(url, 600, lookup(10))
  await openSilentClients(url, 100, 'GET / HTTP/1.1\r\nx: ')
  await openSilentClients(url, 150, lookup(262_144) + ' '.repeat(260_000))
  await openSilentClients(url, 12, head('GET /api/cache/big'))
  await patiently(async () => {
    const closed = (reason: string) => both.metric('cache_service_http_connections_closed_total', { reason })
    expect(await closed('incomplete_bodies')).toBeGreaterThan(0)
    expect(await closed('unread_responses')).toBeGreaterThan(0)
  })
  // The oracle accepts only what comes from the topic.
  await redis.del('big')
  await scenario.sendFleet(2_000, { seed: 11, devices: 100 })
  await oracle.assertCaughtUp({ consumed })
  // The attack is still going on, and others are served.
  expect((await fetch(`${url}/readyz`)).status).toBe(200)
  expect((await fetch(`${url}/api/devices/none`)).status).toBe(404)
  report.saw('862 clients that do not send or do not read: all records applied, other callers served')
  expect(await both.stop()).toBe(0)
}, 240_000)
