import { createLoop, type LoopMonitor } from '../../lifecycle/loops.ts'
import type { Service } from '../../lifecycle/service.ts'

const REPORT_INTERVAL_MS = 5_000
/** How soon a report follows a change that others must know of. */
const CHANGE_INTERVAL_MS = 250

/** When the worker reports: every 5 s, and within 250 ms of a change that others must know of. */
export class ReportSchedule {
  readonly #monotonicNow: () => number
  #nextReportMs = -Infinity

  constructor(monotonicNow: () => number) {
    this.#monotonicNow = monotonicNow
  }

  /** Others must know of this before the next regular report. */
  changed(): void {
    this.#nextReportMs = -Infinity
  }

  /** @param report writes one report. If it fails, it is called again 250 ms later. */
  service(report: () => Promise<void>, monitor: LoopMonitor): Service {
    return createLoop({
      name: 'report',
      everyMs: CHANGE_INTERVAL_MS,
      monitor,
      turn: async () => {
        if (this.#monotonicNow() < this.#nextReportMs) return
        this.#nextReportMs = this.#monotonicNow() + REPORT_INTERVAL_MS
        await report()
      },
      // Not logged: the write probe logs that Redis is unavailable.
      failed: () => this.changed(),
    })
  }
}
