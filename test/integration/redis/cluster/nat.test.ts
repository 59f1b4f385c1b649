import type { Cluster } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { nodeName, ownersOfSlots } from '../../../../shared/redis-client/cluster-nodes.ts'
import { keySlot } from '../../../../shared/redis-client/key-slot.ts'
import { clusterOptions } from '../../../../shared/redis-client/cluster-options.ts'
import { patiently } from '../../../support/eventually.ts'
import {
  startRedisCluster,
  type ClusterNode,
  type RedisCluster,
} from '../../../support/servers/redis-cluster.ts'
import { connectToCluster } from '../../../support/servers/redis-connection.ts'

// Nodes that announce addresses at which only they can reach each other.

const KEYS = Array.from({ length: 20 }, (_, i) => `key:${i}`)

let servers: RedisCluster
let unreachable: Set<string>

beforeAll(async () => {
  servers = await startRedisCluster({ masters: 3, announcesOtherPorts: true })
  unreachable = new Set(servers.nodes.map(({ announcedPort }) => `127.0.0.1:${announcedPort}`))
})
afterAll(() => servers.stop())

test('a slot that has moved costs one redirection, and one that is moving one for each command', async () => {
  const natMap = Object.fromEntries(
    servers.nodes.map(({ announcedPort, host, port }) => [`${host}:${announcedPort}`, { host, port }]),
  )
  const { redis } = await connectToCluster(servers, {}, natMap)
  const [from, to] = await servers.masters()
  if (from === undefined || to === undefined) throw new Error('no masters')
  const owned = await Promise.all(
    KEYS.map(async (key) => ((await servers.ownerOf(key)) === from ? [key] : [])),
  )
  const keys = owned.flat()
  for (const key of keys) await redis.set(key, 'value')

  const before = await redirections()
  for (const key of keys) {
    const slot = keySlot(key)
    await servers.moveSlots(from, to, [{ from: slot, to: slot }])
    expect(await redis.get(key)).toBe('value')
    const pipelined = await redis.pipeline().get(key).ttl(key).exec()
    expect(pipelined).toEqual([
      [null, 'value'],
      [null, -1],
    ])
    await knowsOwner(redis, slot, to)
  }
  expect((await redirections()) - before).toBeLessThanOrEqual(keys.length)

  // Half moved: the keys are at the other node, which the table does not show.
  const [key = ''] = keys
  await servers.beginMove(to, from, keySlot(key), 1)
  for (let i = 0; i < 5; i++) expect(await redis.pipeline().get(key).exec()).toEqual([[null, 'value']])
  expect(await redis.get(key)).toBe('value')
  expect((await redirections()) - before).toBeLessThanOrEqual(keys.length + 6)
  expect(
    redis
      .nodes()
      .map(nodeName)
      .filter((name) => unreachable.has(name)),
  ).toEqual([])
})

test('an address that another node announces is translated once', async () => {
  const natMap = { 'a:1': { host: 'a', port: 2 }, 'a:2': { host: 'a', port: 3 } }
  const { redisOptions } = clusterOptions({ natMap, timeoutMs: 1, node: {}, retryDelayMs: () => 1 })
  const said = (message: string) => {
    const error = new Error(message)
    expect(redisOptions.reconnectOnError?.(error)).toBe(false)
    return error.message
  }
  expect([said('MOVED 7 a:1'), said('MOVED 7 a:2'), said('ASK 7 a:2'), said('ERR a:2')]).toEqual([
    'MOVED 7 a:1',
    'MOVED 7 a:3',
    'ASK 7 a:3',
    'ERR a:2',
  ])
})

/** Of all nodes together, so far. */
async function redirections(): Promise<number> {
  const infos = await Promise.all(servers.nodes.map(({ admin }) => admin.info('errorstats')))
  const counts = infos.flatMap((info) => [...info.matchAll(/errorstat_(?:MOVED|ASK):count=(\d+)/g)])
  return counts.reduce((sum, [, count]) => sum + Number(count), 0)
}

function knowsOwner(redis: Cluster, slot: number, { host, port }: ClusterNode): Promise<void> {
  return patiently(() => expect(ownersOfSlots(redis)[slot]).toBe(`${host}:${port}`))
}
