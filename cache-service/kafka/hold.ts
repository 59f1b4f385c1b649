import { backoffMs } from '../core/backoff.ts'
import { sleep } from '../lifecycle/sleep.ts'
import type { ServiceError } from '../../shared/errors.ts'

/** A handler that has retried for longer pauses the consumption instead: heartbeats are then KafkaJS's own. */
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
  /** Rejects as long as the operation that failed would fail again. */
  readonly probe: (failure: ServiceError) => Promise<void>
}

export type HoldState =
  | { readonly kind: 'open' }
  | {
      readonly kind: 'holding' | 'paused'
      readonly sinceMs: number
      /** Counted from `open` on, over all partitions and pauses, so that the backoff keeps growing. */
      readonly attempt: number
      readonly failure: ServiceError
    }

/**
 * What keeps chunks from being applied, and for how long it has. One for all partitions, as a state machine:
 *
 * open → holding     A chunk failed. Its handler backs off and tries the same chunk again, with heartbeats.
 * holding → paused   That took too long. The whole topic is paused (also partitions that are assigned later),
 *                    handlers return without having resolved anything, and a probe is repeated until it succeeds.
 * paused → holding   The probe succeeded and consumption is resumed; or the consumer has ended, and the next one
 *                    has to find out for itself.
 * holding → open     A chunk became durable.
 */
export class Hold {
  readonly #dependencies: HoldDependencies
  #state: HoldState = { kind: 'open' }

  constructor(dependencies: HoldDependencies) {
    this.#dependencies = dependencies
  }

  get kind(): HoldState['kind'] {
    return this.#state.kind
  }

  /** Why nothing is being applied; undefined when open. */
  get reason(): string | undefined {
    return this.#state.kind === 'open' ? undefined : reasonOf(this.#state.failure)
  }

  failed(partition: number, failure: ServiceError): void {
    const { telemetry, now } = this.#dependencies
    const state = this.#state
    this.#state =
      state.kind === 'open'
        ? { kind: 'holding', sinceMs: now(), attempt: 1, failure }
        : { ...state, attempt: state.attempt + 1, failure }
    telemetry.held(partition, failure, this.#state.attempt)
  }

  /** Waits before the next attempt, but never so long that heartbeats or a rebalance would have to wait, too. */
  backOff(stop: AbortSignal): Promise<void> {
    const longestMs = LONGEST_HOLD_IN_HANDLER_MS / 4
    return sleep(Math.min(longestMs, this.#backoffMs()), stop)
  }

  /** Has a handler that began at `sinceMs` retried for so long that the topic must be paused? */
  isTooLong(sinceMs: number): boolean {
    return this.#dependencies.now() - sinceMs >= LONGEST_HOLD_IN_HANDLER_MS
  }

  succeeded(): void {
    if (this.#state.kind !== 'holding') return
    const heldMs = this.#dependencies.now() - this.#state.sinceMs
    this.#state = { kind: 'open' }
    this.#dependencies.telemetry.resumed(heldMs)
  }

  /** Pauses, and repeats the probe until it succeeds or `stop` aborts. Does nothing unless holding. */
  async pauseUntilProbeSucceeds(pause: () => void, resume: () => void, stop: AbortSignal): Promise<void> {
    if (this.#state.kind !== 'holding') return
    const { failure } = this.#state
    this.#state = { ...this.#state, kind: 'paused' }
    this.#dependencies.telemetry.paused(reasonOf(failure))
    pause()
    while (!stop.aborted) {
      await sleep(this.#backoffMs(), stop)
      if (stop.aborted) break
      try {
        await this.#dependencies.probe(failure)
        break
      } catch {
        this.#state = { ...this.#state, attempt: this.#state.attempt + 1 }
      }
    }
    this.#state = { ...this.#state, kind: 'holding' }
    // A consumer that has ended meanwhile took the pause with it.
    if (!stop.aborted) resume()
  }

  #backoffMs(): number {
    const attempt = this.#state.kind === 'open' ? 0 : this.#state.attempt
    return backoffMs(attempt, this.#dependencies.random())
  }
}

function reasonOf({ side, code, message }: ServiceError): string {
  return `${side} ${code}: ${message}`
}
