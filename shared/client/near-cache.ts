export type NearCacheOptions = {
  /** The least recently used go first. */
  readonly maxEntries: number
  /** From when a value was read until it is asked for again, whatever the events say. */
  readonly maxAgeMs: number
  /** For so long after that it is still given if asking fails. */
  readonly staleIfErrorMs: number
}

type Entry<V> = { readonly value: V; readonly readAtMs: number; readonly expiresAtMs: number }

/**
 * Values near those who ask for them. What is fresh is given without asking; what is stale only if asking fails.
 * Nothing is fresh while nobody would tell us of changes (`isWatched`).
 *
 * Time is an argument: milliseconds, of a clock that does not go back.
 */
export class NearCache<V> {
  /** Changes are told by `forget` and `clear`. */
  isWatched = false
  readonly #options: NearCacheOptions
  /** In the order of use, the latest last. */
  readonly #entries = new Map<string, Entry<V>>()

  constructor(options: NearCacheOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#entries.size
  }

  fresh(id: string, nowMs: number): V | undefined {
    return this.isWatched ? this.#use(id, nowMs, this.#options.maxAgeMs) : undefined
  }

  /** Fresh or stale. */
  held(id: string, nowMs: number): V | undefined {
    return this.#use(id, nowMs, this.#options.maxAgeMs + this.#options.staleIfErrorMs)
  }

  /**
   * @param readAtMs not after the moment in which it was what it is: when the question was sent.
   * @param livesForMs after which it is given to nobody, not even stale. undefined: for ever.
   */
  put(id: string, value: V, readAtMs: number, livesForMs: number | undefined): void {
    this.#entries.delete(id)
    const expiresAtMs = livesForMs === undefined ? Infinity : readAtMs + livesForMs
    this.#entries.set(id, { value, readAtMs, expiresAtMs })
    if (this.#entries.size <= this.#options.maxEntries) return
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
