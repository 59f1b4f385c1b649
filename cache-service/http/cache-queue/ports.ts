import type { CacheValues, PubsubAdmin } from '../../core/cache-queue/ports.ts'
import type { ServerStatsReader } from '../../core/server-stats.ts'

/** Of its routes in the OpenAPI document. */
export const TAG = 'Redis Service'

export type CacheQueuePorts = {
  readonly cache: CacheValues
  readonly pubsub: PubsubAdmin
  readonly stats: ServerStatsReader
  readonly telemetry: { requestFailed(method: string, route: string, error: unknown): void }
  /** The platform's keys, and those that CACHE_PROTECTED_PREFIXES adds. */
  isProtectedKey(key: string): boolean
  readonly settings: {
    /** Named by /health: PORT. */
    readonly port: number
    /** For values that come without `ttl`: CACHE_DEFAULT_TTL. */
    readonly defaultTtlS: number
    /** For messages that come without `channel`: QUEUE_CHANNEL. */
    readonly defaultChannel: string
  }
}
