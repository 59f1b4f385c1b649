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
  /** Node → the connections that report it. */
  const failingNodes = new Map<string, Set<string>>()
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
    /** Logs only the first of the connections that report it. */
    nodeFailed(node: string, error: ServiceError, connection = '') {
      metrics.redisErrors.inc({ code: error.code })
      const noticed = failingNodes.get(node) ?? new Set()
      failingNodes.set(node, noticed)
      if (noticed.size === 0)
        log.warn({ node, ...failureFields(error) }, 'a node of the Redis Cluster does not answer')
      noticed.add(connection)
    },
    /** Logs the last of them. */
    nodeRecovered(node: string, how: 'answers' | 'replaced', connection = '') {
      const noticed = failingNodes.get(node)
      if (noticed?.delete(connection) !== true || noticed.size > 0) return
      log.info(
        { node },
        how === 'answers'
          ? 'the node of the Redis Cluster answers again'
          : 'the node of the Redis Cluster that does not answer owns no slots any more',
      )
    },
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
