import timersPromises from 'node:timers/promises'
import { syncBuiltinESMExports } from 'node:module'
import type { SeededRandom } from '../simulator/seeded-random.ts'

/** Which simulated process an event belongs to; undefined: a server, or the world itself. */
export type Owner = string | undefined

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
  #owner: Owner
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

  /** @returns cancels the event. */
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
    return owner !== undefined && this.#killed.has(owner)
  }

  /** Lets events happen until the time has come. */
  async runFor(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    for (;;) {
      const next = this.#heap[0]
      if (next === undefined || next.atMs > untilMs) break
      this.#pop()
      if (next.isCancelled || this.isKilled(next.owner)) continue
      const frozenUntilMs = next.owner === undefined ? 0 : (this.#frozenUntilMs.get(next.owner) ?? 0)
      if (frozenUntilMs > next.atMs) {
        next.atMs = frozenUntilMs
        this.#push(next)
        continue
      }
      this.#nowMs = next.atMs
      this.#owner = next.owner
      this.events++
      next.run()
      await new Promise((resolve) => realSetImmediate(resolve))
      this.#owner = undefined
    }
    this.#nowMs = untilMs
  }

  /** Makes the timers of this process those of the scheduler. @returns restores them. */
  install(): () => void {
    const before = {
      delay: timersPromises.setTimeout,
      setTimeout: globalThis.setTimeout,
      clearTimeout: globalThis.clearTimeout,
      setImmediate: globalThis.setImmediate,
    }
    const delay = async (ms = 0, value?: unknown, { signal }: { signal?: AbortSignal } = {}) =>
      await new Promise((resolve, reject) => {
        const cancel = this.after(ms, () => {
          signal?.removeEventListener('abort', abort)
          resolve(value)
        })
        const abort = () => {
          cancel()
          reject(signal?.reason)
        }
        if (signal?.aborted === true) abort()
        else signal?.addEventListener('abort', abort, { once: true })
      })
    const cancels = new Map<object, () => void>()
    const set = (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
      const handle = { unref: () => handle, ref: () => handle }
      cancels.set(
        handle,
        this.after(ms, () => run(...args)),
      )
      return handle
    }
    Object.assign(timersPromises, { setTimeout: delay })
    syncBuiltinESMExports()
    Object.assign(globalThis, {
      setTimeout: set,
      clearTimeout: (handle: object | undefined) => handle && cancels.get(handle)?.(),
      setImmediate: (run: (...args: unknown[]) => void, ...args: unknown[]) => set(run, 0, ...args),
    })
    return () => {
      const { delay: promised, ...globals } = before
      Object.assign(timersPromises, { setTimeout: promised })
      syncBuiltinESMExports()
      Object.assign(globalThis, globals)
    }
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
