import { parseServerDetails } from '../core/server-details.ts'
import type { ServerStatsReader } from '../core/server-stats.ts'
import { infoField } from '../core/info-field.ts'
import { redisReply } from './reply.ts'
import type { RedisClient } from './redis-client.ts'

/** The server's own statistics, from INFO and DBSIZE. Rejects with a ServiceError. */
export function createServerStatsReader(redis: RedisClient): ServerStatsReader {
  return {
    async ping() {
      await redisReply(redis.ping())
    },
    async read() {
      const [info, keys] = await redisReply(Promise.all([redis.info(), redis.dbsize()]))
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
        hit_rate: hits + misses === 0 ? 0 : Math.round((hits / (hits + misses)) * 10_000) / 100,
        total_keys: keys,
      }
    },
    async readDetails() {
      return parseServerDetails(await redisReply(redis.info()))
    },
  }
}
