import type { WatchEvent } from '../../../shared/client/types.ts'

/** Bounds memory while the output is blocked. */
const MAX_QUEUED_EVENTS = 10_000

/** Buffers events between the follower that receives them and the command that prints them. On overflow a reset replaces them. */
export class EventQueue implements AsyncIterable<WatchEvent> {
  #events: WatchEvent[] = []
  #wake: () => void = () => undefined
  #failure: { readonly error: unknown } | undefined
  #hasEnded = false

  push(event: WatchEvent): void {
    if (this.#events.length >= MAX_QUEUED_EVENTS) {
      const { id } = event
      this.#events = [{ kind: 'reset', id, streams: ['update', 'device'], reason: 'slow_reader' }]
    }
    this.#events.push(event)
    this.#wake()
  }

  /** @param failure undefined: the queue ends without an error. */
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
