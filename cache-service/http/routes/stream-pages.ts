import { eventBody } from '../../core/events/event-frames.ts'
import type { EventFilter } from '../../core/events/event-filter.ts'
import { compareEntryIds, type EntryId, type StreamName } from '../../core/events/event-position.ts'
import type { EntryPage, StreamEntry } from '../../core/events/stream-entry.ts'
import { BoundedCache } from '../../core/bounded-cache.ts'

/** At most `count` entries after `after`, up to `upTo`. Resolves with undefined if `after` is no longer in the stream. */
export type ReadEntries = (
  stream: StreamName,
  after: EntryId,
  upTo: EntryId,
  count: number,
) => Promise<EntryPage | undefined>

/** An entry that several clients receive. */
export type SharedEntry = {
  readonly stream: StreamName
  readonly id: EntryId
  /** The event without its id; undefined if the filter excludes it. */
  readonly body: (filter: EventFilter) => string | undefined
}

/** All entries after a position, up to and including `next`. */
export type Slice = { readonly entries: readonly SharedEntry[]; readonly next: EntryId }

type Page = Slice & { readonly stream: StreamName; readonly from: EntryId }

/** An update has up to 64 KiB. */
const ENTRIES_PER_PAGE = 64
/** An estimate: a page is kept as strings and their arrays. */
const MAX_CACHED_BYTES = 24 * 1024 * 1024
const MAX_CACHED_PAGES = 256
const BYTES_PER_ID = 48

/**
 * Pages of the event streams, read from Redis once for all clients that need them at about the same time. A client whose
 * position lies within a page gets the rest of that page, so that from the next page on it shares with the others.
 */
export class StreamPages {
  readonly #readEntries: ReadEntries
  readonly #pages = new BoundedCache<Page>(MAX_CACHED_BYTES, MAX_CACHED_PAGES)
  readonly #reading = new Map<string, Promise<Page | undefined>>()
  #generation = 0

  constructor(readEntries: ReadEntries) {
    this.#readEntries = readEntries
  }

  /** Changes when everything that was read before has become doubtful. */
  get generation(): number {
    return this.#generation
  }

  /** Resolves with undefined if `after` is no longer in the stream. @param after before `upTo`. */
  async slice(stream: StreamName, after: EntryId, upTo: EntryId): Promise<Slice | undefined> {
    const page =
      this.#pages.find((cached) => cached.stream === stream && holds(cached, after)) ??
      (await this.#read(stream, after, upTo))
    if (page === undefined || page.from === after) return page
    return { entries: page.entries.filter(({ id }) => compareEntryIds(id, after) > 0), next: page.next }
  }

  /** Whether the entry is in the stream. */
  async isKnown(stream: StreamName, id: EntryId): Promise<boolean> {
    return (await this.#readEntries(stream, id, id, 1)) !== undefined
  }

  clear(): void {
    this.#generation++
    this.#pages.clear()
    this.#reading.clear()
  }

  async #read(stream: StreamName, after: EntryId, upTo: EntryId): Promise<Page | undefined> {
    const key = `${stream} ${after}`
    const reading = this.#reading.get(key) ?? this.#readPage(key, stream, after, upTo)
    this.#reading.set(key, reading)
    try {
      return await reading
    } finally {
      if (this.#reading.get(key) === reading) this.#reading.delete(key)
    }
  }

  async #readPage(key: string, stream: StreamName, from: EntryId, upTo: EntryId): Promise<Page | undefined> {
    const generation = this.#generation
    const found = await this.#readEntries(stream, from, upTo, ENTRIES_PER_PAGE)
    if (found === undefined) return undefined
    const entries = found.entries.map((entry) => createSharedEntry(stream, entry))
    // Nothing is left up to there, for example because someone has deleted entries.
    const next = found.next === from ? upTo : found.next
    const page = { stream, from, entries, next }
    const size = found.entries.reduce((sum, entry) => sum + estimatedBytes(entry), 0)
    if (generation === this.#generation) this.#pages.set(key, page, size)
    return page
  }
}

/** Whether the page has everything from this position up to the end of the page. */
function holds({ entries, from, next }: Page, position: EntryId): boolean {
  if (position === from) return true
  if (compareEntryIds(position, from) < 0 || compareEntryIds(position, next) >= 0) return false
  return entries.some(({ id }) => id === position)
}

function createSharedEntry(stream: StreamName, entry: StreamEntry): SharedEntry {
  let whole: string | undefined
  return {
    stream,
    id: entry.id,
    body(filter) {
      // For a filter without names all bodies are equal, and rendering 250 ids for each client would take long.
      if (filter.deviceIds !== undefined || filter.updateTypes !== undefined)
        return eventBody({ stream, entry }, filter)
      return (whole ??= eventBody({ stream, entry }, filter))
    },
  }
}

function estimatedBytes(entry: StreamEntry): number {
  switch (entry.kind) {
    case 'update':
      return 4 * entry.json.length
    case 'changed':
    case 'deleted':
      return entry.deviceIds.reduce((sum, id) => sum + BYTES_PER_ID + 4 * id.length, 0)
    case 'gap':
      return BYTES_PER_ID
  }
}
