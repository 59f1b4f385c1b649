import type { WorkerReport } from '../../core/workers/worker-report.ts'
import type { Clocks } from '../../lifecycle/clocks.ts'
import { readiness, type ReadinessCheck } from '../../lifecycle/readiness.ts'
import type { WorkerConsumer } from '../../kafka/worker-consumer.ts'
import type { GroupWatch } from './group-watch.ts'
import type { ProgressGuard } from './progress-guard.ts'
import { ReportHistory } from './report-history.ts'
import type { WorkerFigures } from './worker-figures.ts'

export type ReportSources = Clocks & {
  readonly id: string
  readonly version: string
  readonly group: string
  readonly topic: string
  readonly figures: WorkerFigures
  readonly consumer: Pick<WorkerConsumer, 'state'>
  readonly guard: Pick<ProgressGuard, 'isRebuilding'>
  readonly groupWatch: Pick<GroupWatch, 'unread'>
  readonly checks: readonly ReadinessCheck[]
}

/** Returns a function that builds the worker's report; rates are an average over the time since its last call. */
export function createReportBuilder(sources: ReportSources): () => WorkerReport {
  const { checks, consumer, figures, group, groupWatch, guard, id, monotonicNow, now, topic, version } =
    sources
  const startedMs = now()
  const history = new ReportHistory(figures, { now, monotonicNow })
  let last = { monotonicMs: monotonicNow(), records: 0, applied: 0, deadLetters: 0 }

  return function buildReport() {
    const nowMs = now()
    const { deadLettersTotal, records, totals } = figures
    const current = {
      monotonicMs: monotonicNow(),
      records,
      applied: totals['applied'] ?? 0,
      deadLetters: deadLettersTotal,
    }
    const elapsedS = Math.max(1, current.monotonicMs - last.monotonicMs) / 1000
    const perSecond = (figure: 'records' | 'applied' | 'deadLetters') =>
      Math.round(((current[figure] - last[figure]) / elapsedS) * 10) / 10
    const rates = {
      records: perSecond('records'),
      applied: perSecond('applied'),
      dead_letters: perSecond('deadLetters'),
    }
    last = current
    const { ready, reasons } = readiness(checks)
    return {
      id,
      version,
      group,
      topic,
      started_at: new Date(startedMs).toISOString(),
      reported_at: new Date(nowMs).toISOString(),
      state: consumer.state,
      ready,
      reasons: [...reasons],
      rebuilding: guard.isRebuilding,
      rates,
      totals: { ...totals },
      dead_letters_total: deadLettersTotal,
      dead_letters_by_reason: figures.deadLettersByReason,
      lag: figures.lag,
      unread: groupWatch.unread.map(({ position: _position, owner = null, ...unread }) => ({
        ...unread,
        owner,
      })),
      lag_records: figures.lagRecords ?? null,
      devices: figures.devices ?? null,
      dead_letters: [...figures.deadLetters],
      history: history.read(),
    }
  }
}
