import { MAX_LOOKUP_IDS, type Device } from '../contract/api-schemas.ts'
import type { ApiTransport } from './transport.ts'
import { InvalidRequestError } from './errors.ts'
import type { ClientSettings } from './options.ts'
import type { ClientStats } from './types.ts'
import { isDeviceId } from '../contract/device-id.ts'
import type { WatchConnection, WatchEvent } from './event-stream.ts'
import { LookupFlights, type LookupOutcome } from './lookup-flights.ts'
import { sendLookup } from './lookup-request.ts'
import { NearCache } from './near-cache.ts'
import { linkAbort, waitFor } from './retry.ts'

export type FinderParts = {
  readonly transport: ApiTransport
  readonly settings: ClientSettings
  /** The events of devices, each heeded (see `heed`) before it is given; ends when the client is closed. */
  readonly follow: (onConnection: (connection: WatchConnection) => void) => AsyncIterable<WatchEvent>
  readonly closing: AbortSignal
}

/** The server takes 256 KiB. */
const MAX_BODY_BYTES = 250_000
/** After a failure of the events that trying again does not fix, such as an expired token. */
const FOLLOW_AGAIN_MS = 30_000

/** Finds devices by their ids: near by, on a flight that is under way, or by a request. */
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
        standIn: (id) => this.#stale(id),
        landed: (id, outcome, sentAtMs) => this.#keep(id, outcome, sentAtMs),
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

  /** What is asked for after an event is not answered by what was read before it. */
  heed(event: WatchEvent): void {
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

  /** The parts' signal `closing` has aborted. */
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

  /** What is missing is not kept: a device that has just come must not be unknown for a while. */
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
        // What was read before has perhaps changed before we could hear of it.
        if (kind === 'live' && isNew) this.#outdateAll()
        if (kind === 'live') isNew = false
        near.isWatched = kind === 'live'
      }
      try {
        for await (const event of follow(onConnection)) this.heed(event)
      } catch {
        // Whoever asks for a device learns of it there.
        near.isWatched = false
        await waitFor(FOLLOW_AGAIN_MS, closing).catch(() => undefined)
      }
    }
  }
}

export function invalidId(): InvalidRequestError {
  return new InvalidRequestError('no device can have this id: 1 to 256 bytes of UTF-8, no control characters')
}
