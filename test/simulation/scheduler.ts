import type { SeededRandom } from '../simulator/seeded-random.ts'

/** Which simulated process an event belongs to; null: a server, or the world itself. */
export type Owner = string | null

type Event = {
  atMs: number
  /** When it would have happened if its process had not been frozen. */
  readonly dueMs: number
  /** Events of the same moment happen in the order of these random numbers. */
  readonly tie: number
  readonly owner: Owner
  readonly run: () => void
  isCancelled: boolean
}

const realSetImmediate = setImmediate

/**
 * Simulated time. Everything that happens is an event with a time, and what an event starts (promises included) runs to its
 * end before the next event. The order of events depends on nothing but the seed, so a seed repeats a run exactly.
 *
 * Timers that the code under test sets belong to the simulated process whose event is running. A process can be frozen,
 * which delays its events, and killed, which drops them.
 */
export class Scheduler {
  readonly #random: SeededRandom
  readonly #heap: Event[] = []
  readonly #frozenUntilMs = new Map<string, number>()
  readonly #killed = new Set<string>()
  #nowMs: number
  #owner: Owner = null
  /** Events that have happened. */
  events = 0

  constructor(random: SeededRandom, startMs: number) {
    this.#random = random
    this.#nowMs = startMs
  }

  get nowMs(): number {
    return this.#nowMs
  }

  get owner(): Owner {
    return this.#owner
  }

  /** @param owner that of the current event, unless given. @returns cancels the event. */
  after(ms: number, run: () => void, owner: Owner = this.#owner): () => void {
    const tie = this.#random.fraction()
    const atMs = this.#nowMs + Math.max(0, ms)
    const event: Event = { atMs, dueMs: atMs, tie, owner, run, isCancelled: false }
    this.#push(event)
    return () => (event.isCancelled = true)
  }

  /** Runs what a process starts as its own. */
  as(owner: Owner, run: () => void): void {
    this.after(0, run, owner)
  }

  freeze(owner: string, ms: number): void {
    this.#frozenUntilMs.set(owner, Math.max(this.#frozenUntilMs.get(owner) ?? 0, this.#nowMs + ms))
  }

  kill(owner: string): void {
    this.#killed.add(owner)
  }

  isKilled(owner: Owner): boolean {
    return owner !== null && this.#killed.has(owner)
  }

  /** Lets events happen until the time has come. */
  async runFor(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    while ((this.#heap[0]?.atMs ?? Infinity) <= untilMs) await this.#turn(untilMs)
    this.#owner = null
    this.#nowMs = untilMs
  }

  /** Resolves when nothing happens any more without another event. */
  settled(): Promise<void> {
    return new Promise((resolve) => void realSetImmediate(resolve))
  }

  /**
   * As many events as there are now. Each is an immediate of its own, and what it starts has run to its end before the next
   * one: Node.js empties the queues of promises between two immediates. One turn of its loop per event would cost several
   * times as much.
   */
  #turn(untilMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const next = () => {
        try {
          this.#runNext(untilMs)
        } catch (error) {
          reject(error)
        }
      }
      for (let events = this.#heap.length; events > 0; events--) realSetImmediate(next)
      realSetImmediate(resolve)
    })
  }

  #runNext(untilMs: number): void {
    const next = this.#heap[0]
    if (next === undefined || next.atMs > untilMs) return
    this.#pop()
    if (next.isCancelled || this.isKilled(next.owner)) return
    const frozenUntilMs = next.owner === null ? 0 : (this.#frozenUntilMs.get(next.owner) ?? 0)
    if (frozenUntilMs > next.atMs) {
      next.atMs = frozenUntilMs
      this.#push(next)
      return
    }
    this.#nowMs = next.atMs
    this.#owner = next.owner
    this.events++
    next.run()
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (above === undefined || isBefore(above, event)) break
      heap[at] = above
      at = parent
    }
    heap[at] = event
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      const right = left + 1
      const [a, b] = [heap[left], heap[right]]
      if (a === undefined) break
      const isRight = b !== undefined && isBefore(b, a)
      const smaller = isRight ? b : a
      if (!isBefore(smaller, last)) break
      heap[at] = smaller
      at = isRight ? right : left
    }
    heap[at] = last
  }
}

function isBefore(a: Event, b: Event): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.tie < b.tie)
}
