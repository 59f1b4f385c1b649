import type { WatchEvent } from '../../../shared/client/types.ts'

/** More than this is not kept for an output that takes nothing. */
const LONGEST_QUEUE = 10_000

/** Between those who receive events and the one who prints them. */
export class EventQueue implements AsyncIterable<WatchEvent> {
  #events: WatchEvent[] = []
  #wake: () => void = () => undefined
  #failure: { readonly error: unknown } | undefined
  #hasEnded = false

  push(event: WatchEvent): void {
    if (this.#events.length >= LONGEST_QUEUE) {
      const { id } = event
      this.#events = [{ kind: 'reset', id, streams: ['update', 'device'], reason: 'slow_reader' }]
    }
    this.#events.push(event)
    this.#wake()
  }

  /** @param failure undefined: it ends well. */
  end(failure?: { readonly error: unknown }): void {
    this.#hasEnded = true
    this.#failure = failure
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchEvent> {
    while (true) {
      const events = this.#events
      this.#events = []
      yield* events
      if (this.#events.length > 0) continue
      if (this.#failure !== undefined) throw this.#failure.error
      if (this.#hasEnded) return
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}
