/// <reference lib="esnext.disposable" preserve="true" />
import { MAX_PAGE_SIZE } from '../contract/api-types.ts'
import { ApiTransport, type ApiCall } from './transport.ts'
import {
  CacheRebuildingError,
  CacheUnavailableError,
  ClientClosedError,
  DeviceCacheError,
  InvalidRequestError,
} from './errors.ts'
import { readClientOptions, type ClientSettings } from './options.ts'
import type {
  CallOptions,
  ClientStats,
  Device,
  DeviceCacheClientOptions,
  DevicePage,
  ListOptions,
  LookupResult,
  SearchOptions,
  SearchPage,
  StateSnapshot,
  WatchEvent,
  WatchOptions,
} from './types.ts'
import { DeviceFinder, invalidId } from './device-finder.ts'
import { isDeviceId } from '../contract/device-id.ts'
import { followEvents } from './event-stream.ts'
import { linkAbort } from '../abort.ts'
import {
  pageShape,
  searchShape,
  stateShape,
  type PageResponse,
  type ResponseShape,
} from './response-shapes.ts'

// The package exports all that belongs to the client from this module.
export type * from './types.ts'
export type { ApiProblem } from '../contract/api-types.ts'
export {
  CacheRebuildingError,
  CacheUnavailableError,
  ClientClosedError,
  CorruptDeviceError,
  DeviceCacheError,
  ForbiddenError,
  InvalidRequestError,
  RateLimitedError,
  TimeoutError,
  TokenError,
  UnauthorizedError,
  UnexpectedAnswerError,
} from './errors.ts'

/** A search may have to wait until the API has read all devices. */
const SEARCH_TIMEOUT_MS = 60_000

/**
 * A client of the device cache's API. Create one per process and share it: lookups made in one turn of the event loop
 * share one request. The constructor sends nothing. Every call rejects with a DeviceCacheError, or with the reason of the
 * caller's signal.
 */
export class DeviceCacheClient {
  readonly #settings: ClientSettings
  readonly #transport: ApiTransport
  readonly #finder: DeviceFinder
  readonly #closing = new AbortController()

  /** @throws TypeError for an invalid option. */
  constructor(options: DeviceCacheClientOptions) {
    this.#settings = readClientOptions(options)
    this.#transport = new ApiTransport(this.#settings)
    this.#finder = new DeviceFinder({
      transport: this.#transport,
      settings: this.#settings,
      follow: async (onConnection) => {
        const events = this.watch({ events: ['device'], onConnection })
        while ((await events.next()).done !== true);
      },
      closing: this.#closing.signal,
    })
  }

  /**
   * Gets one device.
   *
   * @returns the device, or undefined if it does not exist.
   * @throws CacheRebuildingError if the cache is being rebuilt and may not contain the device yet; CorruptDeviceError;
   * InvalidRequestError for an invalid device id; the errors of every call.
   */
  async get(id: string, { signal }: CallOptions = {}): Promise<Device | undefined> {
    const outcome = await this.#finder.find(id, signal)
    switch (outcome.kind) {
      case 'found':
        return outcome.device
      case 'missing':
        return undefined
      case 'rebuilding':
        throw new CacheRebuildingError('The cache is being rebuilt and does not contain this device yet')
      case 'failed':
        throw outcome.error
    }
  }

  /**
   * Gets any number of devices, in requests of at most 1000 ids; duplicate ids are merged. Rejects if one of the requests
   * still fails after all retries. Errors that concern a single id are in the result instead.
   */
  async lookup(ids: Iterable<string>, { signal }: CallOptions = {}): Promise<LookupResult> {
    const found = new Map<string, Device>()
    const missing: string[] = []
    const errors = new Map<string, DeviceCacheError>()
    let complete = true
    const unique = [...new Set(ids)]
    const outcomes = await Promise.all(unique.map((id) => this.#finder.find(id, signal)))
    for (const [i, outcome] of outcomes.entries()) {
      const id = unique[i] ?? ''
      if (outcome.kind === 'found') found.set(id, outcome.device)
      else if (outcome.kind !== 'failed') missing.push(id)
      else if (outcome.isOwn && outcome.error instanceof DeviceCacheError) {
        errors.set(id, outcome.error)
        if (outcome.error instanceof CacheUnavailableError) complete = false
      } else throw outcome.error
      if (outcome.kind === 'rebuilding') complete = false
    }
    return { found, missing, errors, complete }
  }

  /**
   * Iterates over all devices, in no particular order, without corrupt ones. A device that is added or removed meanwhile
   * may be included or not.
   */
  async *list(options: ListOptions = {}): AsyncGenerator<Device, void> {
    for await (const { devices } of this.pages(options)) yield* devices
  }

  /** Like `list`, page by page, with the problems of corrupt devices. A page may be empty. */
  async *pages({ match, pageSize = MAX_PAGE_SIZE, signal }: ListOptions = {}): AsyncGenerator<
    DevicePage,
    void
  > {
    const query = new URLSearchParams({ limit: String(pageSize) })
    if (match !== undefined && match !== '') query.set('match', match)
    for await (const { devices, errors } of this.#pagesOf({ path: 'api/devices', query }, pageShape, signal))
      yield { devices, errors }
  }

  /**
   * Iterates over the devices that match, in the order of `sort`, without corrupt ones. The API reads all devices for this;
   * use `list` for all of them in no particular order, and `lookup` for known ids.
   */
  async *search(options: SearchOptions = {}): AsyncGenerator<Device, void> {
    for await (const { devices } of this.searchPages(options)) yield* devices
  }

  /** Like `search`, page by page, with their number and the problems of corrupt devices. A page may be short or empty. */
  async *searchPages(options: SearchOptions = {}): AsyncGenerator<SearchPage, void> {
    const call = { path: 'api/search/devices', query: searchQuery(options), timeoutMs: SEARCH_TIMEOUT_MS }
    for await (const { nextCursor: _, ...found } of this.#pagesOf(call, searchShape, options.signal))
      yield found
  }

  /**
   * Removes a device until its next record.
   *
   * @returns whether the device existed. If the response to an earlier attempt was lost, the result is true even if
   * another client removed the device: it is gone in any case.
   * @throws CacheRebuildingError if the cache is being rebuilt and may not contain the device yet; InvalidRequestError for
   * an invalid device id; the errors of every call.
   */
  async remove(id: string, { signal }: CallOptions = {}): Promise<boolean> {
    if (!isDeviceId(id)) throw invalidId()
    // URLs normalise these two path segments, even if they are percent-encoded.
    if (id === '.' || id === '..') {
      throw new InvalidRequestError(`Cannot remove the device "${id}": its id cannot be part of a URL`)
    }
    let isResponseLost = false
    this.#finder.outdate([id])
    try {
      const existed = await this.#linked(signal, (linked) =>
        this.#transport.request({
          method: 'DELETE',
          path: `api/devices/${encodeURIComponent(id)}`,
          mayBeMissing: true,
          signal: linked,
          attemptFailed: ({ status }) => {
            // 429 is sent before anything is done.
            if (status !== 429) isResponseLost = true
          },
        }),
      )
      return existed || isResponseLost
    } finally {
      this.#finder.outdate([id])
    }
  }

  /** Gets the key-values of the kv-updater: all of them, or one type (undefined if it does not exist). */
  state(options?: CallOptions): Promise<StateSnapshot>
  state(type: string, options?: CallOptions): Promise<StateSnapshot | undefined>
  async state(given?: string | CallOptions, options: CallOptions = {}): Promise<StateSnapshot | undefined> {
    const isOne = typeof given === 'string'
    const { signal } = isOne ? options : (given ?? {})
    if (isOne && /^\.{0,2}$/.test(given))
      throw new InvalidRequestError('The type is empty, or cannot be part of a URL')
    const path = isOne ? `api/state/${encodeURIComponent(given)}` : 'api/state'
    return await this.#linked(signal, (linked) =>
      this.#transport.requestJson({ method: 'GET', path, mayBeMissing: isOne, signal: linked }, stateShape),
    )
  }

  /**
   * Iterates over events as they happen, without end. After a lost connection it reconnects and resumes where it was, also
   * while a proxy has no backend or a token is being renewed; events that can no longer be delivered are replaced by a
   * `reset`. Ends when the client is closed, and rejects with the reason of the signal.
   *
   * A `get` that is made after an event never returns data that was read before the event.
   */
  async *watch(options: WatchOptions = {}): AsyncGenerator<WatchEvent, void> {
    const query = new URLSearchParams()
    if (options.events !== undefined) query.set('events', options.events.join())
    for (const id of options.devices ?? []) query.append('device', id)
    for (const type of options.updateTypes ?? []) query.append('update_type', type)
    const link = linkAbort(options.signal, this.#closing.signal)
    try {
      const events = followEvents({
        open: (lastEventId, signal) =>
          this.#transport.openStream({
            method: 'GET',
            path: 'api/events',
            query,
            headers: {
              accept: 'text/event-stream',
              ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
            },
            signal,
          }),
        lastEventId: options.lastEventId,
        silenceMs: this.#settings.silenceMs,
        onConnection: options.onConnection ?? (() => undefined),
        signal: link.signal,
        random: this.#settings.random,
      })
      for await (const event of events) {
        this.#finder.applyEvent(event)
        yield event
      }
    } catch (error) {
      if (!(error instanceof ClientClosedError)) throw error
    } finally {
      link.release()
    }
  }

  /** Counts since the client was created. */
  get stats(): ClientStats {
    return { ...this.#transport.counts, ...this.#finder.counts }
  }

  /** Ends event streams and timers. Pending and later calls reject with ClientClosedError. */
  close(): void {
    if (this.#closing.signal.aborted) return
    this.#closing.abort(new ClientClosedError('The client is closed'))
    this.#finder.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  /** Follows the cursors of a list. */
  async *#pagesOf<Page extends PageResponse>(
    call: Pick<ApiCall, 'path' | 'timeoutMs'> & { readonly query: URLSearchParams },
    shape: ResponseShape<Page>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Page, void> {
    for (let cursor: string | null = ''; cursor !== null;) {
      if (cursor !== '') call.query.set('cursor', cursor)
      const page = await this.#linked(signal, (linked) =>
        this.#transport.requestJson({ ...call, method: 'GET', signal: linked }, shape),
      )
      if (page === undefined) return
      cursor = page.nextCursor
      yield page
    }
  }

  /** Aborts a call with the caller's signal, or when the client is closed. */
  async #linked<T>(signal: AbortSignal | undefined, call: (linked: AbortSignal) => Promise<T>): Promise<T> {
    const link = linkAbort(signal, this.#closing.signal)
    try {
      return await call(link.signal)
    } finally {
      link.release()
    }
  }
}

function searchQuery(options: SearchOptions): URLSearchParams {
  const { contains, match, pageSize, silentForS, sort, type, unit, updatedAfter, updatedBefore } = options
  const given = {
    limit: pageSize ?? MAX_PAGE_SIZE,
    match,
    contains,
    type,
    unit,
    silent_for: silentForS,
    updated_before: timeText(updatedBefore),
    updated_after: timeText(updatedAfter),
    sort,
  }
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(given)) if (value !== undefined) query.set(name, String(value))
  return query
}

function timeText(time: Date | string | undefined): string | undefined {
  return time instanceof Date ? time.toISOString() : time
}
