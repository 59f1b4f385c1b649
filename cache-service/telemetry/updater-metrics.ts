import { Counter } from 'prom-client'
import type { ProcessMetrics } from './process-metrics.ts'

/** The results of a message. A closed set: their sum is the number of received messages. */
export const UPDATE_LABELS = [
  'applied',
  'mismatched',
  'not_json',
  'invalid',
  'protected',
  'failed',
  'dropped',
] as const
export type UpdateLabel = (typeof UPDATE_LABELS)[number]

/** Counters with a closed set of labels start at 0, so that a rate includes their first increment. */
export function createUpdaterMetrics({ registry }: ProcessMetrics) {
  const registers = [registry]
  const updates = new Counter({
    name: 'cache_service_updates_total',
    help: 'Messages received on the update channel, by result.',
    labelNames: ['result'],
    registers,
  })
  for (const result of UPDATE_LABELS) updates.inc({ result }, 0)
  const pubsubGaps = new Counter({
    name: 'cache_service_pubsub_gaps_total',
    help: 'Lost subscriptions. Messages published until the next subscription were missed.',
    registers,
  })
  return { updates, pubsubGaps }
}
