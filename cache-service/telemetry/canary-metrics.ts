import { Counter, Gauge, Histogram } from 'prom-client'
import type { ProcessMetrics } from './process-metrics.ts'

/** Where a canary record arrives, in this order. */
export const CANARY_STAGES = ['acknowledged', 'stored', 'served'] as const
export type CanaryStage = (typeof CANARY_STAGES)[number]

/** A closed set: their sum is the number of canary records that were sent. */
const RESULTS = ['arrived', ...CANARY_STAGES.map((stage) => `not_${stage}` as const)] as const

const LATENCIES_S = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Only a process that sends canary records has these metrics: an alert can tell a canary that is off from one that fails. */
export function createCanaryMetrics({ registry }: ProcessMetrics) {
  const registers = [registry]
  const records = new Counter<'result'>({
    name: 'cache_service_canary_records_total',
    help: 'Canary records, by how far they came: arrived, or the stage that they did not reach within 30 seconds.',
    labelNames: ['result'],
    registers,
  })
  for (const result of RESULTS) records.inc({ result }, 0)
  const lastSuccess = new Gauge({
    name: 'cache_service_canary_last_success_timestamp_seconds',
    help: 'Unix time at which a canary record last arrived; absent if none has arrived yet.',
    registers,
  })
  lastSuccess.remove() // prom-client sets it to 0, which would claim a value that is not known
  const latency = new Histogram<'stage'>({
    name: 'cache_service_canary_latency_seconds',
    help: 'Time from sending a canary record until Kafka has acknowledged it, Redis holds it, and the API serves it.',
    labelNames: ['stage'],
    buckets: LATENCIES_S,
    registers,
  })
  return {
    lastSuccess,
    latency,
    countRecord: (result: (typeof RESULTS)[number]) => records.inc({ result }),
  }
}
