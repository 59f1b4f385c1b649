import { Redis } from 'ioredis'
import { expect, test, type TestContext } from 'vitest'
import { UPDATE_STREAM_KEY, UPDATER_LEASE_KEY } from '../../shared/contract/keys.ts'
import { patiently } from '../support/eventually.ts'
import { becomesReady, startRoleProcess, type RoleProcess } from '../support/processes/role-process.ts'
import { startOwnRedis, type OwnRedis, type OwnRedisOptions } from '../support/servers/servers.ts'
import { openSse, type SseClient } from '../support/processes/sse-client.ts'

test.concurrent(
  'a kv-updater resubscribes after Redis was killed and restarted, counts the gap, and applies new updates',
  async (context) => {
    const { redis, server } = await ownRedis(context)
    const updater = await start(context, 'kv-updater', server)
    await publish(redis, 0)
    await patiently(async () => expect(await redis.get('inventory')).toContain('[0]'))
    expect(await updater.metric('cache_service_pubsub_gaps_total')).toBe(0)
    for (const gaps of [1, 2]) {
      await server.kill('SIGKILL')
      await patiently(async () => expect(await updater.isReady()).toBe(false))
      await patiently(async () => expect(await updater.metric('cache_service_redis_up')).toBe(0))
      await server.start()
      await patiently(async () => expect(await updater.isReady()).toBe(true))
      expect(await updater.metric('cache_service_redis_up')).toBe(1)
      await publish(redis, gaps)
      await patiently(async () => expect(await redis.get('inventory')).toContain(`[${gaps}]`))
      expect(await updater.metric('cache_service_pubsub_gaps_total')).toBe(gaps)
    }
    expect(await updater.metric('cache_service_redis_reconnects_total')).toBeGreaterThan(0)
    expect(updater.output).toContain('subscription lost')
    expect(updater.output).toContain('subscribed again')
    expect(await updater.stop()).toBe(0)
  },
)

test.concurrent('a kv-updater notices that Redis hangs, and opens a new connection', async (context) => {
  const { redis, server } = await ownRedis(context)
  const updater = await start(context, 'kv-updater', server, { REDIS_TIMEOUT_S: '1' })
  await server.kill('SIGSTOP')
  await patiently(async () => expect(await updater.isReady()).toBe(false))
  await server.kill('SIGCONT')
  await patiently(async () => expect(await updater.isReady()).toBe(true))
  await publish(redis, 1)
  await patiently(async () => expect(await redis.get('inventory')).toContain('[1]'))
  expect(await updater.metric('cache_service_pubsub_gaps_total')).toBe(1)
  expect(await updater.stop()).toBe(0)
})

test.concurrent(
  'a kv-updater logs an update that Redis refused as an error, and applies the next one after a gap',
  async (context) => {
    const { redis, server } = await ownRedis(context)
    const updater = await start(context, 'kv-updater', server)
    await publish(redis, 0)
    // The event comes after the value: it must be in the stream before the memory is full.
    await patiently(async () => expect(await kindsInStream(redis)).toEqual(['gap', 'update']))
    await redis.config('SET', 'maxmemory', '1')
    await publish(redis, 1)
    await patiently(async () => {
      expect(await updater.metric('cache_service_updates_total', { result: 'failed' })).toBe(1)
    })
    await redis.config('SET', 'maxmemory', '0')
    await publish(redis, 2)
    await patiently(async () => expect(await redis.get('inventory')).toContain('[2]'))
    await patiently(async () =>
      expect(await kindsInStream(redis)).toEqual(['gap', 'update', 'gap', 'update']),
    )
    expect(updater.output).toMatch(/"level":"error".*"code":"OOM"/)
  },
)

test.concurrent(
  'a kv-updater that is started without Redis waits for it, and exits with 0 when it is stopped',
  async (context) => {
    const { redis, server } = await ownRedis(context)
    await server.kill('SIGKILL')
    const updater = await startRoleProcess('kv-updater', { REDIS_URL: server.url })
    context.onTestFinished(async () => void (await updater.stop()))
    await patiently(async () => expect(await updater.isReady()).toBe(false))
    await server.start()
    await becomesReady(updater)
    await publish(redis, 1)
    await patiently(async () => expect(await redis.get('inventory')).toContain('[1]'))
    await server.kill('SIGKILL')
    expect(await updater.stop()).toBe(0)
  },
)

test.concurrent('a kv-updater with wrong credentials exits with 2 and names the setting', async (context) => {
  const { server } = await ownRedis(context, { password: 'right-password' })
  const url = server.url.replace('right', 'wrong')
  const updater = await startRoleProcess('kv-updater', { REDIS_URL: url })
  context.onTestFinished(async () => void (await updater.stop()))
  expect(await updater.exit).toBe(2)
  expect(updater.output).toContain('REDIS_PASSWORD')
})

test.concurrent(
  'when one of two kv-updaters is killed, all updates are stored and the stream has each once and in order, or a gap',
  async (context) => {
    const { redis, server } = await ownRedis(context)
    const updaters = await Promise.all([1, 2].map(() => start(context, 'kv-updater', server)))
    let published = 0
    for (; published < 400; published++) await publish(redis, published)
    // Besides the gap at the start, the other updater may append one: it sets values behind that gap.
    await patiently(async () =>
      expect((await kindsInStream(redis)).filter((kind) => kind === 'update')).toHaveLength(400),
    )
    const gaps = (await kindsInStream(redis)).filter((kind) => kind === 'gap').length
    const holder = await redis.get(UPDATER_LEASE_KEY)
    const killed = updaters.find(({ pid }) => holder?.includes(`-${pid}-`))
    expect(killed).toBeDefined()
    killed?.kill('SIGKILL')
    await patiently(
      async () => {
        await publish(redis, published++)
        expect(await redis.get(UPDATER_LEASE_KEY)).not.toBe(holder)
        expect(await redis.exists(UPDATER_LEASE_KEY)).toBe(1)
      },
      { everyMs: 20 },
    )
    await patiently(async () =>
      expect((await kindsInStream(redis)).filter((kind) => kind === 'gap').length).toBeGreaterThan(gaps),
    )
    for (const last = published + 200; published < last; published++) await publish(redis, published)
    await patiently(async () => expect((await valuesInStream(redis)).at(-1)).toBe(published - 1))
    const values = await valuesInStream(redis)
    const gap = values.lastIndexOf(undefined)
    const before = values.slice(0, gap).filter((value) => value !== undefined)
    const after = values.slice(gap + 1)
    expect(before.length).toBeGreaterThanOrEqual(400)
    expect(before).toEqual(before.map((_, n) => n))
    expect(after.length).toBeGreaterThanOrEqual(200)
    expect(after).toEqual(after.map((_, n) => published - after.length + n))
  },
)

test.concurrent(
  'a client resumes at another api and after a restart, and gets a reset when its position is gone',
  async (context) => {
    const { redis, server } = await ownRedis(context)
    await start(context, 'kv-updater', server)
    const apis = await Promise.all([1, 2].map(() => start(context, 'api', server)))
    const client = await openEvents(context, apis[0])
    for (let n = 0; n < 20; n++) await publish(redis, n)
    await client.waitForNews(20)
    expect(updatesOf(client)).toEqual(Array.from({ length: 20 }, (_, n) => n))

    expect(await apis[0]?.stop()).toBe(0)
    await patiently(() => expect(client.isEnded).toBe(true))
    for (let n = 20; n < 40; n++) await publish(redis, n)
    const elsewhere = await openEvents(context, apis[1], client.lastId)
    await elsewhere.waitForNews(20)
    expect(updatesOf(elsewhere)).toEqual(Array.from({ length: 20 }, (_, n) => n + 20))
    elsewhere.close()

    for (let n = 40; n < 60; n++) await publish(redis, n)
    const restarted = await start(context, 'api', server)
    const again = await openEvents(context, restarted, elsewhere.lastId)
    await again.waitForNews(20)
    expect(updatesOf(again)).toEqual(Array.from({ length: 20 }, (_, n) => n + 40))

    await patiently(async () => expect(await redis.xtrim(UPDATE_STREAM_KEY, 'MAXLEN', 1)).toBeGreaterThan(0))
    // The api that has read the updates shortly before may still send them.
    const fresh = await start(context, 'api', server)
    const late = await openEvents(context, fresh, elsewhere.lastId)
    expect(late.news()).toMatchObject([{ event: 'reset' }])
    await publish(redis, 60)
    await late.waitForNews(2)
    expect(updatesOf(late)).toEqual([60])
  },
)

test.concurrent(
  'a thousand idle clients need little memory in an api, and all receive the next update',
  async (context) => {
    const { redis, server } = await ownRedis(context)
    await start(context, 'kv-updater', server)
    const api = await start(context, 'api', server)
    const clients: SseClient[] = []
    for (let n = 0; n < 20; n++) {
      clients.push(...(await Promise.all(Array.from({ length: 50 }, () => openEvents(context, api)))))
    }
    expect(await api.metric('cache_service_sse_clients')).toBe(1_000)
    const heap = (await api.metric('process_resident_memory_bytes')) ?? Infinity
    expect(heap).toBeLessThan(300 * 1024 * 1024)
    await publish(redis, 1)
    await patiently(() =>
      expect(clients.filter((client) => updatesOf(client).length === 1)).toHaveLength(1_000),
    )
    expect(await api.metric('cache_service_sse_dropped_total', { reason: 'slow' })).toBe(0)
  },
)

async function ownRedis(context: TestContext, options: OwnRedisOptions = {}) {
  const server = await startOwnRedis(options)
  context.onTestFinished(() => server.stop())
  const redis = new Redis(server.url, { retryStrategy: () => 50 })
  redis.on('error', () => undefined)
  context.onTestFinished(() => redis.disconnect())
  return { server, redis }
}

/** Starts a role and waits until it is ready and, for a kv-updater, until some updater holds the lease. */
async function start(
  context: TestContext,
  role: 'api' | 'kv-updater',
  server: OwnRedis,
  env: Readonly<Record<string, string>> = {},
): Promise<RoleProcess> {
  const started = await startRoleProcess(role, { REDIS_URL: server.url, ...env })
  context.onTestFinished(async () => void (await started.stop()))
  await becomesReady(started)
  if (role === 'kv-updater') {
    const redis = new Redis(server.url)
    await patiently(async () => expect(await redis.exists(UPDATER_LEASE_KEY)).toBe(1))
    redis.disconnect()
  }
  return started
}

async function publish(redis: Redis, n: number): Promise<void> {
  await redis.publish('update', JSON.stringify({ type: 'inventory', updated: n, valid: true, values: [n] }))
}

async function openEvents(
  context: TestContext,
  api: RoleProcess | undefined,
  lastEventId?: string,
): Promise<SseClient> {
  const client = await openSse(`${api?.apiUrl}/api/events?events=update`, lastEventId)
  context.onTestFinished(() => client.close())
  return client
}

async function entriesInStream(redis: Redis): Promise<Map<string, string>[]> {
  const found = await redis.xrange(UPDATE_STREAM_KEY, '-', '+')
  return found.map(([, fields]) => {
    const values = new Map<string, string>()
    for (let i = 0; i < fields.length; i += 2) values.set(fields[i] ?? '', fields[i + 1] ?? '')
    return values
  })
}

async function kindsInStream(redis: Redis): Promise<(string | undefined)[]> {
  return (await entriesInStream(redis)).map((fields) => fields.get('kind'))
}

/** The values in the stream; undefined stands for a gap. */
async function valuesInStream(redis: Redis): Promise<(number | undefined)[]> {
  return (await entriesInStream(redis)).map((fields) => {
    const json = fields.get('json')
    return json === undefined ? undefined : valueOf(JSON.parse(json))
  })
}

function updatesOf(client: SseClient): (number | undefined)[] {
  return client.news().flatMap(({ event, data }) => (event === 'update' ? [valueOf(data)] : []))
}

function valueOf(data: unknown): number | undefined {
  if (typeof data !== 'object' || data === null || !('values' in data) || !Array.isArray(data.values))
    return undefined
  return Number(data.values[0])
}
