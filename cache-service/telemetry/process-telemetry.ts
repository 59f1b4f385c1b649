import { createLoopFailed } from './loop-failed.ts'
import { readiness, type ReadinessCheck } from '../lifecycle/readiness.ts'
import type { Logger } from './logger.ts'

/** Telemetry of the process as a whole, whatever its roles. */
export function createProcessTelemetry(log: Logger, monotonicNow: () => number) {
  let lastKinds: string | undefined
  return {
    started: (facts: Record<string, unknown>) => log.info(facts, 'started'),
    stopped: () => log.info('stopped'),
    /** Called often; logs only when readiness, or the kinds of its reasons, have changed. */
    readiness(checks: readonly ReadinessCheck[]) {
      const { ready, reasons } = readiness(checks)
      const kinds = reasons.map((reason) => reason.split(':')[0]).join()
      if (kinds === lastKinds) return
      lastKinds = kinds
      log.info({ ready, reasons }, ready ? 'ready' : 'not ready')
    },
    loopFailed: createLoopFailed(log, monotonicNow),
  }
}
