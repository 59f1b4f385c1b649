import { z } from 'zod'
import { infoField } from './info-field.ts'
import type { ServerDetails } from './server-details.ts'

/** Statistics of the Redis server, as `/stats` returns them. */
export const serverStatsSchema = z.object({
  redis_version: z.string(),
  uptime_in_seconds: z.int(),
  connected_clients: z.int(),
  used_memory: z.int(),
  used_memory_human: z.string(),
  total_commands_processed: z.int(),
  keyspace_hits: z.int(),
  keyspace_misses: z.int(),
  hit_rate: z
    .number()
    .describe('Percentage of key lookups that were hits, with two decimals; 0 if there were none.'),
  total_keys: z.int(),
})

export type ServerStats = z.infer<typeof serverStatsSchema>

/** All calls reject with a ServiceError if Redis fails. */
export type ServerStatsReader = {
  /** Resolves if Redis answers. */
  ping(): Promise<void>
  /** Resolves if Redis answers a read of a key; of a Cluster, if one master does. */
  readAnyKey(): Promise<void>
  read(): Promise<ServerStats>
  readDetails(): Promise<ServerDetails>
}

/** @param info the reply of INFO. @param keys the reply of DBSIZE. */
export function parseServerStats(info: string, keys: number): ServerStats {
  const text = (name: string) => infoField(info, name) ?? ''
  const number = (name: string) => Number(text(name)) || 0
  const hits = number('keyspace_hits')
  const misses = number('keyspace_misses')
  return {
    redis_version: text('redis_version'),
    uptime_in_seconds: number('uptime_in_seconds'),
    connected_clients: number('connected_clients'),
    used_memory: number('used_memory'),
    used_memory_human: text('used_memory_human'),
    total_commands_processed: number('total_commands_processed'),
    keyspace_hits: hits,
    keyspace_misses: misses,
    hit_rate: hitRate(hits, misses),
    total_keys: keys,
  }
}

/** Of the masters of a Cluster: sums, and the uptime of the one that was started last. At least one. */
export function sumServerStats(all: readonly ServerStats[]): ServerStats {
  const [first] = all
  if (first === undefined) throw new Error('statistics of no server')
  if (all.length === 1) return first
  const sum = (of: (stats: ServerStats) => number) => all.reduce((total, stats) => total + of(stats), 0)
  const hits = sum((stats) => stats.keyspace_hits)
  const misses = sum((stats) => stats.keyspace_misses)
  const memory = sum((stats) => stats.used_memory)
  return {
    redis_version: first.redis_version,
    uptime_in_seconds: Math.min(...all.map((stats) => stats.uptime_in_seconds)),
    connected_clients: sum((stats) => stats.connected_clients),
    used_memory: memory,
    used_memory_human: humanBytes(memory),
    total_commands_processed: sum((stats) => stats.total_commands_processed),
    keyspace_hits: hits,
    keyspace_misses: misses,
    hit_rate: hitRate(hits, misses),
    total_keys: sum((stats) => stats.total_keys),
  }
}

function hitRate(hits: number, misses: number): number {
  return hits + misses === 0 ? 0 : Math.round((hits / (hits + misses)) * 10_000) / 100
}

/** As Redis writes them. */
function humanBytes(bytes: number): string {
  for (const [unit, size] of [
    ['T', 2 ** 40],
    ['G', 2 ** 30],
    ['M', 2 ** 20],
    ['K', 2 ** 10],
  ] as const)
    if (bytes >= size) return `${(bytes / size).toFixed(2)}${unit}`
  return `${bytes}B`
}
