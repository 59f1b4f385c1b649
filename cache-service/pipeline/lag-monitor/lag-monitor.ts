import { kafkaError } from '../../../shared/errors.ts'
import { failureText } from '../../core/operator-hint.ts'
import type { LagReport } from '../../core/workers/lag-report.ts'
import { createLoop, type LoopMonitor } from '../../lifecycle/loops.ts'
import type { Service } from '../../lifecycle/service.ts'
import type { LagTelemetry } from '../../telemetry/lag-telemetry.ts'
import type { GroupLagMeter } from './group-lag-meter.ts'
import type { NotReadyReason } from '../../lifecycle/readiness.ts'

export type LagMonitorDependencies = {
  readonly meters: readonly GroupLagMeter[]
  readonly everyMs: number
  /** Rejects if Redis fails, which its own probe reports. */
  readonly writeReport: (report: LagReport) => Promise<void>
  readonly telemetry: Pick<LagTelemetry, 'loopFailed' | 'measured' | 'unmeasured'>
  readonly monitor: LoopMonitor
}

/** Measures the lag of all groups, one after the other: one that cannot be read does not stop the others. */
export class LagMonitor {
  readonly #dependencies: LagMonitorDependencies
  #hasMeasured = false
  /** By group: why its lag could not be measured. */
  #failures = new Map<string, string>()

  constructor(dependencies: LagMonitorDependencies) {
    this.#dependencies = dependencies
  }

  notReadyReasons(): NotReadyReason[] {
    if (!this.#hasMeasured) return ['lag: not measured yet']
    return [...this.#failures].map(
      ([group, failure]): NotReadyReason => `lag: that of ${group} could not be measured: ${failure}`,
    )
  }

  service(): Service {
    const { everyMs, monitor, telemetry } = this.#dependencies
    return createLoop({
      name: 'lag monitor',
      everyMs,
      monitor,
      turn: (stop) => this.#measure(stop),
      failed: (error) => telemetry.loopFailed('lag monitor', error),
    })
  }

  async #measure(stop: AbortSignal): Promise<void> {
    const { meters, telemetry, writeReport } = this.#dependencies
    const measured: LagReport[] = []
    const failures = new Map<string, string>()
    for (const meter of meters) {
      if (stop.aborted) return
      let report: LagReport
      try {
        report = await meter.measure()
        measured.push(report)
      } catch (error) {
        if (stop.aborted) return
        const failure = kafkaError(error)
        failures.set(meter.groupId, failureText(failure))
        telemetry.unmeasured(meter.groupId, failure)
        report = meter.unmeasured(failure.message)
      }
      await writeReport(report).catch(() => undefined)
    }
    this.#failures = failures
    this.#hasMeasured = true
    telemetry.measured(measured)
  }
}
