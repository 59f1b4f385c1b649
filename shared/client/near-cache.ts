export type NearCacheOptions = {
  /** Beyond this number, the least recently used entry is removed. Default: 10,000. */
  readonly maxEntries?: number | undefined
  /** Milliseconds after which a value is read again, even without an event. Default: 60,000. */
  readonly maxAgeMs?: number | undefined
  /** Milliseconds after `maxAgeMs` for which a value is still returned if the request fails. Default: 300,000. */
  readonly staleIfErrorMs?: number | undefined
}

/** The options with their defaults. */
export type NearCacheBounds = { readonly [Name in keyof NearCacheOptions]-?: number }

type Entry<V> = { readonly value: V; readonly readAtMs: number; readonly expiresAtMs: number }

/**
 * A cache inside the process. A fresh value is returned without a request, a stale value only if the request fails. While
 * changes are not being watched (`isWatched`), no value is fresh.
 *
 * Time is an argument: milliseconds of a monotonic clock.
 */
export class NearCache<V> {
  /** True while every change leads to a call of `forget` or `clear`. */
  isWatched = false
  readonly #bounds: NearCacheBounds
  /** In the order of use, most recently used last. */
  readonly #entries = new Map<string, Entry<V>>()

  constructor(bounds: NearCacheBounds) {
    this.#bounds = bounds
  }

  get size(): number {
    return this.#entries.size
  }

  fresh(id: string, nowMs: number): V | undefined {
    return this.isWatched ? this.#use(id, nowMs, this.#bounds.maxAgeMs) : undefined
  }

  /** The value if it is fresh or stale. */
  held(id: string, nowMs: number): V | undefined {
    return this.#use(id, nowMs, this.#bounds.maxAgeMs + this.#bounds.staleIfErrorMs)
  }

  /**
   * @param readAtMs when the request was sent: the value is at least as recent.
   * @param livesForMs after which the value is not returned, not even as stale. undefined: without limit.
   */
  put(id: string, value: V, readAtMs: number, livesForMs: number | undefined): void {
    this.#entries.delete(id)
    const expiresAtMs = livesForMs === undefined ? Infinity : readAtMs + livesForMs
    this.#entries.set(id, { value, readAtMs, expiresAtMs })
    if (this.#entries.size <= this.#bounds.maxEntries) return
    for (const eldest of this.#entries.keys()) {
      this.#entries.delete(eldest)
      break
    }
  }

  forget(id: string): void {
    this.#entries.delete(id)
  }

  clear(): void {
    this.#entries.clear()
  }

  #use(id: string, nowMs: number, maxAgeMs: number): V | undefined {
    const entry = this.#entries.get(id)
    if (entry === undefined) return undefined
    if (nowMs >= entry.expiresAtMs || nowMs - entry.readAtMs >= maxAgeMs) return undefined
    this.#entries.delete(id)
    this.#entries.set(id, entry)
    return entry.value
  }
}
