import type { Device } from '../contract/api-types.ts'
import { onAbort } from '../abort.ts'
import type { DeviceCacheError } from './errors.ts'

/** The result of looking up one device. */
export type LookupOutcome =
  | { readonly kind: 'found'; readonly device: Device }
  | { readonly kind: 'missing' }
  /** Missing while the cache is being rebuilt. */
  | { readonly kind: 'rebuilding' }
  /** `isOwn`: the error concerns this device only, for example corrupt data; the rest of its request succeeded. */
  | { readonly kind: 'failed'; readonly error: unknown; readonly isOwn: boolean }

export type LookupPorts = {
  /** Sends one request. Resolves with an outcome for each id. */
  send(
    ids: readonly string[],
    signal: AbortSignal,
    attemptFailed: (error: DeviceCacheError) => void,
  ): Promise<ReadonlyMap<string, LookupOutcome>>
  /** A stale result to return after a failed attempt instead of waiting for the retry; undefined: wait. */
  staleOutcome(id: string): LookupOutcome | undefined
  /** Called with an outcome that is not outdated. */
  settled(id: string, outcome: LookupOutcome, sentAtMs: number): void
  now(): number
}

export type LookupBounds = {
  readonly maxIds: number
  /** Approximate limit of a request's body. */
  readonly maxBytes: number
  readonly concurrency: number
}

type Flight = {
  readonly id: string
  readonly result: Promise<LookupOutcome>
  readonly settle: (outcome: LookupOutcome) => void
  callers: number
  request: LookupRequest | undefined
  isOutdated: boolean
}

type LookupRequest = { readonly abort: AbortController; readonly flights: Set<Flight> }

/**
 * Combines lookups. A *flight* is the pending lookup of one device, which all callers that want the device join. The
 * flights of one turn of the event loop share one request; while the maximum number of requests is pending, new flights
 * wait for the next one.
 *
 * A flight is dropped when its last caller has left, and a request is aborted when all of its flights have been dropped. A
 * flight whose device has changed since the request was sent is outdated: its callers still receive the result, but no
 * further caller joins it, and the result is not cached.
 */
export class LookupFlights {
  readonly #ports: LookupPorts
  readonly #bounds: LookupBounds
  /** The flights that callers may join, by id. */
  readonly #flights = new Map<string, Flight>()
  #unsent = new Set<Flight>()
  #pendingRequests = 0
  #isSendScheduled = false

  constructor(ports: LookupPorts, bounds: LookupBounds) {
    this.#ports = ports
    this.#bounds = bounds
  }

  /** Rejects only with the reason of the caller's own signal. */
  async join(id: string, signal: AbortSignal | undefined): Promise<LookupOutcome> {
    signal?.throwIfAborted()
    const flight = this.#flights.get(id) ?? this.#start(id)
    flight.callers++
    if (signal === undefined) return await flight.result
    let release = () => {}
    const left = new Promise<never>((_, reject) => {
      release = onAbort(signal, () => {
        reject(signal.reason)
        if (--flight.callers === 0) this.#drop(flight)
      })
    })
    try {
      return await Promise.race([flight.result, left])
    } finally {
      release()
    }
  }

  /** Called when the device has changed. */
  outdate(id: string): void {
    const flight = this.#flights.get(id)
    // A request that has not been sent yet will return the changed device.
    if (flight?.request === undefined) return
    flight.isOutdated = true
    this.#flights.delete(id)
  }

  outdateAll(): void {
    for (const id of this.#flights.keys()) this.outdate(id)
  }

  /** Fails all flights with this error. */
  close(error: unknown): void {
    for (const flight of this.#flights.values()) this.#settle(flight, { kind: 'failed', error, isOwn: false })
    this.#unsent.clear()
  }

  #start(id: string): Flight {
    let settle: Flight['settle'] = () => undefined
    const result = new Promise<LookupOutcome>((resolve) => (settle = resolve))
    const flight: Flight = { id, result, settle, callers: 0, request: undefined, isOutdated: false }
    this.#flights.set(id, flight)
    this.#unsent.add(flight)
    this.#scheduleSend()
    return flight
  }

  #scheduleSend(): void {
    if (this.#isSendScheduled) return
    this.#isSendScheduled = true
    afterThisTurn(() => {
      this.#isSendScheduled = false
      this.#sendUnsent()
    })
  }

  #sendUnsent(): void {
    while (this.#unsent.size > 0 && this.#pendingRequests < this.#bounds.concurrency)
      void this.#send(this.#nextRequest())
  }

  #nextRequest(): LookupRequest {
    const request: LookupRequest = { abort: new AbortController(), flights: new Set() }
    let bytes = 0
    for (const flight of this.#unsent) {
      // Upper bound: three UTF-8 bytes for each character of the JSON text, and a comma.
      bytes += JSON.stringify(flight.id).length * 3 + 1
      if (request.flights.size > 0 && bytes > this.#bounds.maxBytes) break
      this.#unsent.delete(flight)
      flight.request = request
      request.flights.add(flight)
      if (request.flights.size === this.#bounds.maxIds) break
    }
    return request
  }

  async #send(request: LookupRequest): Promise<void> {
    this.#pendingRequests++
    const { now, send, staleOutcome } = this.#ports
    const sentAtMs = now()
    const ids = Array.from(request.flights, ({ id }) => id)
    try {
      const outcomes = await send(ids, request.abort.signal, () => {
        for (const flight of request.flights) {
          const outcome = staleOutcome(flight.id)
          if (outcome !== undefined) this.#settle(flight, outcome)
        }
      })
      for (const flight of request.flights) {
        const outcome = outcomes.get(flight.id)
        if (outcome === undefined) throw new Error('The lookup has no outcome for one of its ids')
        if (!flight.isOutdated) this.#ports.settled(flight.id, outcome, sentAtMs)
        this.#settle(flight, outcome)
      }
    } catch (error) {
      for (const flight of request.flights) this.#settle(flight, { kind: 'failed', error, isOwn: false })
    } finally {
      this.#pendingRequests--
      this.#sendUnsent()
    }
  }

  #drop(flight: Flight): void {
    if (this.#flights.get(flight.id) === flight) this.#flights.delete(flight.id)
    this.#unsent.delete(flight)
    this.#leaveRequest(flight)
  }

  #settle(flight: Flight, outcome: LookupOutcome): void {
    if (this.#flights.get(flight.id) === flight) this.#flights.delete(flight.id)
    flight.settle(outcome)
    this.#leaveRequest(flight)
  }

  #leaveRequest(flight: Flight): void {
    const { request } = flight
    if (request?.flights.delete(flight) === true && request.flights.size === 0) request.abort.abort()
  }
}

/**
 * Runs after the current turn of the event loop; in Node.js also after all requests that a server has received in it.
 * Browsers have no setImmediate.
 */
function afterThisTurn(run: () => void): void {
  if (typeof setImmediate === 'function') setImmediate(run)
  else setTimeout(run, 0)
}
