import { z } from 'zod'
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
  read(): Promise<ServerStats>
  readDetails(): Promise<ServerDetails>
}
