import type { Service } from './service.ts'
import { aborted, settledWithin, sleep } from './sleep.ts'

/** A loop that has not started a new turn for its interval plus this long is considered stuck. */
const GRACE_MS = 60_000
/** A turn that waits for a server which does not answer must not keep the process from stopping in time. */
const LONGEST_LAST_TURN_MS = 5_000

/** Records when each of our own loops last started a turn, for `/livez`. Knows nothing about dependencies. */
export class LoopMonitor {
  readonly #loops = new Map<string, { everyMs: number; lastTurnMs: number }>()
  readonly #monotonicNow: () => number

  constructor(monotonicNow: () => number) {
    this.#monotonicNow = monotonicNow
  }

  turned(name: string, everyMs: number): void {
    this.#loops.set(name, { everyMs, lastTurnMs: this.#monotonicNow() })
  }

  ended(name: string): void {
    this.#loops.delete(name)
  }

  /** The names of the stuck loops. */
  stuck(): string[] {
    const now = this.#monotonicNow()
    return [...this.#loops]
      .filter(([, loop]) => now - loop.lastTurnMs > loop.everyMs + GRACE_MS)
      .map(([name]) => name)
  }
}

export type LoopOptions = {
  readonly name: string
  readonly everyMs: number
  /** Delay before the first turn. Default: 0. */
  readonly firstAfterMs?: number
  readonly monitor: LoopMonitor
  /** One turn of the loop; turns never overlap. Its errors are passed to `failed`. */
  readonly turn: (stop: AbortSignal) => Promise<void>
  /** The loop continues after this, unless this throws: then the service fails. */
  readonly failed: (error: unknown) => void
}

/**
 * A service that runs `turn` repeatedly, `everyMs` after the previous turn ended. When it is stopped during a turn, it waits
 * for its end, but not for long.
 */
export function createLoop({ name, everyMs, firstAfterMs = 0, monitor, turn, failed }: LoopOptions): Service {
  async function loop(stop: AbortSignal): Promise<void> {
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
  }

  return {
    name,
    async run(stop) {
      const looping = loop(stop)
      const overdue = aborted(stop).then(() => settledWithin(looping, LONGEST_LAST_TURN_MS))
      await Promise.race([looping, overdue])
      monitor.ended(name)
    },
  }
}
