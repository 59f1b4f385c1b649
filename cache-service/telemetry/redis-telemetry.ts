import type { ServiceError } from '../../shared/errors.ts'
import { MISTYPED_FIX, mistypedText, type MistypedKey } from '../core/fixed-keys.ts'
import { failureFields, operatorHint } from '../core/operator-hint.ts'
import type { Logger } from './logger.ts'
import type { ProcessMetrics } from './process-metrics.ts'
import { createRateLimit } from './rate-limit.ts'

const TROUBLE_LINES_PER_SECOND = 1

/**
 * Logs and counts what happens to a role's connections to Redis.
 *
 * @param words what the role logs when Redis fails, and when it works again.
 */
export function createRedisTelemetry(
  log: Logger,
  metrics: ProcessMetrics,
  monotonicNow: () => number,
  words: { readonly fails: string; readonly works: string },
) {
  const lines = createRateLimit(TROUBLE_LINES_PER_SECOND, monotonicNow)
  const connectionsMade = new Map<string, number>()
  const setUp = metrics.claimRedisUp()
  let isUp: boolean | undefined

  /** Counts an error that is logged elsewhere. */
  function count({ code }: ServiceError): void {
    metrics.redisErrors.inc({ code })
    setUp(false)
  }

  return {
    count,
    /** @param connection names the connection if the role has several. */
    connected(where: string, connection?: string) {
      const made = (connectionsMade.get(connection ?? '') ?? 0) + 1
      connectionsMade.set(connection ?? '', made)
      if (made > 1) metrics.redisReconnects.inc()
      log.info(
        { ...(connection !== undefined && { connection }), redis: where },
        made > 1 ? 'reconnected to Redis' : 'connected to Redis',
      )
    },
    keyMistyped: (key: MistypedKey) =>
      log.error(
        { key: key.key, type: key.found, expected: key.type },
        `a key that the service needs has the wrong type: ${mistypedText(key)}; ${MISTYPED_FIX}`,
      ),
    keyTypeRestored: (key: string) => log.info({ key }, 'the key no longer has the wrong type'),
    works() {
      if (isUp === false) log.info(words.works)
      isUp = true
      setUp(true)
    },
    failed(error: ServiceError, connection?: string) {
      count(error)
      const heldBack = lines.pass()
      if (heldBack === undefined && isUp !== true) return
      isUp = false
      const fields = { ...(connection !== undefined && { connection }), ...failureFields(error) }
      if (error.failureClass === 'operator') log.error(fields, operatorHint(error))
      else log.warn(fields, words.fails)
    },
  }
}
