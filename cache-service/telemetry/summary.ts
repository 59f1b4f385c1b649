import type { ResultCounts } from '../core/records/settle.ts'
import type { Logger } from './logger.ts'

export type SummaryFacts = {
  readonly lag: number | undefined
  readonly devices: number | undefined
  readonly state: string
}

/** Collects what happened between two lines of the log. */
export function createSummary(log: Logger, monotonicNow: () => number) {
  let sinceMs = monotonicNow()
  let records = 0
  const totals: Record<string, number> = {}
  return {
    add(counts: ResultCounts, count: number) {
      records += count
      for (const [result, n] of Object.entries(counts)) totals[result] = (totals[result] ?? 0) + n
    },
    write({ lag, devices, state }: SummaryFacts) {
      const elapsedMs = monotonicNow() - sinceMs
      const perSecond = elapsedMs > 0 ? Math.round((records * 1000) / elapsedMs) : 0
      log.info(
        { state, records, perSecond, lag: lag ?? null, devices: devices ?? null, ...totals },
        'summary',
      )
      sinceMs = monotonicNow()
      records = 0
      for (const result of Object.keys(totals)) totals[result] = 0
    },
  }
}
