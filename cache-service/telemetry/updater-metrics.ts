import { Counter, type Registry } from 'prom-client'
import { REDIS_ERROR_CODES } from '../../shared/errors.ts'

/** What became of a message. A closed set; its sum is what was received. */
export const UPDATE_RESULTS = [
  'applied',
  'mismatched',
  'not_json',
  'invalid',
  'protected',
  'failed',
  'dropped',
] as const
export type UpdateResult = (typeof UPDATE_RESULTS)[number]

export type UpdaterMetrics = ReturnType<typeof createUpdaterMetrics>

/** Counters with a closed set of labels start at 0, so that a rate sees their first increment. */
export function createUpdaterMetrics(registry: Registry) {
  const registers = [registry]
  const updates = new Counter({
    name: 'cache_service_updates_total',
    help: 'Messages of the update channel, by what became of them.',
    labelNames: ['result'],
    registers,
  })
  for (const result of UPDATE_RESULTS) updates.inc({ result }, 0)
  const pubsubGaps = new Counter({
    name: 'cache_service_pubsub_gaps_total',
    help: 'Times that the subscription was lost: what was published until the next was missed.',
    registers,
  })
  const redisErrors = commonCounter(registry, 'redis_errors_total', 'Errors of Redis, by code.', ['code'])
  for (const code of REDIS_ERROR_CODES) redisErrors.inc({ code }, 0)
  const redisReconnects = commonCounter(
    registry,
    'redis_reconnects_total',
    'Connections to Redis made after the first.',
    [],
  )
  return { updates, pubsubGaps, redisErrors, redisReconnects }
}

/** In a process that plays several roles another may have made it. */
function commonCounter(registry: Registry, name: string, help: string, labelNames: string[]): Counter {
  const fullName = `cache_service_${name}`
  const existing = registry.getSingleMetric(fullName)
  return existing instanceof Counter
    ? existing
    : new Counter({ name: fullName, help, labelNames, registers: [registry] })
}
