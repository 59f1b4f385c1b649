import { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { UPDATE_STREAM_KEY } from '../../../../shared/contract/keys.ts'
import { eventually } from '../../../support/eventually.ts'
import { startEventApi } from '../../../support/processes/event-api.ts'
import { openSse } from '../../../support/processes/sse-client.ts'
import { reserveOwnRedis } from '../../../support/servers/servers.ts'

// The EventSource of a browser never reconnects after a response other than 200.

test('an event stream is accepted before Redis has been reached, and begins when it has', async () => {
  const { append, api, server } = await openWorld()
  const opening = [openSse(`${api.url}/api/events`), openSse(`${api.url}/api/events`, '0-0.0-0')]
  await eventually(() => expect(api.counts.clients).toBe(2))
  await server.start()
  const [fresh, resumed] = await Promise.all(opening)
  for (const client of [fresh, resumed]) {
    onTestFinished(() => client?.close())
    expect(client?.status).toBe(200)
  }
  // Something may have happened since it connected.
  expect(fresh?.news()).toMatchObject([{ event: 'reset', data: { streams: ['update', 'device'] } }])
  expect(resumed?.news()).toEqual([])
  await append(1)
  await fresh?.waitForNews(2)
  await resumed?.waitForNews(1)
  expect(api.counts.dropped).toEqual([])
})

test('an event stream stays open through an outage of Redis, and a client that resumes during it catches up later', async () => {
  const { append, api, server } = await openWorld({ pingIntervalMs: 100 })
  await server.start()
  await eventually(() => expect(api.follower.position).toBeDefined())
  const live = await openSse(`${api.url}/api/events`)
  const place = live.lastId
  for (let n = 0; n < 100; n++) await append(n)
  await live.waitForNews(100)
  await server.kill('SIGKILL')
  await eventually(() => expect(api.follower.notReadyReasons()).not.toEqual([]))
  const resuming = openSse(`${api.url}/api/events`, place)
  await eventually(() => expect(api.counts.clients).toBe(2))
  const pings = live.events.length
  await eventually(() => expect(live.events.length).toBeGreaterThan(pings + 5))
  await server.start()
  const resumed = await resuming
  for (const client of [live, resumed]) onTestFinished(() => client.close())
  await append(100)
  for (const client of [live, resumed]) {
    await client.waitForNews(101)
    expect(client.news().every(({ event }) => event === 'update')).toBe(true)
    expect(client.isEnded).toBe(false)
  }
  expect(api.counts.dropped).toEqual([])
})

/** An api, and a Redis that is not started yet and keeps its data when it is killed. */
async function openWorld(options: Parameters<typeof startEventApi>[1] = {}) {
  const server = await reserveOwnRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  onTestFinished(() => server.stop())
  const api = await startEventApi(server.url, { ...options, isRedisAwaited: false })
  onTestFinished(() => api.stop())
  const redis = new Redis(server.url, { retryStrategy: () => 50 })
  redis.on('error', () => undefined)
  onTestFinished(() => redis.disconnect())
  const append = (n: number) =>
    redis.xadd(UPDATE_STREAM_KEY, '*', 'kind', 'update', 'type', 'x', 'json', `{"type":"x","values":[${n}]}`)
  return { api, append, server }
}
