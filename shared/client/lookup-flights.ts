import type { Device } from '../contract/api-schemas.ts'
import type { DeviceCacheError } from './errors.ts'

/** What asking for one device came to. */
export type LookupOutcome =
  | { readonly kind: 'found'; readonly device: Device }
  | { readonly kind: 'missing' }
  /** Missing, but the cache is being filled. */
  | { readonly kind: 'rebuilding' }
  /** `isOwn`: of this device alone, such as a damaged one; the others of its request were answered. */
  | { readonly kind: 'failed'; readonly error: unknown; readonly isOwn: boolean }

export type LookupPorts = {
  /** One request; an outcome for each id. */
  send(
    ids: readonly string[],
    signal: AbortSignal,
    attemptFailed: (error: DeviceCacheError) => void,
  ): Promise<ReadonlyMap<string, LookupOutcome>>
  /** Instead of waiting for another try. undefined: wait. */
  standIn(id: string): LookupOutcome | undefined
  /** What came for an id that nothing has changed since it was asked for. */
  landed(id: string, outcome: LookupOutcome, sentAtMs: number): void
  now(): number
}

export type LookupBounds = {
  readonly maxIds: number
  /** Of a request's body, about. */
  readonly maxBytes: number
  readonly concurrency: number
}

type Flight = {
  readonly id: string
  readonly landing: Promise<LookupOutcome>
  readonly land: (outcome: LookupOutcome) => void
  waiting: number
  request: LookupRequest | undefined
  isOutdated: boolean
}

type LookupRequest = { readonly abort: AbortController; readonly flights: Set<Flight> }

/**
 * Everybody who asks for a device joins the flight that is on its way to it; those of one turn of the event loop
 * travel in one request, and while enough requests are under way the next ones gather.
 *
 * A flight goes on while anybody waits for it, and is dropped when the last one has gone; a request is aborted
 * when all of its flights have been. A flight that may bring what has since changed is outdated: who was waiting
 * gets it, nobody joins it any more, and it is not kept.
 */
export class LookupFlights {
  readonly #ports: LookupPorts
  readonly #bounds: LookupBounds
  /** Those that may be joined. */
  readonly #flights = new Map<string, Flight>()
  #waiting = new Set<Flight>()
  #underWay = 0
  #isDepartureSet = false

  constructor(ports: LookupPorts, bounds: LookupBounds) {
    this.#ports = ports
    this.#bounds = bounds
  }

  /** Rejects with the reason of the caller's own signal, and for nothing else. */
  async join(id: string, signal: AbortSignal | undefined): Promise<LookupOutcome> {
    signal?.throwIfAborted()
    const flight = this.#flights.get(id) ?? this.#book(id)
    flight.waiting++
    if (signal === undefined) return await flight.landing
    let leave: () => void = () => undefined
    const left = new Promise<never>((_, reject) => {
      leave = () => {
        reject(signal.reason)
        if (--flight.waiting === 0) this.#drop(flight)
      }
    })
    signal.addEventListener('abort', leave, { once: true })
    try {
      return await Promise.race([flight.landing, left])
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  /** The device has changed. */
  outdate(id: string): void {
    const flight = this.#flights.get(id)
    // What has not been sent yet will bring the change.
    if (flight?.request === undefined) return
    flight.isOutdated = true
    this.#flights.delete(id)
  }

  outdateAll(): void {
    for (const id of this.#flights.keys()) this.outdate(id)
  }

  /** Everybody who waits gets this. */
  close(error: unknown): void {
    for (const flight of this.#flights.values()) this.#land(flight, { kind: 'failed', error, isOwn: false })
    this.#waiting.clear()
  }

  #book(id: string): Flight {
    let land: Flight['land'] = () => undefined
    const landing = new Promise<LookupOutcome>((resolve) => (land = resolve))
    const flight: Flight = { id, landing, land, waiting: 0, request: undefined, isOutdated: false }
    this.#flights.set(id, flight)
    this.#waiting.add(flight)
    this.#setDeparture()
    return flight
  }

  #setDeparture(): void {
    if (this.#isDepartureSet) return
    this.#isDepartureSet = true
    afterThisTurn(() => {
      this.#isDepartureSet = false
      this.#depart()
    })
  }

  #depart(): void {
    while (this.#waiting.size > 0 && this.#underWay < this.#bounds.concurrency) void this.#send(this.#board())
  }

  #board(): LookupRequest {
    const request: LookupRequest = { abort: new AbortController(), flights: new Set() }
    let bytes = 0
    for (const flight of this.#waiting) {
      // At most: three bytes of UTF-8 for each of JSON's characters, and a comma.
      bytes += JSON.stringify(flight.id).length * 3 + 1
      if (request.flights.size > 0 && bytes > this.#bounds.maxBytes) break
      this.#waiting.delete(flight)
      flight.request = request
      request.flights.add(flight)
      if (request.flights.size === this.#bounds.maxIds) break
    }
    return request
  }

  async #send(request: LookupRequest): Promise<void> {
    this.#underWay++
    const { now, send, standIn } = this.#ports
    const sentAtMs = now()
    const ids = Array.from(request.flights, ({ id }) => id)
    try {
      const outcomes = await send(ids, request.abort.signal, () => {
        for (const flight of request.flights) {
          const outcome = standIn(flight.id)
          if (outcome !== undefined) this.#land(flight, outcome)
        }
      })
      for (const flight of request.flights) {
        const outcome = outcomes.get(flight.id)
        if (outcome === undefined) throw new Error('a lookup that does not say what came of each id')
        if (!flight.isOutdated) this.#ports.landed(flight.id, outcome, sentAtMs)
        this.#land(flight, outcome)
      }
    } catch (error) {
      for (const flight of request.flights) this.#land(flight, { kind: 'failed', error, isOwn: false })
    } finally {
      this.#underWay--
      this.#depart()
    }
  }

  #drop(flight: Flight): void {
    if (this.#flights.get(flight.id) === flight) this.#flights.delete(flight.id)
    this.#waiting.delete(flight)
    this.#leave(flight)
  }

  #land(flight: Flight, outcome: LookupOutcome): void {
    if (this.#flights.get(flight.id) === flight) this.#flights.delete(flight.id)
    flight.land(outcome)
    this.#leave(flight)
  }

  #leave(flight: Flight): void {
    const { request } = flight
    if (request?.flights.delete(flight) === true && request.flights.size === 0) request.abort.abort()
  }
}

/** After whatever else this turn brings: in Node the other requests of a server, too. Browsers have no such phase. */
function afterThisTurn(run: () => void): void {
  if (typeof setImmediate === 'function') setImmediate(run)
  else setTimeout(run, 0)
}
