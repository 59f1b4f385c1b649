import type { ApiProblem, Device } from '../contract/api-schemas.ts'
import type { DeviceCacheError } from './errors.ts'
import type { EventStreamName, WatchConnection } from './event-stream.ts'
import type { NearCacheOptions } from './near-cache.ts'

export type { Device, EventStreamName, NearCacheOptions, WatchConnection }
export type { WatchEvent } from './event-stream.ts'

export type DeviceCacheClientOptions = {
  /** Where the API is, such as `http://cache:5011`; a path before `/api` is kept. */
  readonly baseUrl: string | URL
  /** For APIs that ask for one (scope `read`; `write` for `remove`). A function is asked before each request. */
  readonly token?: string | (() => string | undefined | Promise<string | undefined>) | undefined
  /** For one try, its whole answer included. Default 5000. */
  readonly timeoutMs?: number | undefined
  /** Tries after the first, for failures that may pass. Default 3; 0: none. */
  readonly retries?: number | undefined
  /** A Retry-After beyond this is not waited for: the call fails at once, and says for how long. Default 10000. */
  readonly longestRetryAfterMs?: number | undefined
  /** Lookups under way at a time; while they are, what is asked for gathers. Default 4. */
  readonly maxConcurrency?: number | undefined
  /**
   * Keeps answers in this process, and follows the API's events to know when they change. `true`: 10,000
   * devices, asked for again after a minute, given for 5 minutes more while the API fails. Default: none.
   */
  readonly nearCache?: boolean | Partial<NearCacheOptions> | undefined
  /** A stream of events without a word (the API sends one every 15 s) is connected anew after. Default 45000. */
  readonly silenceMs?: number | undefined
  readonly fetch?: typeof globalThis.fetch | undefined
}

export type CallOptions = {
  /** Ends the call at once, also while it waits to be tried again; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

export type LookupResult = {
  readonly found: ReadonlyMap<string, Device>
  readonly missing: readonly string[]
  /** Of ids that no device can have, and of devices that others have damaged. */
  readonly errors: ReadonlyMap<string, DeviceCacheError>
  /** false: the cache is being filled, and what is missing may yet come. */
  readonly complete: boolean
}

export type ListOptions = CallOptions & {
  /** What the ids begin with, literally. */
  readonly match?: string | undefined
  /** 1 to 1000 (the default): devices asked for at a time. */
  readonly pageSize?: number | undefined
}

export type DevicePage = {
  readonly devices: readonly Device[]
  /** By id: devices that others have damaged. */
  readonly errors: ReadonlyMap<string, ApiProblem>
}

export type WatchOptions = CallOptions & {
  /** Default: both. */
  readonly events?: readonly EventStreamName[] | undefined
  /** Only of these devices; at most 100. */
  readonly devices?: readonly string[] | undefined
  /** Only updates of these types; at most 100. */
  readonly updateTypes?: readonly string[] | undefined
  /** `id` of the last event that was handled, or `lastEventId` of `state()`. Default: from now on. */
  readonly lastEventId?: string | undefined
  readonly onConnection?: ((connection: WatchConnection) => void) | undefined
}

export type StateSnapshot = {
  /** By type: as a rule `{updated, valid, values}`. */
  readonly values: ReadonlyMap<string, unknown>
  /** `watch({ lastEventId })` goes on from here: nothing newer is missed. */
  readonly lastEventId: string
}

export type ClientStats = {
  /** HTTP requests sent, those of `watch` and further tries included. */
  readonly requests: number
  readonly retries: number
  /** `get`s and ids of `lookup`s that the near cache answered; `stale`: because asking failed. */
  readonly nearHits: number
  readonly staleHits: number
  readonly nearSize: number
}
