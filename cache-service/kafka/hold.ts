import { backoffMs } from '../core/backoff.ts'
import { sleep } from '../lifecycle/sleep.ts'
import type { ServiceError } from '../../shared/errors.ts'

/** Longer than this in one handler, and the consumption is paused instead: its heartbeats are not ours then. */
const LONGEST_HOLD_IN_HANDLER_MS = 8_000

export type HoldTelemetry = {
  held(partition: number, error: ServiceError, attempt: number): void
  paused(reason: string): void
  resumed(heldMs: number): void
}

export type HoldDependencies = {
  readonly telemetry: HoldTelemetry
  readonly now: () => number
  readonly random: () => number
  /** Rejects as long as what failed would fail again. */
  readonly probe: (failure: ServiceError) => Promise<void>
}

/**
 * What stands in the way of applying, and how long it has.
 *
 * open → holding: a chunk failed. Its handler backs off and tries the same chunk again, heartbeating.
 * holding → paused: that lasted too long. The whole topic is paused (partitions gained later, too), handlers
 *   return with nothing resolved, and a probe is tried until it succeeds.
 * paused → holding: the probe succeeded, consumption goes on; the next chunk that becomes durable opens.
 * holding → open: a chunk became durable.
 *
 * Attempts count over the whole of it, so that the backoff keeps growing.
 */
export class Hold {
  readonly #dependencies: HoldDependencies
  #state: 'open' | 'holding' | 'paused' = 'open'
  #attempt = 0
  #sinceMs = 0
  #failure: ServiceError | undefined

  constructor(dependencies: HoldDependencies) {
    this.#dependencies = dependencies
  }

  get isPaused(): boolean {
    return this.#state === 'paused'
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Why nothing is applied at present; undefined when open. */
  get reason(): string | undefined {
    if (this.#failure === undefined) return undefined
    const { side, code, message } = this.#failure
    return `${side} ${code}: ${message}`
  }

  failed(partition: number, error: ServiceError): void {
    const { telemetry, now } = this.#dependencies
    if (this.#state === 'open') {
      this.#state = 'holding'
      this.#sinceMs = now()
      this.#attempt = 0
    }
    this.#attempt++
    this.#failure = error
    telemetry.held(partition, error, this.#attempt)
  }

  backOff(stop: AbortSignal): Promise<void> {
    // Within a handler there must be room for heartbeats, and for a rebalance to be noticed.
    const longest = LONGEST_HOLD_IN_HANDLER_MS / 4
    return sleep(Math.min(longest, backoffMs(this.#attempt, this.#dependencies.random())), stop)
  }

  /** Has it lasted so long since `sinceMs` that the topic must be paused? */
  isTooLong(sinceMs: number): boolean {
    return this.#dependencies.now() - sinceMs >= LONGEST_HOLD_IN_HANDLER_MS
  }

  succeeded(): void {
    if (this.#state !== 'holding') return
    this.#dependencies.telemetry.resumed(this.#dependencies.now() - this.#sinceMs)
    this.#state = 'open'
    this.#failure = undefined
  }

  /** Pauses, and probes until it succeeds or we stop. Called again while paused it does nothing. */
  async pauseUntilProbeSucceeds(pause: () => void, resume: () => void, stop: AbortSignal): Promise<void> {
    const { telemetry, probe, random } = this.#dependencies
    const failure = this.#failure
    if (this.#state !== 'holding' || failure === undefined) return
    this.#state = 'paused'
    telemetry.paused(this.reason ?? '')
    pause()
    while (!stop.aborted) {
      await sleep(backoffMs(this.#attempt, random()), stop)
      if (stop.aborted) break
      try {
        await probe(failure)
        break
      } catch {
        this.#attempt++
      }
    }
    // A consumer that ended meanwhile has forgotten the pause: the next one tries for itself.
    this.#state = 'holding'
    if (!stop.aborted) resume()
  }
}
