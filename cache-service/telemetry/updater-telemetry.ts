import { createLoopFailed } from './loop-failed.ts'
import type { ServiceError } from '../../shared/errors.ts'
import type { GapReason } from '../core/events/stream-entry.ts'
import { failureFields, operatorHint } from '../core/operator-hint.ts'
import type { Logger } from './logger.ts'
import type { ProcessMetrics } from './process-metrics.ts'
import { createRateLimit, heldBackField } from './rate-limit.ts'
import { createRepeatLimit } from './repeat-limit.ts'
import { createRedisTelemetry } from './redis-telemetry.ts'
import { createUpdaterMetrics, type UpdateLabel } from './updater-metrics.ts'

const TROUBLE_LINES_PER_SECOND = 1

/** One function per thing that happens; it logs and counts it. Values are never logged, only their types. */
export function createUpdaterTelemetry(
  log: Logger,
  processMetrics: ProcessMetrics,
  monotonicNow: () => number,
) {
  const droppedLines = createRateLimit(TROUBLE_LINES_PER_SECOND, monotonicNow)
  const subscribeLines = createRepeatLimit(monotonicNow)
  const refusedLines = createRateLimit(TROUBLE_LINES_PER_SECOND, monotonicNow)
  const metrics = createUpdaterMetrics(processMetrics)
  const redis = createRedisTelemetry(log, processMetrics, monotonicNow, {
    fails: 'Redis is unavailable',
    works: 'Redis is available again',
  })
  const count = (result: UpdateLabel) => metrics.updates.inc({ result })

  return {
    started: (facts: Record<string, unknown>) => log.info(facts, 'kv-updater started'),
    stopped: () => log.info('kv-updater stopped'),
    loopFailed: createLoopFailed(log, monotonicNow),

    // ---- messages

    updateApplied(type: string, isAppended: boolean) {
      count('applied')
      redis.works('updates')
      log.debug({ type, isAppended }, 'update applied')
    },
    updateValidated: (type: string) => log.info({ type }, 'validated: Redis holds the published value'),
    updateMismatched(type: string) {
      count('mismatched')
      log.error({ type }, 'validation failed: Redis does not hold the published value')
    },
    notJson(bytes: number) {
      count('not_json')
      log.error({ bytes }, 'message on the update channel is not JSON')
    },
    invalidUpdate(type: string | undefined, detail: string) {
      count('invalid')
      log.warn({ type, detail }, 'update ignored')
    },
    protectedUpdate(type: string) {
      count('protected')
      log.warn({ type }, 'update rejected: its type is a key of the platform')
    },
    updateFailed(type: string, error: ServiceError) {
      count('failed')
      redis.count(error)
      const fields = { type, ...failureFields(error) }
      log.error(fields, error.failureClass === 'operator' ? operatorHint(error) : 'update failed')
    },
    updateDropped(pending: number) {
      count('dropped')
      const heldBack = droppedLines.pass()
      if (heldBack !== undefined)
        log.error(
          { pending, linesHeldBack: heldBack },
          'update dropped: too many updates are waiting for Redis',
        )
    },

    // ---- the subscription

    subscribed(channel: string, gapMs: number | undefined) {
      redis.works('subscriber')
      subscribeLines.reset()
      if (gapMs === undefined) log.info({ channel }, 'subscribed')
      else
        log.warn(
          { channel, gapMs: Math.round(gapMs) },
          'subscribed again: messages published in the meantime were missed',
        )
    },
    subscriptionLost(channel: string) {
      metrics.pubsubGaps.inc()
      log.warn({ channel }, 'subscription lost')
    },
    cutOff: (where: string) =>
      log.warn(
        { redis: where },
        'messages published on other nodes of the Cluster do not arrive: using another node',
      ),
    subscribeFailed(channel: string, error: ServiceError) {
      const heldBack = subscribeLines.pass(error.code)
      if (heldBack === undefined) return
      const fields = { channel, ...failureFields(error), ...heldBackField(heldBack) }
      if (error.failureClass === 'operator') log.error(fields, operatorHint(error))
      else log.warn(fields, 'could not subscribe: retrying')
    },

    // ---- Redis

    keyMistyped: redis.keyMistyped,
    keyTypeRestored: redis.keyTypeRestored,
    /** @param connection names one of the role's connections. */
    redisConnected: (connection: string, where: string) => redis.connected(where, connection),
    nodeFailed: (connection: string, node: string, error: ServiceError) =>
      redis.nodeFailed(node, error, connection),
    nodeRecovered: (connection: string, node: string, how: 'answers' | 'replaced') =>
      redis.nodeRecovered(node, how, connection),
    redisFailed: (connection: string, error: ServiceError) => redis.failed(error, connection),

    // ---- the event stream

    eventRefused(type: string, error: ServiceError) {
      redis.count(error)
      const heldBack = refusedLines.pass()
      if (heldBack === undefined) return
      log.error(
        { type, ...failureFields(error), linesHeldBack: heldBack },
        'update applied, but not appended to the event stream',
      )
    },
    leaseTaken: () => log.info('lease taken: appending updates to the event stream'),
    leaseLost: () => log.info('lease lost: another kv-updater appends updates to the event stream'),
    gapAppended: (reason: GapReason) => log.info({ reason }, 'gap appended to the event stream'),
  }
}
