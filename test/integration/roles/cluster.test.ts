import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { openKvUpdater } from '../../../cache-service/roles/kv-updater.ts'
import { UPDATER_LEASE_KEY } from '../../../shared/contract/keys.ts'
import { eventually } from '../../support/eventually.ts'
import { startRole } from '../../support/processes/role-run.ts'
import { openSse } from '../../support/processes/sse-client.ts'
import { startApi, type RunningApi } from '../../support/processes/start-api.ts'
import { lagReport } from '../../support/records/lag-report.ts'
import { workerReport } from '../../support/records/worker-report.ts'
import {
  startRedisCluster,
  type ClusterNode,
  type RedisCluster,
} from '../../support/servers/redis-cluster.ts'
import { connectToCluster } from '../../support/servers/redis-connection.ts'
import { lastingLagReporter, lastingWorkerReporter } from '../../support/records/lasting-reporter.ts'
import { sendJson } from '../../support/processes/send-json.ts'

let cluster: RedisCluster
let api: RunningApi

beforeAll(async () => {
  cluster = await startRedisCluster()
  api = await startApi({ REDIS_CLUSTER_NODES: cluster.seeds })
})
afterAll(async () => {
  await api?.stop()
  await cluster?.stop()
})

test('an update that is published on any node is set and streamed once, and its type is listed', async () => {
  const channel = 'cluster-updates'
  const updater = await startRole(openKvUpdater, {
    REDIS_CLUSTER_NODES: cluster.seeds,
    REDIS_UPDATE_CHANNEL: channel,
    UPDATE_VALIDATE: 'true',
  })
  onTestFinished(() => updater.stop())
  const holdsLease = async () =>
    expect(await (await cluster.ownerOf(UPDATER_LEASE_KEY)).admin.exists(UPDATER_LEASE_KEY)).toBe(1)
  await eventually(holdsLease)
  const stream = await openSse(`${api.url}/api/events?events=update`)
  onTestFinished(() => stream.close())
  // Their values are on all masters.
  const types = Array.from({ length: 12 }, (_, n) => `type-${n}`)
  const owners = new Set(await Promise.all(types.map((type) => cluster.ownerOf(type))))
  expect(owners.size).toBe(3)
  for (const [n, type] of types.entries())
    await nodeAt(n).admin.publish(channel, JSON.stringify({ type, values: [n] }))
  await eventually(() =>
    expect(
      stream
        .news()
        .flatMap(({ data, event }) => (event === 'update' ? [typeOf(data)] : []))
        .sort(),
    ).toEqual(types.toSorted()),
  )
  const { state } = await ask('/api/state')
  expect(Object.keys(state).sort()).toEqual(types.toSorted())
  expect(state['type-7']).toMatchObject({ values: [7] })
  expect(await updater.metric('updates_total', { result: 'mismatched' })).toBe(0)
  expect(await updater.metric('updates_total', { result: 'failed' })).toBe(0)
})

test('values of the cache-queue service lie on all masters, and are listed and deleted together', async () => {
  const keys = Array.from({ length: 30 }, (_, n) => `user:${n}`)
  for (const key of keys)
    expect(await send('POST', '/api/cache', { key, value: { key }, ttl: 60 })).toMatchObject({
      status: 200,
    })
  for (const node of cluster.nodes) expect(await node.admin.keys('user:*')).not.toEqual([])
  const listed = await ask('/api/cache/keys?pattern=user:*')
  expect(listed.keys.toSorted()).toEqual(keys.toSorted())
  expect(await ask('/api/cache/user:3')).toMatchObject({ value: { key: 'user:3' } })
  expect((await send('DELETE', '/api/cache/user:3')).status).toBe(200)
  expect(await send('DELETE', '/api/cache/pattern/user:*')).toMatchObject({
    status: 200,
    body: { deleted_count: 29 },
  })
  for (const node of cluster.nodes) expect(await node.admin.keys('user:*')).toEqual([])
})

test('subscribers are counted on all nodes, also those that a message reached', async () => {
  for (const { url } of cluster.nodes) {
    const subscriber = new Redis(url)
    onTestFinished(() => subscriber.disconnect())
    await subscriber.subscribe('news')
  }
  expect(await send('POST', '/api/queue/publish', { channel: 'news', message: 'a' })).toMatchObject({
    body: { channel: 'news', subscribers: 3 },
  })
  expect(await ask('/api/queue/subscribers/news')).toMatchObject({ subscribers: 3 })
  expect((await ask('/api/queue/channels')).channels).toContainEqual({ channel: 'news', subscribers: 3 })
})

test('statistics are those of all masters together, and of each', async () => {
  for (const [n, node] of cluster.nodes.entries())
    await node.admin.config('SET', 'maxmemory', 1_000_000_000 + n)
  const sizes = await Promise.all(cluster.nodes.map(({ admin }) => admin.dbsize()))
  const details = await ask('/api/redis')
  expect(details).toMatchObject({
    mode: 'cluster',
    memory: { max_bytes: 3_000_000_003, eviction_policy: 'noeviction' },
    masters: cluster.nodes.map(({ port }) => ({
      address: `127.0.0.1:${port}`,
      answers: true,
      used_bytes: expect.any(Number),
    })),
  })
  const slots = details.masters.map((master: { slots: number }) => master.slots)
  expect(slots.reduce((sum: number, count: number) => sum + count, 0)).toBe(16_384)
  expect(await ask('/stats')).toMatchObject({ total_keys: sizes.reduce((sum, size) => sum + size, 0) })
})

test('reports of workers and lag monitors are read together', async () => {
  const { redis } = await connectToCluster(cluster)
  const ids = ['worker-1', 'worker-2', 'worker-{3}']
  for (const id of ids) await lastingWorkerReporter(redis, id).write(workerReport({ id }))
  for (const group of ['a', 'b']) await lastingLagReporter(redis).write(lagReport({ group }))
  expect((await ask('/api/workers')).workers.map(({ id }: { id: string }) => id)).toEqual(ids)
  expect((await ask('/api/lag')).groups.map(({ group }: { group: string }) => group)).toEqual(['a', 'b'])
})

function nodeAt(n: number): ClusterNode {
  const node = cluster.nodes[n % cluster.nodes.length]
  if (node === undefined) throw new Error('the cluster has no nodes')
  return node
}

async function ask(path: string) {
  const response = await fetch(api.url + path)
  const text = await response.text()
  expect(`${response.status} ${text}`).toMatch(/^200 /)
  return JSON.parse(text)
}

const send = (method: string, path: string, body?: unknown) => sendJson(method, api.url + path, body)

function typeOf(data: unknown): unknown {
  return typeof data === 'object' && data !== null && 'type' in data ? data.type : undefined
}
