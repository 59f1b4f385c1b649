import type { ServerResponse } from 'node:http'
import type { EventFilter } from '../../core/events/event-filter.ts'
import type { EventPosition } from '../../core/events/event-position.ts'

/** Where a client is in the event streams (see EventHub). */
export type ClientPhase =
  /** Redis has not been reached yet. `from`: the position that the client has sent, if it has sent one. */
  | { readonly kind: 'waiting'; readonly from: EventPosition | 'unknown' | undefined }
  /** It has everything up to `at`. `isVerified`: what follows `at` is known to be in the streams, or to have been. */
  | { readonly kind: 'catching_up'; readonly at: EventPosition; readonly isVerified: boolean }
  /** `ahead`: events that it has seen through another api but that we have not followed yet: they are not sent again. */
  | { readonly kind: 'live'; readonly ahead: EventPosition | undefined }

const LONGEST_END_MS = 500

/**
 * The connection of one client. It knows how much of what was written the client has not taken yet, so that everything
 * after the head of the response must be written through it.
 */
export class EventClient {
  readonly filter: EventFilter
  /** False when its token has been revoked or has expired. */
  readonly isAllowed: () => boolean
  phase: ClientPhase
  readonly #response: ServerResponse
  readonly #monotonicNow: () => number
  /** The last time at which the client took something, or at which nothing waited for it. */
  #progressMs: number
  readonly #closed: () => void
  #isOpen = true
  #wake: (() => void) | undefined

  /** @param closed called once, when the connection ends for whatever reason. */
  constructor(
    response: ServerResponse,
    facts: Pick<EventClient, 'filter' | 'isAllowed' | 'phase'>,
    monotonicNow: () => number,
    closed: () => void,
  ) {
    this.filter = facts.filter
    this.isAllowed = facts.isAllowed
    this.phase = facts.phase
    this.#response = response
    this.#monotonicNow = monotonicNow
    this.#progressMs = monotonicNow()
    this.#closed = closed
    const onClosed = () => this.#leave()
    response.once('close', onClosed).on('error', onClosed)
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Bytes that wait in this process until the client reads. */
  get unsentBytes(): number {
    return this.#response.writableLength
  }

  /** How long the client has not taken any of what waits for it. */
  get stalledMs(): number {
    return this.unsentBytes === 0 ? 0 : this.#monotonicNow() - this.#progressMs
  }

  write(bytes: Uint8Array | string): void {
    if (!this.#isOpen) return
    if (this.unsentBytes === 0) this.#progressMs = this.#monotonicNow()
    this.#response.write(bytes, () => {
      this.#progressMs = this.#monotonicNow()
      if (this.unsentBytes === 0) this.#wake?.()
    })
  }

  /** Resolves when nothing waits for the client any more, or it has gone. At most one caller at a time. */
  async drained(): Promise<void> {
    if (this.#isOpen && this.unsentBytes > 0) await this.#woken()
  }

  /** Resolves after this time, or when the client has gone. At most one caller at a time. */
  async pause(ms: number): Promise<void> {
    if (!this.#isOpen) return
    const timer = setTimeout(() => this.#wake?.(), ms)
    await this.#woken()
    clearTimeout(timer)
  }

  destroy(): void {
    this.#leave()
    this.#response.destroy()
  }

  /** Ends the stream after what was written. */
  end(): void {
    this.#leave()
    this.#response.end()
    // A client that does not read would delay our shutdown.
    setTimeout(() => this.#response.destroy(), LONGEST_END_MS).unref()
  }

  #leave(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#wake?.()
    this.#closed()
  }

  async #woken(): Promise<void> {
    await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#wake = undefined
  }
}
