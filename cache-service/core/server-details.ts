import { z } from 'zod'
import { infoField, serverProduct } from './info-field.ts'

const bytes = z.number().nullable()

/**
 * The Redis server as `GET /api/redis` describes it: from INFO alone. null: this server does not report it. Of a Cluster: the
 * masters that answer, together.
 */
export const serverDetailsSchema = z.object({
  product: z.enum(['redis', 'valkey']),
  version: z.string(),
  mode: z.string().nullable().describe('standalone, sentinel or cluster.'),
  uptime_s: z.number().nullable(),
  role: z.string().nullable().describe('master or slave.'),
  connected_replicas: z.number().nullable(),
  memory: z.object({
    used_bytes: bytes,
    peak_bytes: bytes,
    resident_bytes: bytes.describe('What the operating system has given to Redis.'),
    max_bytes: bytes.describe('0: no limit.'),
    eviction_policy: z
      .string()
      .nullable()
      .describe('What Redis does at the limit. Anything but noeviction may silently delete devices.'),
  }),
  clients: z.object({
    connected: z.number().nullable(),
    max: z.number().nullable(),
    blocked: z.number().nullable(),
    rejected_total: z.number().nullable().describe('Connections refused because of the maximum.'),
  }),
  keys: z.object({
    total: z.number().nullable().describe('Number of keys in all databases.'),
    expired_total: z.number().nullable(),
    evicted_total: z.number().nullable(),
  }),
  lookups: z
    .object({
      hits_total: z.number().nullable(),
      misses_total: z.number().nullable(),
      hit_rate: z
        .number()
        .nullable()
        .describe('Share of lookups that found a key, 0 to 1; null: no lookups.'),
    })
    .describe('Key lookups of all clients since Redis started.'),
  commands_per_second: z.number().nullable(),
  masters: z
    .array(
      z.object({
        address: z.string(),
        slots: z.number().describe('Number of slots that it owns.'),
        answers: z
          .boolean()
          .describe('If false, it does not count in the sums, and its devices cannot be read.'),
        used_bytes: bytes,
        max_bytes: bytes,
        keys: z.number().nullable(),
        connected_replicas: z.number().nullable(),
      }),
    )
    .nullable()
    .describe('Of a Redis Cluster; null: this is a single server.'),
  persistence: z.object({
    loading: z.boolean().nullable(),
    append_only_file: z.boolean().nullable(),
    append_only_file_ok: z.boolean().nullable().describe('Whether its last write succeeded.'),
    snapshot_ok: z.boolean().nullable().describe('Whether the last snapshot succeeded.'),
    last_snapshot_at: z.string().nullable().describe('Before the first one: when Redis started.'),
    changes_since_snapshot: z.number().nullable(),
  }),
})

export type ServerDetails = z.infer<typeof serverDetailsSchema>

/** @param info the reply of INFO. A field that is missing or unreadable becomes null. */
export function parseServerDetails(info: string): ServerDetails {
  const text = (name: string) => infoField(info, name) || null
  const number = (name: string) => {
    const value = Number(text(name) ?? NaN)
    return Number.isFinite(value) ? value : null
  }
  const flag = (name: string, whenTrue: string) => {
    const value = text(name)
    return value === null ? null : value === whenTrue
  }
  const hits = number('keyspace_hits')
  const misses = number('keyspace_misses')
  const lookups = (hits ?? 0) + (misses ?? 0)
  const lastSnapshotS = number('rdb_last_save_time')
  return {
    ...serverProduct(info),
    mode: text('redis_mode') ?? text('server_mode'),
    uptime_s: number('uptime_in_seconds'),
    role: text('role'),
    connected_replicas: number('connected_slaves'),
    memory: {
      used_bytes: number('used_memory'),
      peak_bytes: number('used_memory_peak'),
      resident_bytes: number('used_memory_rss'),
      max_bytes: number('maxmemory'),
      eviction_policy: text('maxmemory_policy'),
    },
    clients: {
      connected: number('connected_clients'),
      max: number('maxclients'),
      blocked: number('blocked_clients'),
      rejected_total: number('rejected_connections'),
    },
    keys: {
      total: infoField(info, 'redis_version') === undefined ? null : totalKeys(info),
      expired_total: number('expired_keys'),
      evicted_total: number('evicted_keys'),
    },
    lookups: {
      hits_total: hits,
      misses_total: misses,
      hit_rate: lookups === 0 ? null : (hits ?? 0) / lookups,
    },
    commands_per_second: number('instantaneous_ops_per_sec'),
    masters: null,
    persistence: {
      loading: flag('loading', '1'),
      append_only_file: flag('aof_enabled', '1'),
      append_only_file_ok: flag('aof_last_write_status', 'ok'),
      snapshot_ok: flag('rdb_last_bgsave_status', 'ok'),
      last_snapshot_at: lastSnapshotS === null ? null : new Date(lastSnapshotS * 1000).toISOString(),
      changes_since_snapshot: number('rdb_changes_since_last_save'),
    },
  }
}

export type MasterDetails = {
  readonly address: string
  readonly slots: number
  /** undefined: it does not answer. */
  readonly details: ServerDetails | undefined
}

/** Of the masters of a Cluster: sums, and otherwise what is worst. @param found those that answer, at least one. */
export function sumServerDetails(
  found: readonly ServerDetails[],
  masters: readonly MasterDetails[],
): ServerDetails {
  const [first] = found
  if (first === undefined) throw new Error('details of no server')
  const known = (of: (one: ServerDetails) => number | null) => found.flatMap((one) => of(one) ?? [])
  const sum = (of: (one: ServerDetails) => number | null) =>
    known(of).length === 0 ? null : known(of).reduce((total, value) => total + value, 0)
  const least = (of: (one: ServerDetails) => number | null) =>
    known(of).length === 0 ? null : Math.min(...known(of))
  const every = (of: (one: ServerDetails) => boolean | null) =>
    found.every((one) => of(one) === null) ? null : found.every((one) => of(one) !== false)
  const isLoaded = every(({ persistence: { loading } }) => (loading === null ? null : !loading))
  const policies = new Set(found.flatMap(({ memory }) => memory.eviction_policy ?? []))
  const snapshots = found.flatMap(({ persistence }) => persistence.last_snapshot_at ?? []).sort()
  const hits = sum((one) => one.lookups.hits_total)
  const lookups = (hits ?? 0) + (sum((one) => one.lookups.misses_total) ?? 0)
  return {
    product: first.product,
    version: [...new Set(found.map(({ version }) => version))].join(', '),
    mode: first.mode,
    uptime_s: least((one) => one.uptime_s),
    role: first.role,
    connected_replicas: sum((one) => one.connected_replicas),
    memory: {
      used_bytes: sum((one) => one.memory.used_bytes),
      peak_bytes: sum((one) => one.memory.peak_bytes),
      resident_bytes: sum((one) => one.memory.resident_bytes),
      // One without a limit: there is none for the sum.
      max_bytes: least((one) => one.memory.max_bytes) === 0 ? 0 : sum((one) => one.memory.max_bytes),
      eviction_policy: policies.size === 0 ? null : [...policies].join(', '),
    },
    clients: {
      connected: sum((one) => one.clients.connected),
      max: sum((one) => one.clients.max),
      blocked: sum((one) => one.clients.blocked),
      rejected_total: sum((one) => one.clients.rejected_total),
    },
    keys: {
      total: sum((one) => one.keys.total),
      expired_total: sum((one) => one.keys.expired_total),
      evicted_total: sum((one) => one.keys.evicted_total),
    },
    lookups: {
      hits_total: hits,
      misses_total: sum((one) => one.lookups.misses_total),
      hit_rate: lookups === 0 ? null : (hits ?? 0) / lookups,
    },
    commands_per_second: sum((one) => one.commands_per_second),
    masters: masters.map(({ address, details, slots }) => ({
      address,
      slots,
      answers: details !== undefined,
      used_bytes: details?.memory.used_bytes ?? null,
      max_bytes: details?.memory.max_bytes ?? null,
      keys: details?.keys.total ?? null,
      connected_replicas: details?.connected_replicas ?? null,
    })),
    persistence: {
      loading: isLoaded === null ? null : !isLoaded,
      append_only_file: every((one) => one.persistence.append_only_file),
      append_only_file_ok: every((one) => one.persistence.append_only_file_ok),
      snapshot_ok: every((one) => one.persistence.snapshot_ok),
      last_snapshot_at: snapshots[0] ?? null,
      changes_since_snapshot: sum((one) => one.persistence.changes_since_snapshot),
    },
  }
}

/** An empty database has no line. */
function totalKeys(info: string): number {
  let total = 0
  for (const [, keys] of info.matchAll(/^db\d+:keys=(\d+)/gm)) total += Number(keys)
  return total
}
