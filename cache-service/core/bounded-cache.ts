/** A cache of limited total size; what was used least recently is removed first. */
export class BoundedCache<V> {
  readonly #maxSize: number
  readonly #maxEntries: number
  /** In the order of use, most recently used last. */
  readonly #entries = new Map<string, { readonly value: V; readonly size: number }>()
  #size = 0

  constructor(maxSize: number, maxEntries: number) {
    this.#maxSize = maxSize
    this.#maxEntries = maxEntries
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.value
  }

  set(key: string, value: V, size: number): void {
    this.#delete(key)
    this.#entries.set(key, { value, size })
    this.#size += size
    for (const eldest of this.#entries.keys()) {
      if (this.#size <= this.#maxSize && this.#entries.size <= this.#maxEntries) return
      this.#delete(eldest)
    }
  }

  /** The first value that satisfies the condition. It does not count as used. */
  find(condition: (value: V) => boolean): V | undefined {
    for (const { value } of this.#entries.values()) if (condition(value)) return value
    return undefined
  }

  clear(): void {
    this.#entries.clear()
    this.#size = 0
  }

  #delete(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#size -= entry.size
    this.#entries.delete(key)
  }
}
