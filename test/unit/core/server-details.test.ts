import { describe, expect, test } from 'vitest'
import { parseServerDetails } from '../../../cache-service/core/server-details.ts'

const INFO = `# Server\r
redis_version:7.0.15\r
redis_mode:standalone\r
uptime_in_seconds:90061\r
\r
# Clients\r
connected_clients:7\r
maxclients:10000\r
blocked_clients:1\r
\r
# Memory\r
used_memory:1048576\r
used_memory_peak:2097152\r
used_memory_rss:4194304\r
maxmemory:0\r
maxmemory_policy:noeviction\r
\r
# Persistence\r
loading:0\r
rdb_changes_since_last_save:3\r
rdb_last_save_time:1767225600\r
rdb_last_bgsave_status:err\r
aof_enabled:1\r
aof_last_write_status:ok\r
\r
# Stats\r
instantaneous_ops_per_sec:12\r
rejected_connections:0\r
expired_keys:5\r
evicted_keys:0\r
keyspace_hits:3\r
keyspace_misses:1\r
\r
# Replication\r
role:master\r
connected_slaves:2\r
\r
# Keyspace\r
db0:keys=40,expires=39,avg_ttl=1000\r
db3:keys=2,expires=0,avg_ttl=0\r
`

describe('the details of the Redis server', () => {
  test('are those of INFO', () => {
    expect(parseServerDetails(INFO)).toEqual({
      product: 'redis',
      version: '7.0.15',
      mode: 'standalone',
      uptime_s: 90_061,
      role: 'master',
      connected_replicas: 2,
      memory: {
        used_bytes: 1_048_576,
        peak_bytes: 2_097_152,
        resident_bytes: 4_194_304,
        max_bytes: 0,
        eviction_policy: 'noeviction',
      },
      clients: { connected: 7, max: 10_000, blocked: 1, rejected_total: 0 },
      keys: { total: 42, expired_total: 5, evicted_total: 0 },
      lookups: { hits_total: 3, misses_total: 1, hit_rate: 0.75 },
      commands_per_second: 12,
      masters: null,
      persistence: {
        loading: false,
        append_only_file: true,
        append_only_file_ok: true,
        snapshot_ok: false,
        last_snapshot_at: '2026-01-01T00:00:00.000Z',
        changes_since_snapshot: 3,
      },
    })
  })

  test('are null where a server or a proxy does not report them', () => {
    const { keys, lookups, memory, product, version } = parseServerDetails(
      'redis_version:7.2.4\nmaxmemory:\n',
    )
    expect({ product, version }).toEqual({ product: 'redis', version: '7.2.4' })
    expect(memory).toMatchObject({ used_bytes: null, max_bytes: null, eviction_policy: null })
    expect(keys).toEqual({ total: 0, expired_total: null, evicted_total: null })
    expect(lookups.hit_rate).toBeNull()
    expect(parseServerDetails('')).toMatchObject({ version: 'unknown', keys: { total: null } })
  })

  test('name Valkey and its own version', () => {
    const info = 'redis_version:7.2.4\nserver_name:valkey\nvalkey_version:9.1.0\nserver_mode:standalone\n'
    expect(parseServerDetails(info)).toMatchObject({
      product: 'valkey',
      version: '9.1.0',
      mode: 'standalone',
    })
  })
})
