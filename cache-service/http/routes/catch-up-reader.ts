import { positionedFrame } from '../../core/events/event-frames.ts'
import type { EventFilter } from '../../core/events/event-filter.ts'
import {
  compareEntryIds,
  formatPosition,
  type EntryId,
  type EventPosition,
  type StreamName,
} from '../../core/events/event-position.ts'
import { BoundedCache } from '../../core/bounded-cache.ts'
import { StreamPages, type ReadEntries, type SharedEntry } from './stream-pages.ts'

/** Consecutive events as one client, or many at the same place, receive them. */
export type Chunk = {
  readonly bytes: Buffer
  readonly count: number
  /** The position after the chunk. */
  readonly next: EventPosition
}

export type CatchUpLimits = {
  /** Chunks that are made at the same time. */
  readonly maxConcurrentChunks: number
  /** Bytes of all chunks that wait for clients; a chunk that several clients wait for counts once. */
  readonly maxHeldBytes: number
}

export const CATCH_UP_LIMITS: CatchUpLimits = {
  maxConcurrentChunks: 4,
  maxHeldBytes: 32 * 1024 * 1024,
}

/** A single event may exceed this. */
const CHUNK_BYTES = 64 * 1024
/** Bounds how long the event loop is blocked by events that the filter excludes. */
const PAGES_PER_CHUNK = 4
/** Each of them is written to a connection. */
const CHUNKS_PER_TURN = 32
const MAX_CACHED_CHUNK_BYTES = 16 * 1024 * 1024
const MAX_CACHED_CHUNKS = 1_000

type Making = { readonly chunk: Promise<Chunk | 'gone'>; readonly wantedBy: (() => boolean)[] }

/**
 * Reads the past for clients that are behind, chunk by chunk: a client gets its next chunk when it has taken the one before.
 *
 * Thousands of clients may be behind at once, and most of them at the same place: after a restart of the API they all resume
 * from about the same event. Clients at the same place with the same filter share a chunk, and chunks of other filters
 * share the pages that they are made of. Both are kept for a while. The number of chunks that are being made and the
 * bytes that clients have not taken yet are bounded; further clients wait in the order in which they came.
 */
export class CatchUpReader {
  readonly #pages: StreamPages
  readonly #limits: CatchUpLimits
  readonly #made = new BoundedCache<Chunk>(MAX_CACHED_CHUNK_BYTES, MAX_CACHED_CHUNKS)
  readonly #making = new Map<string, Making>()
  readonly #holders = new Map<Chunk, number>()
  #heldBytes = 0
  #active = 0
  readonly #queue: (() => void)[] = []
  readonly #turns = new Turns(CHUNKS_PER_TURN)

  constructor(read: ReadEntries, limits: CatchUpLimits) {
    this.#pages = new StreamPages(read)
    this.#limits = limits
  }

  /**
   * The events between two positions, or the first of them. Resolves with 'gone' if events after `at` may be missing.
   * `next` is `at` itself if there are none. Rejects if Redis cannot be read.
   * @param isWanted whether the client is still there.
   */
  async read(
    at: EventPosition,
    target: EventPosition,
    filter: EventFilter,
    isWanted: () => boolean,
  ): Promise<Chunk | 'gone'> {
    const key = `${formatPosition(at)} ${filter.key}`
    const chunk = this.#made.get(key) ?? (await this.#joinMaking(key, at, target, filter, isWanted))
    // A chunk that thousands wait for must not be written to all of them in one turn of the event loop.
    await this.#turns.next()
    return chunk
  }

  async #joinMaking(
    key: string,
    at: EventPosition,
    target: EventPosition,
    filter: EventFilter,
    isWanted: () => boolean,
  ): Promise<Chunk | 'gone'> {
    const making = this.#making.get(key) ?? this.#startMaking(key, at, target, filter)
    making.wantedBy.push(isWanted)
    return await making.chunk
  }

  #startMaking(key: string, at: EventPosition, target: EventPosition, filter: EventFilter): Making {
    const wantedBy: (() => boolean)[] = []
    const make = async () => {
      try {
        return await this.#inTurn(() => this.#make(key, at, target, filter), wantedBy)
      } finally {
        if (this.#making.get(key) === making) this.#making.delete(key)
      }
    }
    const making = { chunk: make(), wantedBy }
    this.#making.set(key, making)
    return making
  }

  /** Call when the chunk is written to a client; release it when the client has taken it. */
  hold(chunk: Chunk): void {
    const holders = this.#holders.get(chunk) ?? 0
    this.#holders.set(chunk, holders + 1)
    if (holders === 0) this.#heldBytes += chunk.bytes.length
  }

  release(chunk: Chunk): void {
    const holders = this.#holders.get(chunk) ?? 0
    if (holders > 1) {
      this.#holders.set(chunk, holders - 1)
      return
    }
    if (this.#holders.delete(chunk)) this.#heldBytes -= chunk.bytes.length
    this.#admit()
  }

  /** Forgets everything that was read: Redis has lost it, or may have. */
  clear(): void {
    this.#made.clear()
    this.#making.clear()
    this.#pages.clear()
  }

  async #inTurn<T>(make: () => Promise<T>, wantedBy: readonly (() => boolean)[]): Promise<T> {
    await new Promise<void>((resolve) => {
      this.#queue.push(resolve)
      this.#admit()
    })
    try {
      await this.#turns.next()
      if (!wantedBy.some((isWanted) => isWanted())) throw new Error('no client waits for the chunk any more')
      return await make()
    } finally {
      this.#active--
      this.#admit()
    }
  }

  #admit(): void {
    const { maxConcurrentChunks, maxHeldBytes } = this.#limits
    while (this.#active < maxConcurrentChunks && this.#heldBytes < maxHeldBytes) {
      const admitted = this.#queue.shift()
      if (admitted === undefined) return
      this.#active++
      admitted()
    }
  }

  async #make(
    key: string,
    at: EventPosition,
    target: EventPosition,
    filter: EventFilter,
  ): Promise<Chunk | 'gone'> {
    const { generation } = this.#pages
    let position = at
    let text = ''
    let count = 0
    for (const stream of filter.streams) {
      // It has seen events that we have not followed yet; or it never saw them, and its position is invalid.
      const isAhead = compareEntryIds(at[stream], target[stream]) > 0
      if (isAhead && !(await this.#pages.isKnown(stream, at[stream]))) return 'gone'
    }
    for (let pages = 0; pages < PAGES_PER_CHUNK && text.length < CHUNK_BYTES; pages++) {
      const run = await this.#nextRun(position, target, filter)
      if (run === 'gone') return 'gone'
      if (run === undefined) break
      let isWhole = true
      for (const { stream, id, body } of run.entries) {
        if (text.length >= CHUNK_BYTES) {
          isWhole = false
          break
        }
        position = { ...position, [stream]: id }
        const frame = body(filter)
        if (frame === undefined) continue
        text += positionedFrame(position, frame)
        count++
      }
      if (isWhole) position = run.next
    }
    const chunk = { bytes: Buffer.from(text), count, next: position }
    // Nothing was read: there may be more the next time.
    if (position !== at && generation === this.#pages.generation)
      this.#made.set(key, chunk, chunk.bytes.length)
    return chunk
  }

  /** Entries of both streams in the order of their ids; undefined: there are none up to `target`. */
  async #nextRun(at: EventPosition, target: EventPosition, filter: EventFilter) {
    const slices = []
    for (const stream of filter.streams) {
      if (compareEntryIds(at[stream], target[stream]) >= 0) continue
      const slice = await this.#pages.slice(stream, at[stream], target[stream])
      if (slice === undefined) return 'gone'
      slices.push({ stream, ...slice })
    }
    if (slices.length === 0) return undefined
    // Where one of the slices ends before its stream does, events of the other stream have to wait for its next one.
    let bound: EntryId | undefined
    for (const { stream, next } of slices) {
      if (compareEntryIds(next, target[stream]) >= 0) continue
      if (bound === undefined || compareEntryIds(next, bound) < 0) bound = next
    }
    const run: SharedEntry[] = []
    const next: Record<StreamName, EntryId> = { ...at }
    for (const { stream, entries, next: end } of slices) {
      const isWhole = bound === undefined || compareEntryIds(end, bound) <= 0
      for (const entry of entries) {
        if (bound !== undefined && compareEntryIds(entry.id, bound) > 0) break
        next[stream] = entry.id
        run.push(entry)
      }
      if (isWhole) next[stream] = end
    }
    run.sort((a, b) => compareEntryIds(a.id, b.id))
    return { entries: run, next }
  }
}

/** Spreads work over turns of the event loop, so that other work is done in between. */
class Turns {
  readonly #perTurn: number
  #waiting: (() => void)[] = []

  constructor(perTurn: number) {
    this.#perTurn = perTurn
  }

  async next(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve)
      if (this.#waiting.length === 1) setImmediate(() => this.#turn())
    })
  }

  #turn(): void {
    const due = this.#waiting.slice(0, this.#perTurn)
    this.#waiting = this.#waiting.slice(this.#perTurn)
    for (const resolve of due) resolve()
    if (this.#waiting.length > 0) setImmediate(() => this.#turn())
  }
}
