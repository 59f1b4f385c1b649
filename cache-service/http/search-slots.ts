import type { Socket } from 'node:net'
import { linkAbort } from '../../shared/abort.ts'
import { ProblemError } from './problem.ts'

export type SearchSlot = {
  /** Aborts when the caller has disconnected, or the server closes. */
  readonly signal: AbortSignal
  /** For a search whose result is complete: the slot is not held for as long as its caller takes to read it. */
  release(): void
  /** Yields what `parts` does, and notes how long the caller has read nothing of it. */
  watch<Part>(parts: AsyncIterable<Part>): AsyncGenerator<Part, void>
}

export type SearchSlots = {
  /**
   * Takes a slot until it is released, or the caller has disconnected.
   * @throws ProblemError if all slots are taken.
   */
  take(response: {
    readonly socket: Socket | null
    once(event: 'close', listener: () => void): unknown
  }): SearchSlot
}

type Holder = { readonly socket: Socket | null; waitingSinceMs: number | undefined }

/** A caller that has read nothing for this long loses its slot to one that needs it. */
const STALL_MS = 10_000

/** Limits concurrent searches; further ones are rejected, unless a slot is held by a caller that does not read. */
export function createSearchSlots(
  count: number,
  {
    closing,
    monotonicNow,
    stalled,
  }: {
    readonly closing: AbortSignal
    readonly monotonicNow: () => number
    /** Must close the connection. */
    readonly stalled: (socket: Socket) => void
  },
): SearchSlots {
  const holders = new Set<Holder>()

  function takeFromStalled(): void {
    const since = ({ waitingSinceMs = Infinity }: Holder) => waitingSinceMs
    const [longest] = [...holders].toSorted((a, b) => since(a) - since(b))
    if (longest === undefined || monotonicNow() - since(longest) < STALL_MS) {
      throw new ProblemError('too_many_searches')
    }
    holders.delete(longest)
    if (longest.socket !== null) stalled(longest.socket)
  }

  return {
    take(response) {
      if (holders.size >= count) takeFromStalled()
      const holder: Holder = { socket: response.socket, waitingSinceMs: undefined }
      holders.add(holder)
      const link = linkAbort(closing)
      const release = () => void holders.delete(holder)
      response.once('close', () => {
        release()
        link.abort(searchEnded('The caller has disconnected.'))
        link.release()
      })
      return {
        signal: link.signal,
        release,
        async *watch(parts) {
          for await (const part of parts) {
            holder.waitingSinceMs = monotonicNow()
            yield part
            holder.waitingSinceMs = undefined
          }
          holder.waitingSinceMs = monotonicNow()
        },
      }
    },
  }
}

/** Not an error of ours, which would be logged. */
export function searchEnded(detail: string): ProblemError {
  return new ProblemError('overloaded', { detail })
}
