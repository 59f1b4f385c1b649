import { Cluster } from 'ioredis'
import ioredis5 from 'ioredis-5'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { keySlot } from '../../../../shared/redis-client/key-slot.ts'
import { redisSettingsFrom } from '../../../../shared/redis-library/environment.ts'
import type { RedisServiceError } from '../../../../shared/redis-library/errors.ts'
import {
  RedisConfigStore,
  type RedisConfigStoreOptions,
} from '../../../../shared/redis-library/redis-config-store.ts'
import { FailedValue, RedisService } from '../../../../shared/redis-library/redis-service.ts'
import type { RedisClient, RedisTarget } from '../../../../shared/redis-library/target.ts'
import type { ConfigChange } from '../../../../shared/redis-library/watched-config.ts'
import { patiently } from '../../../support/eventually.ts'
import { startRedisCluster, type RedisCluster } from '../../../support/servers/redis-cluster.ts'
import { startOwnRedis } from '../../../support/servers/servers.ts'

const schema = z.object({ n: z.number() })
const PASSWORD = 'p@ss'
/** May do all that docs/redis-library.md lists, and nothing else; so it can't read the setting of the notifications. */
const RESTRICTED = [
  'on >limited resetchannels ~* -@all +ping +cluster|slots +cluster|nodes +asking +get +set +del +scan',
  '+eval +type +llen +lindex +lrange +rpush +ltrim +lset +exists +subscribe +unsubscribe &__keyspace@0__:app:*',
].join(' ')

let cluster: RedisCluster

beforeAll(async () => {
  cluster = await startRedisCluster({
    password: PASSWORD,
    aclUsers: { limited: RESTRICTED },
    args: ['--notify-keyspace-events', 'K$lgx'],
  })
})
afterAll(() => cluster.stop())

const settings = (login = {}): RedisTarget => ({
  clusterNodes: cluster.nodes.map(({ host, port }) => ({ host, port })),
  password: PASSWORD,
  timeoutMs: 2_000,
  ...login,
})

async function openService(target: RedisTarget): Promise<RedisService> {
  const service = new RedisService(target, { name: 'from-library' })
  onTestFinished(() => service.close())
  await service.connect()
  return service
}

async function openStore(target: RedisTarget, options: RedisConfigStoreOptions = {}) {
  const problems: RedisServiceError[] = []
  const onProblem = (problem: RedisServiceError) => void problems.push(problem)
  const store = new RedisConfigStore(target, { prefix: 'app:', name: 'from-library', onProblem, ...options })
  onTestFinished(() => store.close())
  await store.connect()
  return { store, problems }
}

/** The client is closed when the test ends, by the test and not by the library. */
function openClient<Client extends { disconnect(): void; on(event: 'error', listener: () => void): unknown }>(
  client: Client,
): Client {
  client.on('error', () => undefined)
  onTestFinished(() => client.disconnect())
  return client
}

async function emptyAll(): Promise<void> {
  await Promise.all(cluster.nodes.map(({ admin }) => admin.flushall()))
}

async function connectionsNamed(name: string): Promise<number> {
  const lists = await Promise.all(cluster.nodes.map(({ admin }) => admin.client('LIST')))
  return lists.join('\n').split(`name=${name}`).length - 1
}

/** What both classes promise, whatever they are connected by. */
async function useBoth(target: RedisTarget): Promise<void> {
  const service = await openService(target)
  const keys = Array.from({ length: 60 }, (_, i) => `value:${i}`)
  await Promise.all(keys.map((key, n) => service.set(key, { n }, { schema, ttlS: 600 })))
  await service.set('value:text', 'no JSON')
  expect(await service.mget([...keys, 'value:none', 'value:text'], schema)).toEqual([
    ...keys.map((_, n) => ({ n })),
    ...[null, expect.any(FailedValue)],
  ])
  expect((await service.listKeys('value:*')).sort()).toEqual([...keys, 'value:text'].sort())
  const sizes = await Promise.all(cluster.nodes.map(({ admin }) => admin.dbsize()))
  expect(Math.min(...sizes)).toBeGreaterThan(0)
  expect([await service.delete('value:0'), await service.delete('value:0')]).toEqual([true, false])
  expect(await service.isAlive()).toBe(true)

  const { store, problems } = await openStore(target, { maxVersions: 2 })
  const { store: other } = await openStore(target, { maxVersions: 2 })
  expect(await store.isReady()).toBe(true)
  // So many that each master owns some of them.
  const names = Array.from({ length: 12 }, (_, i) => `limits:${i}`)
  const changes: ConfigChange[] = []
  for (const name of names) await store.watch(name, (change) => void changes.push(change))
  for (const n of [1, 2, 3]) {
    changes.length = 0
    await Promise.all(names.map((name) => other.update(name, { n }, { expectedVersion: n - 1 })))
    await patiently(() => expect(changes).toHaveLength(names.length))
    for (const name of names) {
      expect(changes).toContainEqual({ key: name, event: 'rpush', version: n, text: `{"n":${n}}` })
      expect(await store.fetch(schema, name)).toEqual({ n })
    }
  }
  expect((await other.history('limits:0')).map(({ version }) => version)).toEqual([2, 3])
  changes.length = 0
  expect(await other.delete('limits:0')).toBe(true)
  await patiently(() => expect(changes).toEqual([{ key: 'limits:0', event: 'del', version: 0, text: null }]))
  expect(await store.fetch(schema, 'limits:0')).toBeNull()
  expect(problems).toEqual([])
  await Promise.all([store.close(), other.close(), service.close()])
  await expect(service.getRaw('value:1')).rejects.toThrow('not connected')
}

describe('a Redis Cluster is used by both classes, over all its masters', () => {
  test('with REDIS_CLUSTER_NODES, and nothing is left open', async () => {
    await emptyAll()
    const [seed] = cluster.seeds.split(',')
    await useBoth(redisSettingsFrom({ REDIS_CLUSTER_NODES: seed, REDIS_PASSWORD: PASSWORD }))
    await patiently(async () => expect(await connectionsNamed('from-library')).toBe(0))
  })

  test.each([
    ['ioredis 6', (nodes: { host: string; port: number }[], options: object) => new Cluster(nodes, options)],
    [
      'ioredis 5',
      (nodes: { host: string; port: number }[], options: object) => new ioredis5.Cluster(nodes, options),
    ],
  ])('with a client of %s, which stays open', async (_, create) => {
    await emptyAll()
    const nodes = cluster.nodes.map(({ host, port }) => ({ host, port }))
    const client = openClient(create(nodes, { redisOptions: { password: PASSWORD } }))
    await useBoth({ client: client as unknown as RedisClient })
    expect(await client.ping()).toBe('PONG')
    // MGET finds null for a key of another type.
    await client.sadd('set', 'member')
    const service = await openService({ client: client as unknown as RedisClient })
    expect(await service.mget(['set'], schema)).toEqual([null])
  })

  test('by a user who may do nothing else, and whose notifications are tried with a key on each master', async () => {
    await emptyAll()
    await useBoth(settings({ username: 'limited', password: 'limited' }))
  })
})

test('a config is answered from memory', async () => {
  const { store } = await openStore(settings())
  await store.update('memory', { n: 1 })
  expect(await store.fetch(schema, 'memory')).toEqual({ n: 1 })
  const owner = await cluster.ownerOf('app:memory')
  const calls = async () =>
    Number(/cmdstat_eval:calls=(\d+)/.exec(await owner.admin.info('commandstats'))?.[1])
  const before = await calls()
  for (let i = 0; i < 20; i++) await store.fetch(schema, 'memory')
  expect(await calls()).toBe(before)
})

test('a node that reports no changes is named once; its configs are compared until it does', async () => {
  const silent = await cluster.ownerOf('app:silent')
  await silent.admin.config('SET', 'notify-keyspace-events', '')
  onTestFinished(async () => void (await silent.admin.config('SET', 'notify-keyspace-events', 'K$lgx')))
  const { store, problems } = await openStore(settings())
  expect(await store.isReady()).toBe(true)
  const changes: ConfigChange[] = []
  await store.watch('silent', (change) => void changes.push(change))
  await silent.admin.rpush('app:silent', '{"n":1}')
  expect(await store.fetch(schema, 'silent')).toEqual({ n: 1 })
  await patiently(() => expect(changes).toEqual([expect.objectContaining({ event: 'changed', version: 1 })]))
  await silent.admin.rpush('app:silent', '{"n":2}')
  await patiently(() => expect(changes).toHaveLength(2))
  expect(problems.map(({ message }) => message)).toEqual([
    expect.stringMatching(
      new RegExp(
        `Redis does not report changes.*CONFIG SET.*on 127.0.0.1:${silent.port}.*compared every second`,
      ),
    ),
  ])
  await silent.admin.config('SET', 'notify-keyspace-events', 'K$lgx')
  await patiently(async () => {
    changes.length = 0
    await silent.admin.rpush('app:silent', '{"n":3}')
    await patiently(() => expect(changes).toHaveLength(1))
    expect(changes).toMatchObject([{ event: 'rpush' }])
  })
})

test('with enableNotifications, the store enables them on every node', async () => {
  for (const { admin } of cluster.nodes) await admin.config('SET', 'notify-keyspace-events', '')
  const { store, problems } = await openStore(settings(), { enableNotifications: true })
  for (const { admin } of cluster.nodes) {
    const [, flags] = (await admin.config('GET', 'notify-keyspace-events')) as string[]
    expect([...(flags ?? '')].sort().join('')).toBe('$Kglx')
  }
  expect([await store.isReady(), problems]).toEqual([true, []])
})

test('a slot that moves with its keys changes nothing for those who watch them, and is listed once', async () => {
  await emptyAll()
  const { store } = await openStore(settings())
  const service = await openService(settings())
  const names = Array.from({ length: 5 }, (_, i) => `{tag}:${i}`)
  const changes: ConfigChange[] = []
  for (const name of names) await store.watch(name, (change) => void changes.push(change))
  for (const name of names) await store.update(name, { n: 1 })
  await patiently(() => expect(changes).toHaveLength(names.length))
  const from = await cluster.ownerOf('app:{tag}:0')
  const to = cluster.nodes.find((node) => node !== from)
  if (to === undefined) throw new Error('there is one node only')
  const slot = keySlot('{tag}')
  await cluster.beginMove(from, to, slot, 2)
  expect((await service.listKeys('app:*')).sort()).toEqual(names.map((name) => `app:${name}`))
  for (const name of names) expect(await store.update(name, { n: 2 })).toMatchObject({ version: 2 })
  await patiently(() => expect(changes).toHaveLength(2 * names.length))
  await cluster.moveSlots(from, to, [{ from: slot, to: slot }])
  for (const name of names) expect(await store.fetch(schema, name)).toEqual({ n: 2 })
  for (const name of names) expect(await store.update(name, { n: 3 })).toMatchObject({ version: 3 })
  await patiently(() => expect(changes).toHaveLength(3 * names.length))
  const reported = changes.map(({ event, key, version }) => `${key} ${event} ${version}`)
  expect(reported.sort()).toEqual(
    names.flatMap((name) => [1, 2, 3].map((version) => `${name} rpush ${version}`)).sort(),
  )
})

describe('what is wrong is said', () => {
  async function failureOf(target: RedisTarget): Promise<string> {
    const service = new RedisService(target)
    return await service.connect().then(
      () => 'connected',
      (error: unknown) => String(error),
    )
  }

  test('a wrong password', async () => {
    expect(await failureOf(settings({ password: 'wrong' }))).toMatch(
      /^RedisConnectionError: Connection to the Redis Cluster of 127.*127.*127.* failed: 127.0.0.1:\d+: (WRONGPASS|NOAUTH)/,
    )
  })

  test('nodes that do not answer', async () => {
    const clusterNodes = [1, 2].map((port) => ({ host: '127.0.0.1', port }))
    expect(await failureOf({ clusterNodes, timeoutMs: 500 })).toMatch(
      /failed: 127.0.0.1:\d: connect ECONNREFUSED.*; 127.0.0.1:\d: connect ECONNREFUSED/,
    )
  })

  test('a server that is no node of a Cluster, and a node that is taken for one server', async () => {
    const server = await startOwnRedis()
    onTestFinished(() => server.stop())
    expect(await failureOf({ clusterNodes: [{ host: server.host, port: server.port }] })).toContain(
      `127.0.0.1:${server.port} is not a node of a Redis Cluster: give its host and port (REDIS_HOST)`,
    )
    const service = await openService({
      host: '127.0.0.1',
      port: cluster.nodes[0]?.port ?? 0,
      password: PASSWORD,
    })
    const gets = Array.from({ length: 20 }, (_, i) => service.getRaw(`key:${i}`))
    const outcomes = (await Promise.allSettled(gets)).map((outcome) =>
      outcome.status === 'rejected' ? String(outcome.reason) : 'found',
    )
    expect(outcomes).toContainEqual(
      expect.stringMatching(/RedisOperationError: .*REDIS_CLUSTER_NODES\) instead of one server \(MOVED/),
    )
  })

  test('a Cluster whose slots have not been assigned', async () => {
    const server = await startOwnRedis({ isClusterNode: true })
    onTestFinished(() => server.stop())
    expect(await failureOf({ clusterNodes: [{ host: server.host, port: server.port }] })).toContain(
      'announce no slots',
    )
  })
})

test('nodes that announce other addresses are reached by REDIS_CLUSTER_NAT_MAP', async () => {
  const announced = await startRedisCluster({ masters: 2, announcesOtherPorts: true })
  onTestFinished(() => announced.stop())
  const map = announced.nodes.map(({ announcedPort, port }) => `127.0.0.1:${announcedPort}=localhost:${port}`)
  const environment = { REDIS_CLUSTER_NODES: announced.seeds, REDIS_TIMEOUT_S: '1' }
  const service = await openService(
    redisSettingsFrom({ ...environment, REDIS_CLUSTER_NAT_MAP: map.join(',') }),
  )
  const keys = Array.from({ length: 20 }, (_, i) => `key:${i}`)
  for (const key of keys) await service.set(key, 'value')
  expect((await service.listKeys('key:*')).sort()).toEqual(keys.sort())
  await expect(new RedisService(redisSettingsFrom(environment)).connect()).rejects.toThrow('ECONNREFUSED')
})

test('the slot of a key is the one that Redis calculates', async () => {
  const [node] = cluster.nodes
  for (const key of [
    '',
    'key',
    '{tag}:1',
    'a{tag}b{c}',
    '{}x',
    '{}x{a}',
    'x{',
    'x}{y',
    '{{a}}',
    'é☃𝄞',
    'a{é}',
  ])
    expect([key, keySlot(key)]).toEqual([key, await node?.admin.cluster('KEYSLOT', key)])
})
