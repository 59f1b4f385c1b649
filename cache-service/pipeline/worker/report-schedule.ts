import { createLoop, type LoopMonitor } from '../../lifecycle/loops.ts'
import type { Service } from '../../lifecycle/service.ts'

const REPORT_INTERVAL_MS = 5_000
/** How soon a report follows a change that others must know of. */
const CHANGE_INTERVAL_MS = 250

/** When the worker reports: every 5 s, and within 250 ms of a change that others must know of. */
export class ReportSchedule {
  readonly #now: () => number
  #nextReportMs = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** Others must know of this before the next regular report. */
  changed(): void {
    this.#nextReportMs = 0
  }

  /** @param report writes one report. If it fails, it is called again 250 ms later. */
  service(report: () => Promise<void>, monitor: LoopMonitor): Service {
    return createLoop({
      name: 'report',
      everyMs: CHANGE_INTERVAL_MS,
      monitor,
      turn: async () => {
        if (this.#now() < this.#nextReportMs) return
        this.#nextReportMs = this.#now() + REPORT_INTERVAL_MS
        await report()
      },
      // Not logged: while Redis is away there is nobody to report to, and the write probe logs that.
      failed: () => this.changed(),
    })
  }
}
