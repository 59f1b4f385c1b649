import { eventTimeFromMs } from '../event-time.ts'
import type { StoredDeadLetter } from './stored-dead-letter.ts'

export type DeadLetterCount = { readonly name: string; readonly count: number }

export type DeadLetterStats = {
  readonly deadLetters: number
  /** In descending order of count. */
  readonly byReason: readonly DeadLetterCount[]
  readonly byDevice: readonly DeadLetterCount[]
  /** True if there were more devices than can be counted individually. */
  readonly uncountedDevices: boolean
  /** In chronological order; names look like `2025-06-08T18:00Z`. */
  readonly byHour: readonly DeadLetterCount[]
  readonly firstWrittenMs: number | undefined
  readonly lastWrittenMs: number | undefined
}

/** Bounds memory when a whole fleet fails. */
const MAX_COUNTED_DEVICES = 100_000

/** Counts dead letters one by one, without keeping them. */
export class DeadLetterCounter {
  readonly #reasons = new Map<string, number>()
  readonly #devices = new Map<string, number>()
  readonly #hours = new Map<string, number>()
  #deadLetters = 0
  #uncountedDevices = false
  #firstMs: number | undefined
  #lastMs: number | undefined

  add({ reason, deviceId, writtenAtMs }: StoredDeadLetter): void {
    this.#deadLetters++
    increment(this.#reasons, reason)
    increment(this.#hours, `${eventTimeFromMs(writtenAtMs).text.slice(0, 13)}:00Z`)
    if (deviceId !== undefined) {
      if (this.#devices.size < MAX_COUNTED_DEVICES || this.#devices.has(deviceId)) {
        increment(this.#devices, deviceId)
      } else {
        this.#uncountedDevices = true
      }
    }
    this.#firstMs = Math.min(this.#firstMs ?? writtenAtMs, writtenAtMs)
    this.#lastMs = Math.max(this.#lastMs ?? writtenAtMs, writtenAtMs)
  }

  /** @param topDevices maximum number of devices to list, those with the most dead letters. */
  stats(topDevices: number): DeadLetterStats {
    return {
      deadLetters: this.#deadLetters,
      byReason: mostFirst(this.#reasons),
      byDevice: mostFirst(this.#devices).slice(0, topDevices),
      uncountedDevices: this.#uncountedDevices,
      byHour: counts(this.#hours).toSorted(byName),
      firstWrittenMs: this.#firstMs,
      lastWrittenMs: this.#lastMs,
    }
  }
}

function increment(counted: Map<string, number>, name: string): void {
  counted.set(name, (counted.get(name) ?? 0) + 1)
}

function counts(counted: ReadonlyMap<string, number>): DeadLetterCount[] {
  return [...counted].map(([name, count]) => ({ name, count }))
}

function mostFirst(counted: ReadonlyMap<string, number>): DeadLetterCount[] {
  return counts(counted).toSorted((a, b) => b.count - a.count || byName(a, b))
}

function byName(a: DeadLetterCount, b: DeadLetterCount): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0
}
