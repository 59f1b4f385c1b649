import { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openKvUpdater } from '../../cache-service/roles/kv-updater.ts'
import { createWriteProbe } from '../../cache-service/redis/probe.ts'
import { progressKeys } from '../../cache-service/redis/workers/group-progress.ts'
import { DeviceCacheClient } from '../../shared/client/client.ts'
import {
  DEVICE_INDEX_KEY,
  deviceKey,
  LAG_GROUPS_KEY,
  lagProbeKey,
  UPDATE_STREAM_KEY,
  UPDATER_LEASE_KEY,
  WORKERS_KEY,
} from '../../shared/contract/keys.ts'
import { patiently } from '../support/eventually.ts'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import { becomesReady, startRoleProcess, type RoleProcess } from '../support/processes/role-process.ts'
import { startRole, type RoleRun } from '../support/processes/role-run.ts'
import { deviceId } from '../support/records/record-builder.ts'
import { openSse } from '../support/processes/sse-client.ts'
import { startApi, type RunningApi } from '../support/processes/start-api.ts'
import {
  startRedisCluster,
  type ClusterNode,
  type RedisCluster,
  type RedisClusterOptions,
} from '../support/servers/redis-cluster.ts'
import { connectToCluster } from '../support/servers/redis-connection.ts'
import { startOwnRedis } from '../support/servers/servers.ts'
import { sendJson } from '../support/processes/send-json.ts'

const CHANNEL = 'update'
const ignore = () => undefined

describe('updates', () => {
  test('reach a client that reads again at every reset, while masters are killed and frozen', async () => {
    const cluster = await ownCluster({ replicasPerMaster: 1, nodeTimeoutMs: 1_000 })
    const env = { REDIS_CLUSTER_NODES: cluster.seeds, REDIS_TIMEOUT_S: '1' }
    const updaters = [await startRoleProcess('kv-updater', env), await startRoleProcess('kv-updater', env)]
    const api = await startRoleProcess('api', env)
    for (const role of [...updaters, api]) {
      onTestFinished(async () => void (await role.stop()))
      await becomesReady(role)
    }
    const client = await followState(api.apiUrl)
    const publisher = publishContinuously(cluster)
    await publisher.reached(20)

    const holder = await cluster.ownerOf(UPDATE_STREAM_KEY)
    await cluster.kill(holder)
    await cluster.failedOver(holder)
    await publisher.reached(publisher.published + 20)
    await cluster.restart(holder)
    await cluster.settled()

    // The subscribers are on the first node of the settings, or on the next one since it was lost.
    const [frozen] = (await cluster.masters()).filter((node) => node !== holder)
    if (frozen === undefined) throw new Error('there is no other master')
    await cluster.freeze(frozen)
    await cluster.failedOver(frozen)
    await publisher.reached(publisher.published + 20)
    await cluster.thaw(frozen)
    await cluster.settled()

    await publisher.reached(publisher.published + 20)
    await publisher.stop()
    // Updates published while no updater was subscribed are missed, as documented: each type is published again at the end.
    await publisher.publishAll()
    await patiently(() => expect(client.values()).toEqual(publisher.values()))
    for (const role of [...updaters, api]) {
      await patiently(async () => expect(await role.isReady()).toBe(true))
      expect(linesOf(role, 'a node of the Redis Cluster does not answer').length).toBeLessThanOrEqual(4)
    }
  })

  test('are received from another node when the node of the subscription was removed from the Cluster', async () => {
    const cluster = await ownCluster()
    const removed = await cluster.addNode()
    const updater = await startUpdater({
      REDIS_CLUSTER_NODES: `${removed.host}:${removed.port},${cluster.seeds}`,
    })
    const subscribed = async () => Number((await removed.admin.pubsub('NUMSUB', CHANNEL))[1])
    expect(await subscribed()).toBe(1)
    // It answers PING, and nothing that is published arrives.
    for (const node of cluster.nodes) if (node !== removed) await node.admin.cluster('FORGET', removed.id)
    await removed.admin.call('CLUSTER', 'RESET')
    await patiently(async () => expect(await subscribed()).toBe(0))
    expect(updater.lines().filter(({ msg }) => msg.includes('do not arrive'))).toHaveLength(1)
    await patiently(async () => expect(await updater.isReady()).toBe(true))
    const [publisher] = cluster.nodes
    await publisher?.admin.publish(CHANNEL, JSON.stringify({ type: 'after', values: [1] }))
    await patiently(async () =>
      expect(await (await cluster.ownerOf('after')).admin.get('after')).toContain('[1]'),
    )
    await patiently(async () => expect(await gaps(cluster)).toContain('subscription_lost'))
  })

  test('are appended once each while the slot of the streams moves to another master', async () => {
    const cluster = await ownCluster()
    const updater = await startUpdater({ REDIS_CLUSTER_NODES: cluster.seeds })
    const api = await ownApi({ REDIS_CLUSTER_NODES: cluster.seeds })
    const stream = await openSse(`${api.url}/api/events?events=update`)
    onTestFinished(() => stream.close())
    const publisher = publishContinuously(cluster)
    const from = await cluster.ownerOf(UPDATE_STREAM_KEY)
    const slot = Number(await from.admin.cluster('KEYSLOT', UPDATE_STREAM_KEY))
    const to = cluster.nodes.find((node) => node !== from)
    if (to === undefined) throw new Error('there is one master only')
    await publisher.reached(20)
    await cluster.moveSlots(from, to, [{ from: slot, to: slot }])
    await publisher.reached(publisher.published + 20)
    await publisher.stop()
    await patiently(() => {
      const updates = stream.news().filter(({ event }) => event === 'update')
      const resets = stream.news().filter(({ event }) => event === 'reset')
      if (resets.length === 0) expect(updates).toHaveLength(publisher.published)
      expect(new Set(updates.map(({ data }) => JSON.stringify(data))).size).toBe(updates.length)
    })
    expect(await updater.metric('updates_total', { result: 'failed' })).toBe(0)
  })
})

describe('a master without a replica that is away', () => {
  test('is an error of its keys alone, and logged once', async () => {
    const cluster = await ownCluster({
      args: ['--cluster-require-full-coverage', 'no'],
      nodeTimeoutMs: 1_000,
    })
    const env = { REDIS_CLUSTER_NODES: cluster.seeds, REDIS_TIMEOUT_S: '1', STATE_TYPES: 'a,b,c,d,e,f,g,h' }
    const api = await ownApi(env)
    const typesOf = async (node: ClusterNode) => {
      const owners = await Promise.all(
        TYPES.map(async (type) => ({ type, owner: await cluster.ownerOf(type) })),
      )
      return owners.filter(({ owner }) => owner === node).map(({ type }) => type)
    }
    const TYPES = env.STATE_TYPES.split(',')
    for (const type of TYPES) await (await cluster.ownerOf(type)).admin.set(type, '{"values":[1]}')
    const streams = await cluster.ownerOf(UPDATE_STREAM_KEY)
    const dead = (await cluster.masters()).find((node) => node !== streams)
    if (dead === undefined) throw new Error('there is one master only')
    const [lost] = await typesOf(dead)
    const others = TYPES.filter((type) => type !== lost)
    const alive = (
      await Promise.all(others.map(async (type) => ((await cluster.ownerOf(type)) === dead ? [] : [type])))
    ).flat()
    await cluster.kill(dead)
    await patiently(async () => expect((await fetch(`${api.url}/api/state/${lost}`)).status).toBe(503))
    for (const type of alive) expect((await fetch(`${api.url}/api/state/${type}`)).status).toBe(200)
    const refused = await fetch(`${api.url}/api/state`)
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({
      detail: expect.stringContaining(`The master ${dead.host}:${dead.port} of the Redis Cluster failed`),
    })
    expect((await fetch(`${api.health}/readyz`)).status).toBe(200)
    const { masters } = JSON.parse(await (await fetch(`${api.url}/api/redis`)).text())
    expect(masters.filter(({ answers }: { answers: boolean }) => !answers)).toHaveLength(1)
    const about = (text: string) => api.lines().filter(({ msg }) => msg.includes(text))
    expect(about('does not answer')).toHaveLength(1)
    await cluster.restart(dead)
    await patiently(() => expect(about('answers again')).toHaveLength(1))
    await patiently(async () => expect((await fetch(`${api.url}/api/state`)).status).toBe(200))
    expect(about('does not answer')).toHaveLength(1)
  })

  test('is named where a request needs all masters, and the others still do their part', async () => {
    const cluster = await ownCluster({
      args: ['--cluster-require-full-coverage', 'no'],
      nodeTimeoutMs: 1_000,
    })
    const api = await ownApi({ REDIS_CLUSTER_NODES: cluster.seeds, REDIS_TIMEOUT_S: '1' })
    const index = await cluster.ownerOf(DEVICE_INDEX_KEY)
    // Whether the cache is being filled is known from the reports of the workers.
    const reports = await cluster.ownerOf(WORKERS_KEY)
    const dead = (await cluster.masters()).find((node) => node !== index && node !== reports)
    if (dead === undefined) throw new Error('each master is needed')
    const keys = Array.from({ length: 30 }, (_, n) => `user:${n}`)
    const alive: string[] = []
    let aliveDevices = 0
    for (const key of keys) {
      const owner = await cluster.ownerOf(key)
      await owner.admin.set(key, '1')
      if (owner !== dead) alive.push(key)
      const device = deviceKey(deviceId(key))
      const ownerOfDevice = await cluster.ownerOf(device)
      await ownerOfDevice.admin.hset(device, 'persist', 'true')
      if (ownerOfDevice !== dead) aliveDevices++
      await index.admin.sadd(DEVICE_INDEX_KEY, key)
    }
    const ask = (method: string, path: string, body?: unknown) => sendJson(method, api.url + path, body)
    expect((await ask('GET', '/api/cache/keys?pattern=user:*')).body).toMatchObject({ count: 30 })
    await cluster.kill(dead)
    const name = `127.0.0.1:${dead.port}`
    await patiently(async () => {
      const { body, status } = await ask('GET', '/api/cache/keys?pattern=user:*')
      expect({ status, keys: body.keys?.sort(), truncated: body.truncated }).toEqual({
        status: 200,
        keys: alive.toSorted(),
        truncated: true,
      })
    })
    expect(await ask('GET', '/api/search/devices?limit=5')).toMatchObject({
      status: 503,
      body: { detail: expect.stringContaining(`The master ${name} of the Redis Cluster failed`) },
    })
    const listed = await ask('GET', '/api/devices?limit=100')
    expect([listed.status, listed.body.devices.length]).toEqual([200, aliveDevices])
    expect(await ask('POST', '/api/cache/flush', { confirm: true })).toEqual({
      status: 503,
      body: { error: `Redis no disponible en ${name}` },
    })
    expect((await ask('GET', '/api/cache/keys?pattern=user:*')).body).toMatchObject({
      count: 0,
      truncated: true,
    })
    expect((await ask('GET', '/stats')).status).toBe(200)
  })

  test.each([
    { name: 'one that owns no fixed key', ownsReports: false },
    { name: 'the one with the reports of the workers', ownsReports: true },
  ])(
    'leaves open whether unknown devices exist, and devices of the others are found: $name',
    async ({ ownsReports }) => {
      const cluster = await ownCluster({
        args: ['--cluster-require-full-coverage', 'no'],
        nodeTimeoutMs: 1_000,
      })
      const filledFrom = { group: 'g', topic: 't' }
      const env = {
        REDIS_CLUSTER_NODES: cluster.seeds,
        REDIS_TIMEOUT_S: '1',
        KAFKA_CONSUMER_GROUP_ID: filledFrom.group,
        KAFKA_VALIDATED_DATA_TOPIC: filledFrom.topic,
      }
      const api = await ownApi(env)
      const index = await cluster.ownerOf(DEVICE_INDEX_KEY)
      const reports = await cluster.ownerOf(WORKERS_KEY)
      const others = (await cluster.masters()).filter((node) => node !== index)
      const dead = others.find((node) => (node === reports) === ownsReports)
      if (dead === undefined) throw new Error('each master is needed')
      const ids = { alive: [] as string[], dead: [] as string[] }
      for (let n = 0; n < 30; n++) {
        const owner = await cluster.ownerOf(deviceKey(deviceId(`d${n}`)))
        ids[owner === dead ? 'dead' : 'alive'].push(`d${n}`)
      }
      const [found = '', unknown = ''] = ids.alive
      const [hidden = ''] = ids.dead
      for (const id of [found, hidden]) {
        const key = deviceKey(deviceId(id))
        await (await cluster.ownerOf(key)).admin.hset(key, 'persist', 'true')
        await index.admin.sadd(DEVICE_INDEX_KEY, id)
      }
      const lookUp = (asked: readonly string[]) =>
        sendJson('POST', `${api.url}/api/devices/lookup`, { ids: asked })
      expect((await lookUp([found, unknown])).body).toMatchObject({ missing: [unknown], complete: true })
      await cluster.kill(dead)
      const problem = {
        type: 'redis_unavailable',
        detail: expect.stringContaining(`The master 127.0.0.1:${dead.port} of the Redis Cluster failed`),
      }
      await patiently(async () =>
        expect(await lookUp([found, unknown, hidden])).toMatchObject({
          status: 200,
          body: {
            found: { [found]: { device_id: found } },
            missing: [],
            errors: { [unknown]: problem, [hidden]: problem },
            complete: false,
          },
        }),
      )
      expect(await lookUp([found])).toMatchObject({ status: 200, body: { errors: {}, complete: true } })
      for (const path of [unknown, `${unknown}/hash`, hidden, `${hidden}/hash`])
        expect(await sendJson('GET', `${api.url}/api/devices/${path}`), path).toMatchObject({
          status: 503,
          body: problem,
        })
      expect((await fetch(`${api.url}/health`)).status).toBe(200)
      const client = new DeviceCacheClient({ baseUrl: api.url })
      onTestFinished(() => client.close())
      const { complete, errors } = await client.lookup([found, unknown, hidden])
      expect([complete, [...errors.keys()].sort()]).toEqual([false, [hidden, unknown].sort()])

      const args = [found, unknown, hidden]
      const got = await runCliHere(['get', ...args, '-f', 'jsonl'], env)
      expect([got.code, JSON.parse(got.output).device_id]).toEqual([4, found])
      for (const id of [unknown, hidden])
        expect(got.errors).toMatch(new RegExp(`"${id}" can't be read: .*127\\.0\\.0\\.1:${dead.port}`))
      const byApi = await runCliHere(['get', ...args, '-f', 'jsonl', '--api', api.url])
      expect([byApi.code, byApi.output]).toEqual([4, got.output])
      expect(byApi.errors).toContain(`"${hidden}" can't be read: The master 127.0.0.1:${dead.port}`)
      for (const source of [[], ['--api', api.url]]) {
        const listed = await runCliHere(['list', '--limit', '3', '-f', 'jsonl', ...source], env)
        expect([listed.code, listed.output]).toEqual([4, got.output])
        expect(listed.errors).toContain("1 device can't be read: ")
        const batch = await runCliHere(
          ['batch', '--file', '-', '-f', 'csv', '--columns', 'device_id,status', ...source],
          env,
          { stdin: args.join('\n') },
        )
        expect([batch.code, batch.output]).toEqual([
          4,
          `device_id,status\n${found},found\n${unknown},unavailable\n${hidden},unavailable\n`,
        ])
      }

      if (ownsReports) return
      // What a master that answers knows of a rebuild is certain.
      const { redis } = await connectToCluster(cluster)
      for (const key of progressKeys(redis, filledFrom.group, filledFrom.topic)) {
        const owner = await cluster.ownerOf(key)
        if (owner !== dead) await owner.admin.hset(key, '0:requested', '1')
      }
      expect(await lookUp([found, unknown])).toMatchObject({
        status: 200,
        body: { missing: [unknown], errors: {}, complete: false },
      })
    },
  )

  test('makes the whole Cluster refuse commands if it requires all slots, and /health says so', async () => {
    const cluster = await ownCluster({ nodeTimeoutMs: 1_000 })
    const api = await ownApi({ REDIS_CLUSTER_NODES: cluster.seeds, REDIS_TIMEOUT_S: '1' })
    const health = () => sendJson('GET', `${api.url}/health`)
    expect(await health()).toMatchObject({ status: 200, body: { status: 'healthy', redis: 'connected' } })
    const [dead] = await cluster.masters()
    if (dead === undefined) throw new Error('there is no master')
    await cluster.kill(dead)
    await patiently(async () =>
      expect(await health()).toMatchObject({
        status: 503,
        body: { status: 'unhealthy', redis: 'disconnected' },
      }),
    )
    await patiently(async () => expect((await fetch(`${api.health}/readyz`)).status).toBe(503))
    for (let n = 0; n < 10; n++)
      expect((await sendJson('GET', `${api.url}/api/devices/d${n}`)).status).toBe(503)
    await cluster.restart(dead)
    await patiently(async () => expect((await health()).status).toBe(200))
  })

  test('leaves clients of its event streams connected, and they receive events when it is back', async () => {
    const cluster = await ownCluster({
      args: ['--cluster-require-full-coverage', 'no'],
      nodeTimeoutMs: 1_000,
    })
    const env = { REDIS_CLUSTER_NODES: cluster.seeds, REDIS_TIMEOUT_S: '1' }
    await startUpdater(env)
    const api = await ownApi(env)
    const owner = await cluster.ownerOf(UPDATE_STREAM_KEY)
    const before = await openSse(`${api.url}/api/events?events=update`)
    onTestFinished(() => before.close())
    await cluster.kill(owner)
    await patiently(async () => {
      const ready = await fetch(`${api.health}/readyz`)
      expect([ready.status, await ready.text()]).toEqual([
        503,
        expect.stringContaining('not following the event streams'),
      ])
    })
    const during = await openSse(`${api.url}/api/events?events=update`)
    onTestFinished(() => during.close())
    await cluster.restart(owner)
    const publisher = publishContinuously(cluster)
    for (const stream of [before, during])
      await patiently(() => expect(stream.news().some(({ event }) => event === 'update')).toBe(true))
    await publisher.stop()
    await patiently(async () => expect((await fetch(`${api.health}/readyz`)).status).toBe(200))
  })

  test('does not concern a lag monitor whose reports are on another master', async () => {
    const cluster = await ownCluster({
      args: ['--cluster-require-full-coverage', 'no'],
      nodeTimeoutMs: 1_000,
    })
    const { redis } = await connectToCluster(cluster, { timeoutMs: 500 })
    const telemetry = { redisWorks: ignore, redisFailed: ignore, unsafeEviction: ignore }
    const key = lagProbeKey('a')
    const probe = createWriteProbe(redis, key, telemetry, () => performance.now(), ignore, 'owner of the key')
    const owner = await cluster.ownerOf(key)
    expect(owner).toBe(await cluster.ownerOf(LAG_GROUPS_KEY))
    const [other] = (await cluster.masters()).filter((node) => node !== owner)
    if (other === undefined) throw new Error('there is one master only')
    await cluster.kill(other)
    await probe.attempt()
    await cluster.kill(owner)
    await patiently(async () => await expect(probe.attempt()).rejects.toThrow())
  })

  test('is named by the write probe', async () => {
    const cluster = await ownCluster({
      args: ['--cluster-require-full-coverage', 'no'],
      nodeTimeoutMs: 1_000,
    })
    const { redis } = await connectToCluster(cluster, { timeoutMs: 500 })
    const probe = createWriteProbe(
      redis,
      'cache_service:probe:a',
      { redisWorks: () => undefined, redisFailed: () => undefined, unsafeEviction: () => undefined },
      () => performance.now(),
      () => undefined,
      'all masters',
    )
    await probe.attempt()
    for (const { admin } of cluster.nodes) expect(await admin.keys('cache_service:*probe:a*')).toHaveLength(1)
    const [, dead] = cluster.nodes
    if (dead === undefined) throw new Error('there is one master only')
    await cluster.freeze(dead)
    onTestFinished(() => cluster.thaw(dead))
    await expect(probe.attempt()).rejects.toThrow(`the master 127.0.0.1:${dead.port}`)
    await cluster.thaw(dead)
    await patiently(() => probe.attempt())
  })
})

describe('the wrong kind of settings', () => {
  test.each(['api', 'kv-updater'] as const)(
    'ends the %s: REDIS_CLUSTER_NODES for a single server',
    async (role) => {
      const server = await startOwnRedis()
      onTestFinished(() => server.stop())
      const started = await startRoleProcess(role, { REDIS_CLUSTER_NODES: `${server.host}:${server.port}` })
      expect(await started.exit).toBe(2)
      expect(started.output).toContain('is not in cluster mode')
      expect(started.output).toContain('instead of REDIS_CLUSTER_NODES')
    },
  )

  test('ends the roles: REDIS_HOST for a node of a Cluster', async () => {
    const cluster = await ownCluster()
    const [node] = cluster.nodes
    for (const role of ['api', 'kv-updater'] as const) {
      const started = await startRoleProcess(role, {
        REDIS_HOST: '127.0.0.1',
        REDIS_PORT: String(node?.port),
      })
      expect(await started.exit).toBe(2)
      expect(started.output).toContain('set REDIS_CLUSTER_NODES to some nodes of the Cluster')
    }
  })
})

async function ownCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const cluster = await startRedisCluster(options)
  onTestFinished(() => cluster.stop())
  return cluster
}

async function ownApi(env: Readonly<Record<string, string>>): Promise<RunningApi> {
  const api = await startApi(env)
  onTestFinished(() => api.stop())
  return api
}

async function startUpdater(env: Readonly<Record<string, string>>): Promise<RoleRun> {
  const updater = await startRole(openKvUpdater, env)
  onTestFinished(() => updater.stop())
  await patiently(async () => expect(await updater.isReady()).toBe(true))
  await patiently(() => expect(updater.lines().some(({ msg }) => msg.includes('lease taken'))).toBe(true))
  return updater
}

function linesOf(role: RoleProcess, text: string): string[] {
  return role.output.split('\n').filter((line) => line.includes(text))
}

async function gaps(cluster: RedisCluster): Promise<string[]> {
  const { admin } = await cluster.ownerOf(UPDATER_LEASE_KEY)
  const entries = await admin.xrange(UPDATE_STREAM_KEY, '-', '+')
  return entries.flatMap(([, fields]) => (fields[1] === 'gap' ? [String(fields[3])] : []))
}

/** Publishes on a random running node, ten types in turn, each with a number that grows. */
function publishContinuously(cluster: RedisCluster) {
  const values = new Map<string, number>()
  const stopped = new AbortController()
  let n = 0
  let tries = 0
  async function publish(type: string): Promise<void> {
    const running = cluster.nodes.filter(({ isRunning }) => isRunning)
    const node = running[tries++ % running.length]
    const sending = new Redis(node?.url ?? '', {
      lazyConnect: true,
      retryStrategy: () => null,
      connectTimeout: 500,
      commandTimeout: 500,
    })
    sending.on('error', () => undefined)
    try {
      await sending.publish(CHANNEL, JSON.stringify({ type, values: [n + 1] }))
      values.set(type, ++n)
    } finally {
      sending.disconnect()
    }
  }
  const running = (async () => {
    while (!stopped.signal.aborted) await publish(`type-${n % 10}`).catch(() => undefined)
  })()
  onTestFinished(() => stopped.abort())
  return {
    get published() {
      return n
    },
    values: () => Object.fromEntries(values),
    reached: (count: number) => patiently(() => expect(n).toBeGreaterThanOrEqual(count)),
    async stop() {
      stopped.abort()
      await running
    },
    async publishAll() {
      for (const type of values.keys()) await patiently(() => publish(type))
    },
  }
}

/** As a client does: it reads the state, follows the events from there, and reads again at every reset. */
async function followState(apiUrl: string) {
  const known = new Map<string, number>()
  const numberOf = (value: unknown) => {
    const values = typeof value === 'object' && value !== null && 'values' in value ? value.values : undefined
    return Array.isArray(values) ? Number(values[0]) : NaN
  }
  let handled = 0
  const stream = await openSse(`${apiUrl}/api/events?events=update`)
  onTestFinished(() => stream.close())
  const read = async () => {
    await patiently(async () => {
      const response = await fetch(`${apiUrl}/api/state`)
      if (!response.ok) throw new Error(await response.text())
      const { state }: { state: Record<string, unknown> } = JSON.parse(await response.text())
      for (const [type, value] of Object.entries(state)) known.set(type, numberOf(value))
    })
  }
  await read()
  const timer = setInterval(() => {
    for (const { data, event } of stream.news().slice(handled)) {
      handled++
      if (event === 'reset') void read()
      if (event === 'update' && typeof data === 'object' && data !== null && 'type' in data)
        known.set(String(data.type), numberOf(data))
    }
  }, 50)
  onTestFinished(() => clearInterval(timer))
  return { values: () => Object.fromEntries([...known].filter(([type]) => type.startsWith('type-'))) }
}
