import { createLoopFailed } from './loop-failed.ts'
import type { ServiceError } from '../../shared/errors.ts'
import type { SseDropReason } from '../core/events/event-frames.ts'
import {
  createApiMetrics,
  type ConnectionCloseReason,
  type LookupLabel,
  type ScanResult,
} from './api-metrics.ts'
import type { Logger } from './logger.ts'
import type { ProcessMetrics } from './process-metrics.ts'
import { createRateLimit } from './rate-limit.ts'
import { createRedisTelemetry } from './redis-telemetry.ts'

export type ApiTelemetry = ReturnType<typeof createApiTelemetry>

const TROUBLE_LINES_PER_SECOND = 1
const SECONDS_PER_CONNECTION_LINE = 10

type RequestMetrics = { count(): void; time(seconds: number): void }

/** One function per thing that happens: it logs and counts together, but never an id, a key, a value or a token. */
export function createApiTelemetry(log: Logger, processMetrics: ProcessMetrics, monotonicNow: () => number) {
  const metrics = createApiMetrics(processMetrics)
  const redis = createRedisTelemetry(log, processMetrics, monotonicNow, {
    fails: 'Redis is unavailable',
    works: 'Redis is available again',
  })
  const failureLines = createRateLimit(TROUBLE_LINES_PER_SECOND, monotonicNow)
  const connectionLines = createRateLimit(1, () => monotonicNow() / SECONDS_PER_CONNECTION_LINE)
  let hasReportedTracking = false
  // Cached per route and status: finding a series by its labels costs more than counting.
  const series = new Map<string, RequestMetrics>()

  function seriesOf(method: string, route: string, status: number): RequestMetrics {
    const name = `${method} ${route} ${status}`
    const known = series.get(name)
    if (known !== undefined) return known
    const requests = metrics.requests.labels(method, route, String(status))
    const duration = metrics.requestDuration.labels(method, route)
    const created = { count: () => requests.inc(), time: (seconds: number) => duration.observe(seconds) }
    series.set(name, created)
    return created
  }

  return {
    started: (facts: Record<string, unknown>) => log.info(facts, 'api started'),
    stopped: () => log.info('api stopped'),
    loopFailed: createLoopFailed(log, monotonicNow),

    // ---- requests

    requestDone(method: string, route: string, status: number, seconds: number | undefined) {
      const { count, time } = seriesOf(method, route, status)
      count()
      if (seconds !== undefined) time(seconds)
    },
    requestFailed(method: string, route: string, error: unknown) {
      const heldBack = failureLines.pass()
      if (heldBack === undefined) return
      const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined }
      log.error(
        { method, route, error: message, stack, linesHeldBack: heldBack },
        'request failed unexpectedly',
      )
    },
    connectionClosed(reason: ConnectionCloseReason) {
      metrics.connectionsClosed.inc({ reason })
      const heldBack = connectionLines.pass()
      if (heldBack === undefined) return
      log.warn(
        { reason, linesHeldBack: heldBack },
        'connection closed: its client was too slow, or connections were too many',
      )
    },
    lookedUp(result: LookupLabel, count: number) {
      if (count > 0) metrics.lookups.inc({ result }, count)
    },

    lookupsCached(hits: number, misses: number) {
      if (hits > 0) metrics.cachedLookups.inc({ result: 'hit' }, hits)
      if (misses > 0) metrics.cachedLookups.inc({ result: 'miss' }, misses)
    },
    trackingReads(isTracking: boolean) {
      metrics.trackingReads.set(isTracking ? 1 : 0)
      log.debug(
        isTracking
          ? 'Redis reports changed devices: devices are kept in memory'
          : 'Redis may not report changed devices any more: every device is read from Redis',
      )
    },
    trackingRefused(error: ServiceError) {
      if (hasReportedTracking) return
      hasReportedTracking = true
      log.info(
        { code: error.code, error: error.message },
        'Redis does not report changed devices (CLIENT TRACKING): every device is read from Redis. API_LOOKUP_CACHE_BYTES=0 stops asking for it',
      )
    },

    devicesScanned(result: ScanResult, devices: number, seconds: number) {
      metrics.scans.inc({ result })
      metrics.scanDuration.observe(seconds)
      log.debug({ result, devices, seconds }, 'devices scanned for a search')
    },

    // ---- tokens

    tokensLoaded(names: readonly string[]) {
      metrics.tokensFileValid.set(1)
      log.info({ names }, 'tokens loaded')
    },
    tokensRevoked() {
      metrics.tokensFileValid.set(0)
      log.error('API_TOKENS_FILE has no tokens any more; every call that needs a token is rejected')
    },
    tokensRefused(reason: string) {
      metrics.tokensFileValid.set(0)
      log.error({ reason }, 'API_TOKENS_FILE cannot be used; keeping the previously loaded tokens')
    },

    // ---- event streams

    sseClients: (count: number) => metrics.sseClients.set(count),
    sseEventsSent: (count: number) => metrics.sseEventsSent.inc(count),
    sseDropped(reason: SseDropReason) {
      metrics.sseDropped.inc({ reason })
      log.debug({ reason }, 'event stream closed or refused')
    },

    // ---- Redis

    keyMistyped: redis.keyMistyped,
    keyTypeRestored: redis.keyTypeRestored,
    redisConnected: (connection: string, where: string) => redis.connected(where, connection),
    nodeFailed: (connection: string, node: string, error: ServiceError) =>
      redis.nodeFailed(node, error, connection),
    nodeRecovered: (connection: string, node: string, how: 'answers' | 'replaced') =>
      redis.nodeRecovered(node, how, connection),
    redisWorks: (connection: string) => redis.works(connection),
    redisFailed: (connection: string, error: ServiceError) => redis.failed(error, connection),
  }
}
