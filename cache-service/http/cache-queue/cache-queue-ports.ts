import type { CacheValues } from '../../core/cache-queue/cache-values.ts'
import type { PubsubAdmin } from '../../core/cache-queue/pubsub-admin.ts'
import type { ServerStatsReader } from '../../core/server-stats.ts'

/** Of these routes in the OpenAPI document. */
export const CACHE_QUEUE_TAG = 'cache-queue'

export type CacheQueuePorts = {
  readonly cache: CacheValues
  readonly pubsub: PubsubAdmin
  readonly stats: ServerStatsReader
  readonly telemetry: { requestFailed(method: string, route: string, error: unknown): void }
  /** Whether a key is one of the platform's, or has one of the CACHE_PROTECTED_PREFIXES. */
  isProtectedKey(key: string): boolean
  readonly settings: {
    /** PORT, which /health reports. */
    readonly port: number
    /** CACHE_DEFAULT_TTL, for values that are stored without `ttl`. */
    readonly defaultTtlS: number
    /** QUEUE_CHANNEL, for messages that are published without `channel`. */
    readonly defaultChannel: string
  }
}
