import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { hashTextOf } from './device-view.ts'

/** What an entry occupies besides its text and its id, roughly. */
const ENTRY_OVERHEAD = 100

type Entry = {
  /** The JSON text up to `ttl`. */
  readonly head: string
  /** Before which Redis certainly holds the device; undefined: it never expires. */
  readonly expiresAtMs: number | undefined
}

/** A read from Redis in progress: what is forgotten during the read must not be stored after it. */
export type CacheRead = {
  readonly ids: readonly DeviceId[]
  readonly startedAt: number
  readonly startedMs: number
}

type Reading = { readers: number; forgottenAt: number }

/**
 * Devices as JSON text, bounded by their size; the least recently used ones make room. Every change must be reported to it (`forget`,
 * `clear`), possibly while the device is being read: a read that began before the change may have seen the old value, and
 * its result is not stored.
 *
 * Time is an argument: milliseconds of a monotonic clock.
 */
export class DeviceCache {
  readonly #maxSize: number
  /** In the order of use, most recently used last. */
  readonly #entries = new Map<DeviceId, Entry>()
  readonly #reading = new Map<DeviceId, Reading>()
  /** Counts changes, so that reads and changes have an order. */
  #changes = 0
  #clearedAt = 0
  #size = 0

  /** @param maxSize of all entries: characters of their texts and ids, and 100 for each. */
  constructor(maxSize: number) {
    this.#maxSize = maxSize
  }

  get size(): number {
    return this.#size
  }

  /** The JSON text of the device, with the time to live that is left. */
  get(id: DeviceId, nowMs: number): string | undefined {
    const entry = this.#entries.get(id)
    if (entry === undefined) return undefined
    const { expiresAtMs, head } = entry
    if (expiresAtMs !== undefined && nowMs >= expiresAtMs) {
      this.#remove(id)
      return undefined
    }
    this.#entries.delete(id)
    this.#entries.set(id, entry)
    // Redis rounds up as well; the entry ends a second before the hash, so this is never 0.
    const ttl = expiresAtMs === undefined ? null : Math.ceil((expiresAtMs - nowMs) / 1000) + 1
    return `${head},"ttl":${ttl}}`
  }

  /** Before the devices are read from Redis. Each call is followed by one of `finish`. */
  begin(ids: readonly DeviceId[], nowMs: number): CacheRead {
    for (const id of ids) {
      const reading = this.#reading.get(id)
      if (reading === undefined) this.#reading.set(id, { readers: 1, forgottenAt: 0 })
      else reading.readers++
    }
    return { ids, startedAt: this.#changes, startedMs: nowMs }
  }

  /** @param jsonOf what has been read; undefined: nothing to store. */
  finish({ ids, startedAt, startedMs }: CacheRead, jsonOf: (index: number) => string | undefined): void {
    for (const [i, id] of ids.entries()) {
      const reading = this.#reading.get(id)
      if (reading === undefined) continue
      const json = jsonOf(i)
      const isCurrent = Math.max(reading.forgottenAt, this.#clearedAt) <= startedAt
      if (json !== undefined && isCurrent) this.#store(id, json, startedMs)
      reading.readers--
      if (reading.readers === 0) this.#reading.delete(id)
    }
  }

  /** The device has changed, or may have. */
  forget(id: DeviceId): void {
    const reading = this.#reading.get(id)
    if (reading !== undefined) reading.forgottenAt = ++this.#changes
    this.#remove(id)
  }

  /** All devices may have changed. */
  clear(): void {
    this.#clearedAt = ++this.#changes
    this.#entries.clear()
    this.#size = 0
  }

  #store(id: DeviceId, json: string, startedMs: number): void {
    const head = hashTextOf(json)
    const size = sizeOf(id, head)
    this.#remove(id)
    if (size > this.#maxSize) return
    const ttl = json.slice(head.length + ',"ttl":'.length, -1)
    // The reply says only that the rest, rounded up, was this many seconds.
    const expiresAtMs = ttl === 'null' ? undefined : startedMs + (Number(ttl) - 1) * 1000
    if (expiresAtMs !== undefined && expiresAtMs <= startedMs) return
    this.#entries.set(id, { head, expiresAtMs })
    this.#size += size
    for (const eldest of this.#entries.keys()) {
      if (this.#size <= this.#maxSize) break
      this.#remove(eldest)
    }
  }

  #remove(id: DeviceId): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    this.#entries.delete(id)
    this.#size -= sizeOf(id, entry.head)
  }
}

function sizeOf(id: DeviceId, head: string): number {
  return id.length + head.length + ENTRY_OVERHEAD
}
