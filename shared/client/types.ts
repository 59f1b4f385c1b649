import type { ApiProblem, Device, SortField } from '../contract/api-types.ts'
import type { DeviceCacheError } from './errors.ts'
import type { EventStreamName, WatchConnection } from './event-stream.ts'
import type { NearCacheOptions } from './near-cache.ts'

export type { Device, SortField, EventStreamName, NearCacheOptions, WatchConnection }
export type { WatchEvent } from './event-stream.ts'

export type DeviceCacheClientOptions = {
  /** URL of the API, such as `http://cache:5011`. A path prefix before `/api` is kept. */
  readonly baseUrl: string | URL
  /**
   * For an API that requires a token (scope `read`; `write` for `remove`). A function is called before each request, and
   * once more if the API refuses the token, as it may have expired; the call fails with a TokenError if the function does.
   * Default: none.
   */
  readonly token?: string | (() => string | undefined | Promise<string | undefined>) | undefined
  /** Milliseconds for one attempt, including the function `token` and the whole response. Default: 5000. */
  readonly timeoutMs?: number | undefined
  /** Maximum number of retries after a transient error. Default: 3. */
  readonly retries?: number | undefined
  /**
   * Longest Retry-After, in milliseconds, that a call waits for. Beyond it, the call fails immediately, and
   * `retryAfterMs` of the error has the value. Default: 10000.
   */
  readonly longestRetryAfterMs?: number | undefined
  /** Maximum number of pending lookup requests; meanwhile further ids are collected for the next one. Default: 4. */
  readonly maxConcurrency?: number | undefined
  /**
   * Caches devices in this process, and follows the API's events to learn of changes. `true`: 10,000 devices, which are
   * read again after a minute, and returned for 5 more minutes while the API is unavailable. Default: no near cache.
   */
  readonly nearCache?: boolean | NearCacheOptions | undefined
  /**
   * Milliseconds without data after which an event stream reconnects; the API sends a ping every 15 s. Default: 45000.
   */
  readonly silenceMs?: number | undefined
  /** Replaces the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

export type CallOptions = {
  /** Ends the call immediately, even while it waits for a retry. The call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

export type LookupResult = {
  /** The devices by id. */
  readonly found: ReadonlyMap<string, Device>
  /** The ids without a device. */
  readonly missing: readonly string[]
  /** By id: invalid ids, devices whose data another program has corrupted, and those that the API can't read now. */
  readonly errors: ReadonlyMap<string, DeviceCacheError>
  /** False while the cache is being rebuilt, when a missing device may still exist, or if some devices can't be read now. */
  readonly complete: boolean
}

export type ListOptions = CallOptions & {
  /** Only devices whose ids begin with this text (not a pattern). */
  readonly match?: string | undefined
  /** Number of devices per request, from 1 to 1000. Default: 1000. */
  readonly pageSize?: number | undefined
}

export type DevicePage = {
  readonly devices: readonly Device[]
  /** By id: devices whose data another program has corrupted. */
  readonly errors: ReadonlyMap<string, ApiProblem>
}

export type SearchOptions = ListOptions & {
  /** Only devices whose ids contain this text, in upper or lower case. */
  readonly contains?: string | undefined
  /** Only devices with this `datatype_name` or `datatype_id`; empty: with neither. */
  readonly type?: string | undefined
  /** Only devices with this unit, also as a member of a list; empty: without a unit. */
  readonly unit?: string | undefined
  /** Only devices whose `last_updated` is at least this many seconds before the search, or absent. A whole number. */
  readonly silentForS?: number | undefined
  /** Only devices whose `last_updated` is before this time, or absent. A text, such as a `last_updated`, has microseconds. */
  readonly updatedBefore?: Date | string | undefined
  /** Only devices whose `last_updated` is after this time. */
  readonly updatedAfter?: Date | string | undefined
  /** In descending order with `-` before it. Default: `device_id`. */
  readonly sort?: SortField | `-${SortField}` | undefined
}

export type SearchPage = DevicePage & {
  /** Number of devices found, on all pages together. */
  readonly total: number
  /** Number of devices on the pages before this one. */
  readonly offset: number
  /** When the API read the devices; those of the page are newer. */
  readonly asOf: Date
  /** The cache holds more devices than a search covers: further ones may match. */
  readonly truncated: boolean
}

export type WatchOptions = CallOptions & {
  /** Which event streams to watch. Default: both. */
  readonly events?: readonly EventStreamName[] | undefined
  /** Only events of these devices; at most 100. Default: all. */
  readonly devices?: readonly string[] | undefined
  /** Only updates of these types; at most 100. Default: all. */
  readonly updateTypes?: readonly string[] | undefined
  /** Resumes after this event: the `id` of the last handled event, or `lastEventId` of `state()`. Default: from now on. */
  readonly lastEventId?: string | undefined
  /** Called when the connection is established or lost. */
  readonly onConnection?: ((connection: WatchConnection) => void) | undefined
}

export type StateSnapshot = {
  /** By type; usually `{updated, valid, values}`. */
  readonly values: ReadonlyMap<string, unknown>
  /** `watch({ lastEventId })` continues from here without missing a newer event. */
  readonly lastEventId: string
}

export type ClientStats = {
  /** HTTP requests sent, including those of `watch` and retries. */
  readonly requests: number
  readonly retries: number
  /** Ids of `get` and `lookup` that the near cache answered; `staleHits`: because the request had failed. */
  readonly nearHits: number
  readonly staleHits: number
  /** Number of devices in the near cache. */
  readonly nearSize: number
}
