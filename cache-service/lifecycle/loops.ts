import type { Service } from './service.ts'
import { sleep } from './sleep.ts'

/** A loop that has not turned for its interval plus this long is taken for dead. */
const GRACE_MS = 60_000

/** Knows when each of our own loops last turned: `/livez`. Never a dependency's health. */
export class LoopMonitor {
  readonly #loops = new Map<string, { everyMs: number; lastTurnMs: number }>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  turned(name: string, everyMs: number): void {
    this.#loops.set(name, { everyMs, lastTurnMs: this.#now() })
  }

  ended(name: string): void {
    this.#loops.delete(name)
  }

  /** The names of loops that no longer turn. */
  stuck(): string[] {
    const now = this.#now()
    return [...this.#loops]
      .filter(([, loop]) => now - loop.lastTurnMs > loop.everyMs + GRACE_MS)
      .map(([name]) => name)
  }
}

export type LoopOptions = {
  readonly name: string
  readonly everyMs: number
  /** Default 0: at once. */
  readonly firstAfterMs?: number
  readonly monitor: LoopMonitor
  /** One turn, which is over before the next begins. What it throws goes to `failed`. */
  readonly turn: (stop: AbortSignal) => Promise<void>
  /** The loop goes on, unless this throws in its turn: then the service fails. */
  readonly failed: (error: unknown) => void
}

/** A service that does one thing again and again. */
export function createLoop({ name, everyMs, firstAfterMs = 0, monitor, turn, failed }: LoopOptions): Service {
  return {
    name,
    async run(stop) {
      monitor.turned(name, firstAfterMs)
      if (firstAfterMs > 0) await sleep(firstAfterMs, stop)
      while (!stop.aborted) {
        monitor.turned(name, everyMs)
        try {
          await turn(stop)
        } catch (error) {
          if (!stop.aborted) failed(error)
        }
        await sleep(everyMs, stop)
      }
      monitor.ended(name)
    },
  }
}
