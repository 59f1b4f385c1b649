import { messageOf, ServiceError } from '../../shared/errors.ts'
import { failureFields } from '../core/operator-hint.ts'
import { createCanaryMetrics, type CanaryStage } from './canary-metrics.ts'
import type { Clocks } from '../lifecycle/clocks.ts'
import type { Logger } from './logger.ts'
import { createLoopFailed } from './loop-failed.ts'
import type { ProcessMetrics } from './process-metrics.ts'

export type { CanaryStage }
export type CanaryTelemetry = ReturnType<typeof createCanaryTelemetry>

/** One function per thing that happens; it logs and counts it. What lasts is logged when it begins, changes and ends. */
export function createCanaryTelemetry(
  log: Logger,
  processMetrics: ProcessMetrics,
  { monotonicNow, now }: Clocks,
) {
  const metrics = createCanaryMetrics(processMetrics)
  /** By partition (undefined: the record is in none): what was logged last. */
  const failing = new Map<number | undefined, string>()

  return {
    started: (facts: Record<string, unknown>) => log.info(facts, 'canary started'),
    loopFailed: createLoopFailed(log, monotonicNow),
    reached: (stage: CanaryStage, seconds: number) => metrics.latency.observe({ stage }, seconds),
    arrived(partition: number) {
      metrics.countRecord('arrived')
      metrics.lastSuccess.set(now() / 1000)
      const wasFailing = [undefined, partition].filter((one) => failing.delete(one)).length > 0
      if (wasFailing) log.info({ partition }, 'canary records arrive again')
    },
    /** @param stage which the record did not reach. @param partition in which it is; undefined: it may be in none. */
    failed(stage: CanaryStage, partition: number | undefined, error: unknown) {
      metrics.countRecord(`not_${stage}`)
      if (failing.get(partition) === stage) return
      failing.set(partition, stage)
      const fields = error instanceof ServiceError ? failureFields(error) : { error: messageOf(error) }
      log.warn({ stage, partition, ...fields }, 'a canary record did not arrive')
    },
  }
}
