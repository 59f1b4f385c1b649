import { z } from 'zod'

/** What Redis says of itself, as `/stats` answers it. */
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
  hit_rate: z.number().describe('Percent of the lookups that found their key; 0 while there was none.'),
  total_keys: z.number(),
})

export type ServerStats = z.infer<typeof serverStatsSchema>

/** Both reject with a ServiceError. */
export type ServerStatsReader = {
  /** Resolves if Redis answers. */
  ping(): Promise<void>
  read(): Promise<ServerStats>
}
