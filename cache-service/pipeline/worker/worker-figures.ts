import type { ResultCounts } from '../../core/records/settle.ts'
import type { WorkerReport } from '../../core/workers/worker-report.ts'
import type { Clocks } from '../../lifecycle/clocks.ts'
import type { DeadLettered } from '../../telemetry/worker-telemetry.ts'
import type { Lag } from './lag-meter.ts'

type ReportedDeadLetter = WorkerReport['dead_letters'][number]

const KEPT_DEAD_LETTERS = 20
/** Some messages quote the record. */
const MAX_MESSAGE_CHARACTERS = 300

/** What this worker has done and measured since its start, for its reports and its summary line. */
export class WorkerFigures {
  readonly #topic: string
  readonly #clocks: Clocks
  readonly #totals = new Map<string, number>()
  #deadLetters: readonly ReportedDeadLetter[] = []
  readonly #deadLettersByReason = new Map<string, number>()
  #lag: WorkerReport['lag'] = null
  #lagMeasuredMs: number | undefined
  #devices: number | undefined

  constructor(topic: string, clocks: Clocks) {
    this.#topic = topic
    this.#clocks = clocks
  }

  chunkApplied(counts: ResultCounts): void {
    for (const [result, count] of Object.entries(counts)) {
      this.#totals.set(result, (this.#totals.get(result) ?? 0) + count)
    }
  }

  /** Keeps the latest ones; deadLettersSent counts. */
  deadLetter({ detail, partition, offset, reason }: DeadLettered): void {
    const at = new Date(this.#clocks.now()).toISOString()
    const message = detail.slice(0, MAX_MESSAGE_CHARACTERS).toWellFormed()
    const reported = { at, reason, topic: this.#topic, partition, offset: String(offset), message }
    this.#deadLetters = [reported, ...this.#deadLetters].slice(0, KEPT_DEAD_LETTERS)
  }

  deadLettersSent(reasons: readonly string[]): void {
    for (const reason of reasons) {
      this.#deadLettersByReason.set(reason, (this.#deadLettersByReason.get(reason) ?? 0) + 1)
    }
  }

  lagMeasured(lags: ReadonlyMap<number, Lag>): void {
    this.#lag = [...lags]
      .map(([partition, { records, seconds }]) => ({ partition, records, seconds: seconds ?? null }))
      .toSorted((a, b) => a.partition - b.partition)
    this.#lagMeasuredMs = this.#clocks.monotonicNow()
  }

  devicesCounted(devices: number): void {
    this.#devices = devices
  }

  /** Records consumed since the start. */
  get records(): number {
    return [...this.#totals.values()].reduce((sum, count) => sum + count, 0)
  }

  /** Records since the start, by result. */
  get totals(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#totals)
  }

  get deadLettersTotal(): number {
    return [...this.#deadLettersByReason.values()].reduce((sum, count) => sum + count, 0)
  }

  get deadLettersByReason(): Record<string, number> {
    return Object.fromEntries(this.#deadLettersByReason)
  }

  /** The latest 20, newest first. */
  get deadLetters(): readonly ReportedDeadLetter[] {
    return this.#deadLetters
  }

  /** By partition; null: not measured yet. */
  get lag(): WorkerReport['lag'] {
    return this.#lag
  }

  get lagRecords(): number | undefined {
    return this.#lag?.reduce((sum, { records }) => sum + records, 0)
  }

  /** By the monotonic clock; undefined: not measured yet. */
  get lagMeasuredMs(): number | undefined {
    return this.#lagMeasuredMs
  }

  get devices(): number | undefined {
    return this.#devices
  }
}
