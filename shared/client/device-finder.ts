import { MAX_LOOKUP_IDS, type Device } from '../contract/api-types.ts'
import type { ApiTransport } from './transport.ts'
import { InvalidRequestError } from './errors.ts'
import type { ClientSettings } from './options.ts'
import type { ClientStats } from './types.ts'
import { isDeviceId } from '../contract/device-id.ts'
import type { WatchConnection, WatchEvent } from './event-stream.ts'
import { LookupFlights, type LookupOutcome } from './lookup-flights.ts'
import { sendLookup } from './lookup-request.ts'
import { NearCache } from './near-cache.ts'
import { linkAbort, waitFor } from '../abort.ts'

export type FinderParts = {
  readonly transport: ApiTransport
  readonly settings: ClientSettings
  /** Follows the device events until the client is closed. It passes each of them to `applyEvent`. */
  readonly follow: (onConnection: (connection: WatchConnection) => void) => Promise<void>
  readonly closing: AbortSignal
}

/** The server accepts 256 KiB. */
const MAX_BODY_BYTES = 250_000
/** Wait after a failure of the event stream that an immediate retry would not fix, such as an expired token. */
const FOLLOW_AGAIN_MS = 30_000

/** Finds devices by id: in the near cache, by joining a pending lookup, or by a new request. */
export class DeviceFinder {
  readonly #parts: FinderParts
  readonly #flights: LookupFlights
  readonly #near: NearCache<Device> | undefined
  #nearHits = 0
  #staleHits = 0
  #isFollowing = false

  constructor(parts: FinderParts) {
    const { closing, settings, transport } = parts
    this.#parts = parts
    this.#near = settings.nearCache === undefined ? undefined : new NearCache(settings.nearCache)
    this.#flights = new LookupFlights(
      {
        send: async (ids, signal, attemptFailed) => {
          const link = linkAbort(signal, closing)
          try {
            return await sendLookup(transport, ids, link.signal, attemptFailed)
          } finally {
            link.release()
          }
        },
        staleOutcome: (id) => this.#stale(id),
        settled: (id, outcome, sentAtMs) => this.#keep(id, outcome, sentAtMs),
        now: () => performance.now(),
      },
      { maxIds: MAX_LOOKUP_IDS, maxBytes: MAX_BODY_BYTES, concurrency: settings.maxConcurrency },
    )
  }

  get counts(): Pick<ClientStats, 'nearHits' | 'staleHits' | 'nearSize'> {
    return { nearHits: this.#nearHits, staleHits: this.#staleHits, nearSize: this.#near?.size ?? 0 }
  }

  /** Rejects with the signal's reason, or when the client is closed. */
  async find(id: string, signal: AbortSignal | undefined): Promise<LookupOutcome> {
    this.#parts.closing.throwIfAborted()
    signal?.throwIfAborted()
    if (!isDeviceId(id)) return { kind: 'failed', error: invalidId(), isOwn: true }
    this.#beginFollowing()
    const device = this.#near?.fresh(id, performance.now())
    if (device !== undefined) {
      this.#nearHits++
      return { kind: 'found', device }
    }
    const outcome = await this.#flights.join(id, signal)
    return outcome.kind === 'rebuilding' ? (this.#stale(id) ?? outcome) : outcome
  }

  /** Makes sure that later lookups do not return data that was read before the event. */
  applyEvent(event: WatchEvent): void {
    switch (event.kind) {
      case 'device':
        if (event.more > 0) this.#outdateAll()
        else this.outdate(event.deviceIds)
        return
      case 'reset':
        if (event.streams.includes('device')) this.#outdateAll()
        return
      case 'update':
        return
    }
  }

  outdate(ids: readonly string[]): void {
    for (const id of ids) {
      this.#flights.outdate(id)
      this.#near?.forget(id)
    }
  }

  /** Called after `parts.closing` has aborted. */
  close(): void {
    this.#flights.close(this.#parts.closing.reason)
    this.#near?.clear()
  }

  #outdateAll(): void {
    this.#flights.outdateAll()
    this.#near?.clear()
  }

  #stale(id: string): LookupOutcome | undefined {
    const device = this.#near?.held(id, performance.now())
    if (device === undefined) return undefined
    this.#staleHits++
    return { kind: 'found', device }
  }

  /** The absence of a device is not cached, so that a new device is visible immediately. */
  #keep(id: string, outcome: LookupOutcome, sentAtMs: number): void {
    if (outcome.kind === 'missing') this.#near?.forget(id)
    if (outcome.kind !== 'found') return
    const { ttl } = outcome.device
    this.#near?.put(id, outcome.device, sentAtMs, ttl === null ? undefined : ttl * 1_000)
  }

  #beginFollowing(): void {
    if (this.#near === undefined || this.#isFollowing) return
    this.#isFollowing = true
    void this.#follow(this.#near)
  }

  async #follow(near: NearCache<Device>): Promise<void> {
    const { closing, follow } = this.#parts
    while (!closing.aborted) {
      let isNew = true
      const onConnection = ({ kind }: WatchConnection) => {
        // What was read before this connection may have changed without an event reaching us.
        if (kind === 'live' && isNew) this.#outdateAll()
        if (kind === 'live') isNew = false
        near.isWatched = kind === 'live'
      }
      try {
        await follow(onConnection)
      } catch {
        // Lookups report the failure to their callers.
        near.isWatched = false
        await waitFor(FOLLOW_AGAIN_MS, closing).catch(() => undefined)
      }
    }
  }
}

export function invalidId(): InvalidRequestError {
  return new InvalidRequestError(
    'Invalid device id: it must be 1 to 256 bytes of UTF-8 without control characters',
  )
}
