import { createLoop, type LoopMonitor } from '../../lifecycle/loops.ts'
import type { Service } from '../../lifecycle/service.ts'
import type { WorkerTelemetry } from '../../telemetry/worker-telemetry.ts'
import type { ProgressGuard } from './progress-guard.ts'

const CHECK_INTERVAL_MS = 3_000

export type ProgressCheckDependencies = {
  readonly guard: ProgressGuard
  readonly isRedisReady: () => boolean
  /** Reads the partition again from this offset. */
  readonly rewind: (partition: number, to: number) => void
  readonly telemetry: WorkerTelemetry
  readonly monitor: LoopMonitor
}

export type ProgressCheck = {
  /** Checks without waiting for the next turn of the service. */
  readonly checkNow: () => void
  readonly service: Service
}

/** Compares every partition's progress with Redis every 3 s, so that loss is noticed while no chunk comes. */
export function createProgressCheck(dependencies: ProgressCheckDependencies): ProgressCheck {
  const { guard, isRedisReady, monitor, rewind, telemetry } = dependencies
  const name = 'progress check'
  const failed = (error: unknown) => telemetry.loopFailed(name, error)

  async function check(): Promise<void> {
    // Without Redis there is nothing to compare with, and the write probe reports that.
    if (isRedisReady()) await guard.check(rewind)
  }

  return {
    checkNow: () => void check().catch(failed),
    service: createLoop({ name, everyMs: CHECK_INTERVAL_MS, monitor, turn: check, failed }),
  }
}
