/**
 * Bytes in memory that wait for someone else, such as responses that their clients have not read. Their sum is bounded:
 * beyond it, those that have waited for longest are given up. The newest one may exceed the bound alone.
 */
export class HeldBytes<Holder> {
  readonly #maximum: number
  readonly #giveUp: (holder: Holder) => void
  readonly #held = new Map<Holder, number>()
  #bytes = 0

  constructor(maximum: number, giveUp: (holder: Holder) => void) {
    this.#maximum = maximum
    this.#giveUp = giveUp
  }

  /** Adds to what the holder has; how long it has waited counts from the first time. */
  add(holder: Holder, bytes: number): void {
    this.#held.set(holder, (this.#held.get(holder) ?? 0) + bytes)
    this.#bytes += bytes
    for (const oldest of this.#held.keys()) {
      if (this.#bytes <= this.#maximum || oldest === holder) return
      this.remove(oldest)
      this.#giveUp(oldest)
    }
  }

  remove(holder: Holder): void {
    this.#bytes -= this.#held.get(holder) ?? 0
    this.#held.delete(holder)
  }

  get oldest(): Holder | undefined {
    const [oldest] = this.#held.keys()
    return oldest
  }
}
