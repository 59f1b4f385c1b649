import type { ServiceError } from '../../shared/errors.ts'
import { MISTYPED_FIX, mistypedText, type MistypedKey } from '../core/fixed-keys.ts'
import { failureFields, nodeFailureFields, operatorHint } from '../core/operator-hint.ts'
import type { Logger } from './logger.ts'
import type { ProcessMetrics } from './process-metrics.ts'
import { heldBackField } from './rate-limit.ts'
import { createRepeatLimit } from './repeat-limit.ts'

type ConnectionState = {
  /** How often it was made. */
  made: number
  isFailing: boolean
  readonly failureLines: ReturnType<typeof createRepeatLimit>
}

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
  /** By the name of the connection; '' if the role has only one. */
  const connections = new Map<string, ConnectionState>()
  /** Node → the connections that report it. */
  const failingNodes = new Map<string, Set<string>>()
  const setUp = metrics.claimRedisUp()

  function stateOf(connection = ''): ConnectionState {
    const known = connections.get(connection)
    if (known !== undefined) return known
    const created = { made: 0, isFailing: false, failureLines: createRepeatLimit(monotonicNow) }
    connections.set(connection, created)
    return created
  }

  /** Counts an error that is logged elsewhere. */
  function count({ code }: ServiceError): void {
    metrics.redisErrors.inc({ code })
    setUp(false)
  }

  return {
    count,
    /** @param connection names the connection if the role has several. */
    connected(where: string, connection?: string) {
      const state = stateOf(connection)
      state.made++
      if (state.made > 1) metrics.redisReconnects.inc()
      state.failureLines.reset()
      log.info(
        { ...(connection !== undefined && { connection }), redis: where },
        state.made > 1 ? 'reconnected to Redis' : 'connected to Redis',
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
        log.warn({ node, ...nodeFailureFields(error) }, 'a node of the Redis Cluster does not answer')
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
    works(connection?: string) {
      setUp(true)
      const state = stateOf(connection)
      if (!state.isFailing) return
      state.isFailing = false
      state.failureLines.reset()
      log.info({ ...(connection !== undefined && { connection }) }, words.works)
    },
    /** Logs the first failure of a kind after the connection worked, and one a minute. */
    failed(error: ServiceError, connection?: string) {
      count(error)
      const state = stateOf(connection)
      state.isFailing = true
      const heldBack = state.failureLines.pass(error.code)
      if (heldBack === undefined) return
      const fields = {
        ...(connection !== undefined && { connection }),
        ...failureFields(error),
        ...heldBackField(heldBack),
      }
      if (error.failureClass === 'operator') log.error(fields, operatorHint(error))
      else log.warn(fields, words.fails)
    },
  }
}
