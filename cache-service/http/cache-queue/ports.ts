import type { CacheValues, PubsubAdmin, ServerStats } from '../../core/cache-queue/ports.ts'

/** Of its routes in the OpenAPI document. */
export const TAG = 'Redis Service'

export type RedisServicePorts = {
  readonly cache: CacheValues
  readonly pubsub: PubsubAdmin
  readonly stats: ServerStats
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
