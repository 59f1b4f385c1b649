import { Cluster } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import {
  startRedisCluster,
  type ClusterNode,
  type RedisCluster,
  type RedisClusterOptions,
} from '../support/servers/redis-cluster.ts'

async function ownCluster(options?: RedisClusterOptions): Promise<RedisCluster> {
  const cluster = await startRedisCluster(options)
  onTestFinished(() => cluster.stop())
  return cluster
}

function clientOf({ nodes, tls }: RedisCluster, password?: string): Cluster {
  const client = new Cluster(
    nodes.map(({ host, port }) => ({ host, port })),
    {
      redisOptions: {
        ...(password !== undefined && { password }),
        ...(tls !== undefined && { tls: { ca: tls.ca } }),
      },
    },
  )
  client.on('error', () => undefined)
  onTestFinished(() => client.disconnect())
  return client
}

async function twoOf(cluster: RedisCluster): Promise<[ClusterNode, ClusterNode]> {
  const [first, second] = await cluster.masters()
  if (first === undefined || second === undefined) throw new Error('there are not two masters')
  return [first, second]
}

test('a cluster moves slots with their keys, also to a node that was added', async () => {
  const cluster = await ownCluster()
  const client = clientOf(cluster)
  const keys = Array.from({ length: 300 }, (_, i) => `key:${i}`)
  for (const key of keys) await client.set(key, key)
  const [first, second] = await twoOf(cluster)
  const before = await second.admin.dbsize()
  await cluster.moveSlots(first, second, 500)
  expect(await second.admin.dbsize()).toBeGreaterThan(before)
  const added = await cluster.addNode()
  await cluster.moveSlots(second, added, [{ from: 0, to: 499 }])
  expect(await cluster.masters()).toHaveLength(4)
  expect(await added.admin.dbsize()).toBeGreaterThan(0)
  expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys)
})

test('a half moved slot redirects with ASK', async () => {
  const cluster = await ownCluster()
  const [from] = await twoOf(cluster)
  const owner = await cluster.ownerOf('{tag}1')
  const to = owner === from ? (await twoOf(cluster))[1] : from
  await owner.admin.set('{tag}1', 'here')
  await owner.admin.set('{tag}2', 'there')
  const slot = Number(await owner.admin.cluster('KEYSLOT', '{tag}1'))
  await cluster.beginMove(owner, to, slot, 1)
  expect(await owner.admin.dbsize()).toBe(1)
  expect(await to.admin.dbsize()).toBe(1)
  await expect(owner.admin.get('{tag}3')).rejects.toThrow(/^ASK /)
})

test('a replica takes the place of a master that is killed, and of one that is frozen', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 1, nodeTimeoutMs: 1_000 })
  const client = clientOf(cluster)
  await client.set('key', 'kept')
  const owner = await cluster.ownerOf('key')
  const [replica] = await cluster.replicasOf(owner)
  await patiently(async () => expect(await replica?.admin.dbsize()).toBe(1))
  await cluster.kill(owner)
  const heir = await cluster.failedOver(owner)
  expect(heir).toBe(replica)
  expect(await cluster.ownerOf('key')).toBe(heir)
  await cluster.restart(owner)
  await patiently(async () => expect(await cluster.replicasOf(heir)).toContain(owner))
  await cluster.settled()
  await patiently(async () => expect(await owner.admin.dbsize()).toBe(1))

  await cluster.freeze(heir)
  expect(await cluster.failedOver(heir)).toBe(owner)
  await cluster.thaw(heir)
  await patiently(async () => expect(await cluster.replicasOf(owner)).toContain(heir))
  expect(await client.get('key')).toBe('kept')
})

test('a replica becomes the master on demand, also without the consent of the others', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 1 })
  const [first, second] = await twoOf(cluster)
  const [replica] = await cluster.replicasOf(first)
  if (replica === undefined) throw new Error('there is no replica')
  await cluster.failover(replica)
  expect(await cluster.masters()).toContain(replica)
  const [other] = await cluster.replicasOf(second)
  if (other === undefined) throw new Error('there is no replica')
  await cluster.failover(other, true)
  expect(await cluster.masters()).toContain(other)
})

test('a cluster with a password and TLS', async () => {
  const cluster = await ownCluster({ password: 'secret', tls: true, replicasPerMaster: 1 })
  const client = clientOf(cluster, 'secret')
  await client.set('{tag}1', 'kept')
  const owner = await cluster.ownerOf('{tag}1')
  const to = (await cluster.masters()).find((node) => node !== owner)
  if (to === undefined) throw new Error('there is one master only')
  const slot = Number(await owner.admin.cluster('KEYSLOT', '{tag}1'))
  await cluster.moveSlots(owner, to, [{ from: slot, to: slot }])
  expect(await cluster.ownerOf('{tag}1')).toBe(to)
  expect(await client.get('{tag}1')).toBe('kept')
})

test('a restarted node keeps what it has saved, unless it is wiped', async () => {
  const cluster = await ownCluster({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  const owner = await cluster.ownerOf('key')
  await owner.admin.set('key', 'kept')
  await cluster.restart(owner)
  await cluster.settled()
  expect(await owner.admin.get('key')).toBe('kept')
  await cluster.restart(owner, { isWiped: true })
  await cluster.settled()
  expect(await owner.admin.get('key')).toBeNull()
  expect(await cluster.ownerOf('key')).toBe(owner)
})
