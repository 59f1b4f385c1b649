import { Command } from 'commander'
import { createRedis, startConnecting } from '../../cache-service/redis/client.ts'
import { createDeviceWriter } from '../../cache-service/redis/devices/device-writer.ts'
import type { RedisClient } from '../../cache-service/redis/redis-client.ts'
import { createProgressStore } from '../../cache-service/redis/workers/group-progress.ts'
import { parseServerAddresses } from '../../shared/server-address.ts'
import { timeText, writePlan } from '../support/records/write-plan.ts'
import { startRedisCluster } from '../support/servers/redis-cluster.ts'
import { startOwnRedis } from '../support/servers/servers.ts'
import { cpuUs } from './worker/figures.ts'

/**
 * Measures what a device that reports again costs this process and Redis, on one server and on Clusters of one to three masters:
 * chunks as the worker writes them, with the index and the progress. "One key a call" is a Cluster as clients usually use it.
 */
const options = new Command('cluster-bench')
  .option('--devices <n>', 'devices', '100000')
  .option('--chunk <n>', 'devices in a chunk', '2500')
  .option('--lanes <n>', 'chunks that are written at once', '3')
  .option('--rounds <n>', 'how often each device is written', '4')
  .parse()
  .opts<Record<'devices' | 'chunk' | 'lanes' | 'rounds', string>>()
const [devices, chunk, lanes, rounds] = (['devices', 'chunk', 'lanes', 'rounds'] as const).map((name) =>
  Number(options[name]),
) as [number, number, number, number]

type Location = Parameters<typeof createRedis>[0]['location']
type Target = { readonly location: Location; readonly pids: readonly number[]; stop(): Promise<unknown> }

const PACKED_KEYS = 128
const rows: Record<string, object> = {}

async function oneServer(): Promise<Target> {
  const server = await startOwnRedis()
  const { host, port } = server
  return { location: { kind: 'address', host, port }, pids: [server.pid], stop: () => server.stop() }
}

async function aCluster(masters: number): Promise<Target> {
  const cluster = await startRedisCluster({ masters })
  const nodes = parseServerAddresses(cluster.seeds, 0)
  if ('problem' in nodes) throw new Error(nodes.problem)
  return {
    location: { kind: 'cluster', nodes, natMap: undefined },
    pids: cluster.nodes.map(({ pid }) => pid),
    stop: () => cluster.stop(),
  }
}

async function measure(name: string, open: () => Promise<Target>, maxKeys = PACKED_KEYS): Promise<void> {
  const { location, pids, stop } = await open()
  const silent = { redisConnected: () => undefined, redisFailed: () => undefined }
  const config = {
    location,
    db: 0,
    username: undefined,
    password: undefined,
    tls: undefined,
    timeoutMs: 5_000,
    waitReplicas: 0,
    scriptMaxKeys: maxKeys,
    scriptMaxBytes: 262_144,
  }
  const redis = createRedis(config, 'bench', silent, () => 0.5)
  try {
    await startConnecting(redis)
    await writeAll(redis, maxKeys, 0)
    const before = { ms: performance.now(), own: process.cpuUsage(), redis: redisUs(pids) }
    for (let round = 1; round < rounds; round++) await writeAll(redis, maxKeys, round)
    const own = process.cpuUsage(before.own)
    const written = devices * (rounds - 1)
    rows[name] = {
      'devices/s': Math.round(written / ((performance.now() - before.ms) / 1000)),
      'this process, µs/device': round1((own.user + own.system) / written),
      'Redis, µs/device': round1((redisUs(pids) - before.redis) / written),
    }
  } finally {
    redis.disconnect()
    await stop()
  }
}

async function writeAll(redis: RedisClient, maxKeys: number, round: number): Promise<void> {
  const writer = createDeviceWriter(redis, { maxKeys, maxBytes: 262_144 })
  const progress = createProgressStore(redis, 'bench', 'topic')
  const nowMs = Date.now()
  let next = 0
  const lane = async (partition: number) => {
    let position = round * devices
    await progress.overwrite(partition, undefined, position)
    while (next < devices) {
      const from = next
      next += chunk
      const updates = Array.from({ length: Math.min(chunk, devices - from) }, (_, i) => ({
        id: `gw${(from + i) % 97}:node:${from + i}`,
        lastUpdated: timeText(nowMs, round),
        fields: [
          'datatype_id',
          '7',
          'datatype_name',
          'temperature',
          'datatype_unit',
          '°C',
          'persist',
          'true',
        ],
        expiresAtMs: nowMs + 86_400_000,
      }))
      const plan = writePlan(updates, [], nowMs)
      const end = position + updates.length
      const { hasAdvanced } = await writer.write(plan, progress.step(partition, position, end))
      if (!hasAdvanced) await progress.advance(partition, position, end)
      position = end
    }
  }
  await Promise.all(Array.from({ length: lanes }, (_, partition) => lane(partition)))
}

function redisUs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuUs(pid), 0)
}

function round1(n: number): number {
  return Math.round(n * 10) / 10
}

await measure('one server', oneServer)
for (const masters of [1, 2, 3]) await measure(`Cluster, ${masters} master(s)`, () => aCluster(masters))
await measure('Cluster, 3 masters, one key a call', () => aCluster(3), 1)
console.table(rows)
process.exit()
