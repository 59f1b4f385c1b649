import { Counter } from 'prom-client'
import type { ProcessMetrics } from './process-metrics.ts'

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
export type UpdateOutcome = (typeof UPDATE_RESULTS)[number]

/** Counters with a closed set of labels start at 0, so that a rate sees their first increment. */
export function createUpdaterMetrics({ registry }: ProcessMetrics) {
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
  return { updates, pubsubGaps }
}
