import type { WorkerReport } from '../../core/workers/worker-report.ts'
import type { Clocks } from '../../lifecycle/clocks.ts'
import type { WorkerFigures } from './worker-figures.ts'

type History = NonNullable<WorkerReport['history']>

const INTERVAL_MS = 15_000
const MAX_POINTS = 60
/** A point may be taken this much early: a report that comes every 5 s would otherwise often be just too early for it. */
const EARLY_MS = 2_500
/** Without a measurement for this long, the lag is unknown. Kafka may be unavailable. */
const LAG_KNOWN_MS = 60_000

/** The last 15 minutes of a worker: one point every 15 s, taken by the report that is nearest to it. */
export class ReportHistory {
  readonly #figures: WorkerFigures
  readonly #clocks: Clocks
  #points: {
    readonly consumedPerSecond: number
    readonly lag: number | null
    readonly deadLetters: number
  }[] = []
  #at: string
  #nextPointMs: number
  #last: { readonly monotonicMs: number; readonly records: number; readonly deadLetters: number }

  constructor(figures: WorkerFigures, clocks: Clocks) {
    this.#figures = figures
    this.#clocks = clocks
    const monotonicMs = clocks.monotonicNow()
    this.#at = new Date(clocks.now()).toISOString()
    this.#nextPointMs = monotonicMs + INTERVAL_MS
    this.#last = { monotonicMs, records: figures.records, deadLetters: figures.deadLettersTotal }
  }

  /** Takes the points that are due. Points that no report was in time for have the average rate and an unknown lag. */
  read(): History {
    const monotonicMs = this.#clocks.monotonicNow()
    const due = Math.floor((monotonicMs + EARLY_MS - this.#nextPointMs) / INTERVAL_MS) + 1
    if (due > 0) this.#takePoints(due, monotonicMs)
    return {
      interval_ms: INTERVAL_MS,
      at: this.#at,
      consumed_per_second: this.#points.map(({ consumedPerSecond }) => consumedPerSecond),
      lag: this.#points.map(({ lag }) => lag),
      dead_letters: this.#points.map(({ deadLetters }) => deadLetters),
    }
  }

  #takePoints(due: number, monotonicMs: number): void {
    const { deadLettersTotal: deadLetters, lagMeasuredMs, lagRecords, records } = this.#figures
    const elapsedS = (monotonicMs - this.#last.monotonicMs) / 1000
    const consumedPerSecond = Math.round(((records - this.#last.records) / elapsedS) * 10) / 10
    const isLagKnown = lagMeasuredMs !== undefined && monotonicMs - lagMeasuredMs < LAG_KNOWN_MS
    const missed = { consumedPerSecond, lag: null, deadLetters: 0 }
    this.#points = [
      ...this.#points,
      ...Array.from({ length: Math.min(due, MAX_POINTS) - 1 }, () => missed),
      {
        consumedPerSecond,
        lag: isLagKnown ? (lagRecords ?? null) : null,
        deadLetters: deadLetters - this.#last.deadLetters,
      },
    ].slice(-MAX_POINTS)
    this.#at = new Date(this.#clocks.now()).toISOString()
    this.#nextPointMs += due * INTERVAL_MS
    this.#last = { monotonicMs, records, deadLetters }
  }
}
