import { pageSchema, stateSchema, MAX_PAGE_SIZE } from '../contract/api-schemas.ts'
import { ApiTransport } from './transport.ts'
import { CacheRebuildingError, ClientClosedError, DeviceCacheError, InvalidRequestError } from './errors.ts'
import { readClientOptions, type ClientSettings } from './options.ts'
import type {
  CallOptions,
  ClientStats,
  Device,
  DeviceCacheClientOptions,
  DevicePage,
  ListOptions,
  LookupResult,
  StateSnapshot,
  WatchEvent,
  WatchOptions,
} from './types.ts'
import { DeviceFinder, invalidId } from './device-finder.ts'
import { isDeviceId } from '../contract/device-id.ts'
import { followEvents } from './event-stream.ts'
import { linkAbort } from './retry.ts'

// One door for who imports the package.
export type * from './types.ts'

/**
 * The API of the device cache. One instance a process, shared by all that ask: those of one turn of the event
 * loop share a request. Creating it sends nothing. Everything rejects with a DeviceCacheError
 * (client-errors.ts) or with the reason of the caller's signal.
 */
export class DeviceCacheClient {
  readonly #settings: ClientSettings
  readonly #transport: ApiTransport
  readonly #finder: DeviceFinder
  readonly #closing = new AbortController()

  /** @throws TypeError for options that can't be meant. */
  constructor(options: DeviceCacheClientOptions) {
    this.#settings = readClientOptions(options)
    this.#transport = new ApiTransport(this.#settings)
    this.#finder = new DeviceFinder({
      transport: this.#transport,
      settings: this.#settings,
      follow: (onConnection) => this.watch({ events: ['device'], onConnection }),
      closing: this.#closing.signal,
    })
  }

  /**
   * @returns undefined: there is no such device.
   * @throws CacheRebuildingError if it may yet come; CorruptDeviceError; InvalidRequestError for an id that no
   * device can have; what every call throws.
   */
  async get(id: string, { signal }: CallOptions = {}): Promise<Device | undefined> {
    const outcome = await this.#finder.find(id, signal)
    switch (outcome.kind) {
      case 'found':
        return outcome.device
      case 'missing':
        return undefined
      case 'rebuilding':
        throw new CacheRebuildingError('the cache is being filled, and this device has not come yet')
      case 'failed':
        throw outcome.error
    }
  }

  /**
   * Any number of ids, in requests of at most 1000; duplicates collapse. Rejects if one of the requests fails
   * after all tries: an outage is not a property of some ids.
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
      else if (outcome.isOwn && outcome.error instanceof DeviceCacheError) errors.set(id, outcome.error)
      else throw outcome.error
      if (outcome.kind === 'rebuilding') complete = false
    }
    return { found, missing, errors, complete }
  }

  /** Every device, in no order; one that comes, changes or goes meanwhile may be in it or not. Skips damaged ones. */
  async *list(options: ListOptions = {}): AsyncGenerator<Device, void> {
    for await (const { devices } of this.pages(options)) yield* devices
  }

  /** The same page by page, with what is wrong with the damaged ones. A page may be empty. */
  async *pages({ match, pageSize = MAX_PAGE_SIZE, signal }: ListOptions = {}): AsyncGenerator<
    DevicePage,
    void
  > {
    const query = new URLSearchParams({ limit: String(pageSize) })
    if (match !== undefined && match !== '') query.set('match', match)
    for (let cursor: string | null = ''; cursor !== null;) {
      if (cursor !== '') query.set('cursor', cursor)
      const page = await this.#linked(signal, (linked) =>
        this.#transport.ask({ method: 'GET', path: 'api/devices', query, signal: linked }, pageSchema),
      )
      cursor = page?.next_cursor ?? null
      yield { devices: page?.devices ?? [], errors: new Map(Object.entries(page?.errors ?? {})) }
    }
  }

  /**
   * Forgets a device until its next record.
   *
   * @returns false: there was none. After a try whose answer was lost it is true, though another may have been
   * quicker: what counts is that the device is gone.
   * @throws CacheRebuildingError if it may yet come; what every call throws.
   */
  async remove(id: string, { signal }: CallOptions = {}): Promise<boolean> {
    if (!isDeviceId(id)) throw invalidId()
    // In a path these two mean other paths, however they are written.
    if (id === '.' || id === '..') throw new InvalidRequestError('an id of dots alone fits into no URL')
    let isAnswerLost = false
    this.#finder.outdate([id])
    try {
      const wasThere = await this.#linked(signal, (linked) =>
        this.#transport.tell({
          method: 'DELETE',
          path: `api/devices/${encodeURIComponent(id)}`,
          mayBeMissing: true,
          signal: linked,
          attemptFailed: ({ status }) => {
            // 429 is said before anything is done.
            if (status !== 429) isAnswerLost = true
          },
        }),
      )
      return wasThere || isAnswerLost
    } finally {
      this.#finder.outdate([id])
    }
  }

  /** The key-values of the kv-updater; of one type, undefined if there is none. */
  state(options?: CallOptions): Promise<StateSnapshot>
  state(type: string, options?: CallOptions): Promise<StateSnapshot | undefined>
  async state(given?: string | CallOptions, options: CallOptions = {}): Promise<StateSnapshot | undefined> {
    const isOne = typeof given === 'string'
    const { signal } = isOne ? options : (given ?? {})
    if (isOne && /^\.{0,2}$/.test(given))
      throw new InvalidRequestError('no type, or one that fits into no URL')
    const path = isOne ? `api/state/${encodeURIComponent(given)}` : 'api/state'
    const answer = await this.#linked(signal, (linked) =>
      this.#transport.ask({ method: 'GET', path, mayBeMissing: isOne, signal: linked }, stateSchema),
    )
    if (answer === undefined) return undefined
    return { values: new Map(Object.entries(answer.state)), lastEventId: answer.last_event_id }
  }

  /**
   * Events as they come, for ever: a connection that breaks is made again, and goes on where it was; what can't
   * be caught up is a `reset`. Ends when the client is closed; rejects with the signal's reason.
   *
   * A `get` after an event is never answered by what was read before it.
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
          this.#transport.open({
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
        this.#finder.heed(event)
        yield event
      }
    } catch (error) {
      if (!(error instanceof ClientClosedError)) throw error
    } finally {
      link.release()
    }
  }

  get stats(): ClientStats {
    return { ...this.#transport.counts, ...this.#finder.counts }
  }

  /** Ends the streams and timers; calls under way reject with ClientClosedError, and so do later ones. */
  close(): void {
    if (this.#closing.signal.aborted) return
    this.#closing.abort(new ClientClosedError('the client is closed'))
    this.#finder.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  /** A call ends with the caller's signal, or with the client. */
  async #linked<T>(signal: AbortSignal | undefined, call: (linked: AbortSignal) => Promise<T>): Promise<T> {
    const link = linkAbort(signal, this.#closing.signal)
    try {
      return await call(link.signal)
    } finally {
      link.release()
    }
  }
}
