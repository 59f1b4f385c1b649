import { z } from 'zod'
import type { ServerDetails } from './server-details.ts'

/** Statistics of the Redis server, as `/stats` returns them. */
export const serverStatsSchema = z.object({
  redis_version: z.string(),
  uptime_in_seconds: z.number(),
  connected_clients: z.number(),
  used_memory: z.number(),
  used_memory_human: z.string(),
  total_commands_processed: z.number(),
  keyspace_hits: z.number(),
  keyspace_misses: z.number(),
  /** Two decimals. */
  hit_rate: z.number().describe('Percentage of key lookups that were hits; 0 if there were none.'),
  total_keys: z.number(),
})

export type ServerStats = z.infer<typeof serverStatsSchema>

/** All calls reject with a ServiceError if Redis fails. */
export type ServerStatsReader = {
  /** Resolves if Redis answers. */
  ping(): Promise<void>
  read(): Promise<ServerStats>
  readDetails(): Promise<ServerDetails>
}
