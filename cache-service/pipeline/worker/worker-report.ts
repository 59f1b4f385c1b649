import type { WorkerReport } from '../../core/workers/worker-report.ts'
import { readiness, type ReadinessCheck } from '../../lifecycle/readiness.ts'
import type { WorkerTelemetry } from '../../telemetry/worker-telemetry.ts'

/** What a report says that no event does. */
export type ReportFacts = { readonly id: string; readonly version: string; readonly topic: string }

type DeadLetterCoordinates = WorkerReport['dead_letters'][number]

const KEPT_DEAD_LETTERS = 20

/** Watches what happens in the worker, and tells it as a report. */
export class WorkerReportBook {
  readonly #facts: ReportFacts
  readonly #now: () => number
  readonly #startedMs: number
  readonly #totals = new Map<string, number>()
  #deadLetters: readonly DeadLetterCoordinates[] = []
  #deadLettersTotal = 0
  #state = 'waiting'
  #isRebuilding = false
  #lag: WorkerReport['lag'] = null
  #devices: number | null = null
  #last: { readonly ms: number; readonly records: number; readonly applied: number; readonly dead: number }

  constructor(facts: ReportFacts, now: () => number) {
    this.#facts = facts
    this.#now = now
    this.#startedMs = now()
    this.#last = { ms: this.#startedMs, records: 0, applied: 0, dead: 0 }
  }

  /**
   * The same events, watched.
   * @param changed called when something happened of which others should know before the next report.
   */
  watch(telemetry: WorkerTelemetry, changed: () => void): WorkerTelemetry {
    return {
      ...telemetry,
      chunkApplied: (chunk) => {
        telemetry.chunkApplied(chunk)
        for (const [result, count] of Object.entries(chunk.counts)) this.#add(result, count)
      },
      deadLetter: (deadLetter) => {
        telemetry.deadLetter(deadLetter)
        const { partition, offset, reason } = deadLetter
        const at = this.#timeText(this.#now())
        const coordinates = { at, reason, topic: this.#facts.topic, partition, offset }
        this.#deadLetters = [coordinates, ...this.#deadLetters].slice(0, KEPT_DEAD_LETTERS)
      },
      deadLettersSent: (reasons) => {
        telemetry.deadLettersSent(reasons)
        this.#deadLettersTotal += reasons.length
      },
      consumerState: (next, detail) => {
        telemetry.consumerState(next, detail)
        this.#state = next
      },
      rebuilding: (yes) => {
        telemetry.rebuilding(yes)
        if (yes === this.#isRebuilding) return
        this.#isRebuilding = yes
        changed()
      },
      lagMeasured: (lags) => {
        telemetry.lagMeasured(lags)
        this.#lag = [...lags]
          .map(([partition, { records, seconds }]) => ({ partition, records, seconds: seconds ?? null }))
          .toSorted((a, b) => a.partition - b.partition)
      },
      devicesCounted: (devices) => {
        telemetry.devicesCounted(devices)
        this.#devices = devices
      },
    }
  }

  report(checks: readonly ReadinessCheck[]): WorkerReport {
    const nowMs = this.#now()
    const { ready, reasons } = readiness(checks)
    const current = {
      ms: nowMs,
      records: [...this.#totals.values()].reduce((sum, count) => sum + count, 0),
      applied: this.#totals.get('applied') ?? 0,
      dead: this.#deadLettersTotal,
    }
    const elapsedS = Math.max(1, nowMs - this.#last.ms) / 1000
    const rate = (name: 'records' | 'applied' | 'dead') =>
      Math.round(((current[name] - this.#last[name]) / elapsedS) * 10) / 10
    const rates = { records: rate('records'), applied: rate('applied'), dead_letters: rate('dead') }
    this.#last = current
    return {
      id: this.#facts.id,
      version: this.#facts.version,
      started_at: this.#timeText(this.#startedMs),
      reported_at: this.#timeText(nowMs),
      state: this.#state,
      ready,
      reasons: [...reasons],
      rebuilding: this.#isRebuilding,
      rates,
      totals: Object.fromEntries(this.#totals),
      dead_letters_total: this.#deadLettersTotal,
      lag: this.#lag,
      lag_records: this.#lag?.reduce((sum, { records }) => sum + records, 0) ?? null,
      devices: this.#devices,
      dead_letters: [...this.#deadLetters],
    }
  }

  #add(result: string, count: number): void {
    this.#totals.set(result, (this.#totals.get(result) ?? 0) + count)
  }

  #timeText(ms: number): string {
    return new Date(ms).toISOString()
  }
}
