import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { keySlot } from '../../shared/redis-client/key-slot.ts'
import { RedisConnectionError, type RedisServiceError } from '../../shared/redis-library/errors.ts'
import { RedisConfigStore } from '../../shared/redis-library/redis-config-store.ts'
import { RedisService } from '../../shared/redis-library/redis-service.ts'
import type { RedisTarget } from '../../shared/redis-library/target.ts'
import type { ConfigChange } from '../../shared/redis-library/watched-config.ts'
import { patiently } from '../support/eventually.ts'
import {
  startRedisCluster,
  type ClusterNode,
  type RedisCluster,
  type RedisClusterOptions,
} from '../support/servers/redis-cluster.ts'

// The classes of the Redis library in a Redis Cluster whose nodes fail, change their roles, come and go.

const schema = z.object({ n: z.number() })
const NOTIFYING = ['--notify-keyspace-events', 'K$lgx']

type World = {
  readonly cluster: RedisCluster
  readonly service: RedisService
  readonly store: RedisConfigStore
  readonly other: RedisConfigStore
  readonly problems: RedisServiceError[]
  readonly changes: ConfigChange[]
  /** Names of configs: each master owns one of them at the start, in the order of the masters. */
  readonly names: readonly string[]
}

async function setUp(options: RedisClusterOptions = {}, login = {}): Promise<World> {
  const cluster = await startRedisCluster({ nodeTimeoutMs: 1_000, args: NOTIFYING, ...options })
  onTestFinished(() => cluster.stop())
  const target: RedisTarget = {
    clusterNodes: cluster.nodes.map(({ host, port }) => ({ host, port })),
    timeoutMs: 1_000,
    ...(cluster.tls !== undefined && { tls: { ca: cluster.tls.ca } }),
    ...login,
  }
  const problems: RedisServiceError[] = []
  const onProblem = (problem: RedisServiceError) => void problems.push(problem)
  const service = new RedisService(target, { onProblem })
  const store = new RedisConfigStore(target, { prefix: 'app:', onProblem })
  const other = new RedisConfigStore(target, { prefix: 'app:' })
  for (const one of [service, store, other]) {
    onTestFinished(() => one.close())
    await one.connect()
  }
  const names: string[] = []
  for (const master of await cluster.masters()) {
    let i = 0
    while ((await cluster.ownerOf(`app:${i}`)) !== master || names.includes(String(i))) i++
    names.push(String(i))
  }
  const changes: ConfigChange[] = []
  for (const name of names) {
    await store.watch(name, (change) => void changes.push(change))
    await store.update(name, { n: 1 })
  }
  await patiently(() => expect(changes).toHaveLength(names.length))
  return { cluster, service, store, other, problems, changes, names }
}

/** Each config is updated, each update is reported once and found by fetch. */
async function updateAll({ changes, names, other, store }: World, version: number): Promise<void> {
  changes.length = 0
  for (const name of names)
    await patiently(async () => expect(await other.update(name, { n: version })).toMatchObject({ version }))
  await patiently(() => expect(changes.length).toBeGreaterThanOrEqual(names.length))
  expect(changes).toEqual(changes.map(() => expect.objectContaining({ version })))
  expect(changes.map(({ key }) => key).sort()).toEqual([...names].sort())
  for (const name of names) expect(await store.fetch(schema, name)).toEqual({ n: version })
}

function firstOf<T>([first]: readonly T[]): T {
  if (first === undefined) throw new Error('there is none')
  return first
}

async function ownerOfFirst({ cluster, names }: World): Promise<ClusterNode> {
  return await cluster.ownerOf(`app:${firstOf(names)}`)
}

test('a failover is followed: the other masters serve meanwhile, and no change is missed', async () => {
  const world = await setUp({ replicasPerMaster: 1 })
  const { changes, cluster, names, other, problems, service, store } = world
  await service.set('key', 'value')
  const [dead = '', alive = ''] = names
  const former = await ownerOfFirst(world)
  await patiently(async () =>
    expect(await firstOf(await cluster.replicasOf(former)).admin.dbsize()).toBeGreaterThan(0),
  )
  await cluster.kill(former)
  expect(await other.update(alive, { n: 2 })).toMatchObject({ version: 2 })
  await patiently(() => expect(changes.at(-1)).toMatchObject({ key: alive, version: 2, event: 'rpush' }))
  await expect(service.getRaw(`app:${dead}`)).rejects.toBeInstanceOf(RedisConnectionError)
  expect(await store.fetch(schema, dead)).toEqual({ n: 1 })
  await cluster.failedOver(former)
  // At once, perhaps before the store has noticed the new master.
  await patiently(async () => expect(await other.update(dead, { n: 2 })).toMatchObject({ version: 2 }))
  await patiently(() => expect(changes.at(-1)).toMatchObject({ key: dead, version: 2 }))
  expect(await store.fetch(schema, dead)).toEqual({ n: 2 })
  await patiently(async () => expect(await store.isReady()).toBe(true))
  for (const key of names.slice(2)) {
    await other.update(key, { n: 2 })
    await patiently(() => expect(changes.at(-1)).toMatchObject({ key, version: 2 }))
  }
  await updateAll(world, 3)
  await cluster.restart(former)
  await patiently(async () => expect(await service.isAlive()).toBe(true))
  await updateAll(world, 4)
  const told = problems.map(({ message }) => message)
  expect(told.filter((message) => message.includes(`127.0.0.1:${former.port}`)).length).toBeGreaterThan(0)
  expect(told.length).toBeLessThan(12)
})

test('a failover on demand, without an outage, is followed', async () => {
  const world = await setUp({ replicasPerMaster: 1 })
  const { cluster, store } = world
  const former = await ownerOfFirst(world)
  await cluster.failover(firstOf(await cluster.replicasOf(former)))
  await updateAll(world, 2)
  await patiently(async () => expect(await store.isReady()).toBe(true))
  await updateAll(world, 3)
})

test('nothing hangs while a master is frozen', async () => {
  const world = await setUp()
  const { cluster, names, other, service, store } = world
  const keys = Array.from({ length: 30 }, (_, i) => `key:${i}`)
  for (const key of keys) await service.set(key, 'value')
  const frozen = await ownerOfFirst(world)
  await cluster.freeze(frozen)
  onTestFinished(() => cluster.thaw(frozen))
  const [dead = ''] = names
  for (const attempt of [
    () => service.mget(keys, schema),
    () => service.listKeys('*'),
    () => service.set(`app:${dead}`, 'x'),
    () => other.update(dead, { n: 2 }),
    () => other.history(dead),
  ])
    await expect(attempt()).rejects.toBeInstanceOf(RedisConnectionError)
  expect(await service.isAlive()).toBe(false)
  await patiently(async () => expect(await store.isReady()).toBe(false))
  expect(await store.fetch(schema, dead)).toEqual({ n: 1 })
  await cluster.thaw(frozen)
  await cluster.settled()
  await patiently(async () => expect(await store.isReady()).toBe(true))
  await patiently(async () => expect(await service.getRaw(firstOf(keys))).toBe('value'))
})

test('slots that move to a node that was added are followed, and no change is missed', async () => {
  const world = await setUp()
  const { changes, cluster, names, other, problems, service, store } = world
  const keys = Array.from({ length: 200 }, (_, i) => `key:${i}`)
  for (const key of keys) await service.set(key, 'value')
  const added = await cluster.addNode()
  const from = firstOf(await cluster.masters())
  // Among them the slot of a config.
  const slot = keySlot(`app:${firstOf(names)}`)
  const slots = [
    { from: slot, to: slot },
    { from: slot < 400 ? slot + 1 : 0, to: slot < 400 ? slot + 300 : 300 },
  ]
  let version = 1
  const progress = { isMoving: true }
  const stopped = () => void (progress.isMoving = false)
  const moving = cluster.moveSlots(from, added, slots)
  moving.then(stopped, stopped)
  while (progress.isMoving) {
    version++
    for (const name of names) expect(await other.update(name, { n: version })).toMatchObject({ version })
    expect((await service.listKeys('key:*')).sort()).toEqual([...keys].sort())
  }
  await moving
  for (const name of names)
    await patiently(async () => expect(await store.fetch(schema, name)).toEqual({ n: version }))
  await patiently(() => {
    for (const name of names) expect(changes.findLast(({ key }) => key === name)).toMatchObject({ version })
  })
  await patiently(async () => expect(await store.isReady()).toBe(true))
  await updateAll(world, version + 1)
  expect(problems.map(({ message }) => message)).toEqual([])
  // And back, until the node owns nothing.
  await cluster.moveSlots(added, from, slots)
  // It becomes a replica of the new owner, and reports what it gets from that: each change is reported once nevertheless.
  await patiently(async () =>
    expect(await added.admin.info('replication')).toContain('master_link_status:up'),
  )
  await updateAll(world, version + 2)
})

test('a restarted Cluster is found again, and lost data are reported as deletions', async () => {
  const world = await setUp()
  const { changes, cluster, service, store, names } = world
  changes.length = 0
  await Promise.all(cluster.nodes.map((node) => cluster.kill(node)))
  await expect(service.getRaw('key')).rejects.toBeInstanceOf(RedisConnectionError)
  await Promise.all(cluster.nodes.map((node) => cluster.restart(node)))
  await cluster.settled()
  await patiently(async () => expect(await store.isReady()).toBe(true))
  await patiently(() => expect(changes.map(({ version }) => version)).toEqual(names.map(() => 0)))
  await service.set('key', 'value')
  expect(await service.getRaw('key')).toBe('value')
  await updateAll(world, 1)
})

test('all nodes are reached over TLS and with a user', async () => {
  const aclUsers = { library: 'on >secret ~* &* +@all' }
  const world = await setUp(
    { tls: true, password: 'p', aclUsers, replicasPerMaster: 1 },
    { username: 'library', password: 'secret' },
  )
  await updateAll(world, 2)
  const former = await ownerOfFirst(world)
  await world.cluster.failover(firstOf(await world.cluster.replicasOf(former)))
  await updateAll(world, 3)
})
