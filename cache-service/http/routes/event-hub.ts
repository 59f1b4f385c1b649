import type { ServerResponse } from 'node:http'
import type { EventFilter } from '../../core/events/event-filter.ts'
import {
  eventFrame,
  KEEP_ALIVE_COMMENT,
  pingFrame,
  resetFrame,
  retryField,
  type SseDropReason,
} from '../../core/events/event-frames.ts'
import {
  compareEntryIds,
  furthest,
  hasReached,
  type EventPosition,
  type StreamName,
} from '../../core/events/event-position.ts'
import { ANNOUNCE_INTERVAL_MS } from '../../core/events/listening.ts'
import type { FollowListener, StreamEvent } from '../../core/events/stream-entry.ts'
import { ProblemError } from '../problem.ts'
import { CATCH_UP_LIMITS, CatchUpReader, type CatchUpLimits, type Chunk } from './catch-up-reader.ts'
import { EventClient } from './event-client.ts'
import type { ReadEntries } from './stream-pages.ts'

export type EventPorts = {
  /** How far this process has followed the streams; undefined: it has not reached them yet. */
  readonly position: () => EventPosition | undefined
  readonly follow: (listener: FollowListener) => () => void
  readonly read: ReadEntries
  /** Tells the workers that a client here follows device events. Best effort. */
  readonly announceListening: () => Promise<void>
  readonly monotonicNow: () => number
  readonly telemetry: {
    sseClients(count: number): void
    sseEventsSent(count: number): void
    sseDropped(reason: SseDropReason): void
  }
}

export type EventHubLimits = CatchUpLimits & {
  readonly maxClients: number
  readonly pingIntervalMs: number
  /** How long a client may take nothing of what waits for it before it is dropped; it can resume. */
  readonly stallTimeoutMs: number
}

export const EVENT_HUB_LIMITS: EventHubLimits = {
  ...CATCH_UP_LIMITS,
  maxClients: 2_000,
  pingIntervalMs: 15_000,
  // The kernel buffers megabytes for a connection, and takes more only when a third of them is gone.
  stallTimeoutMs: 300_000,
}

/** How long a client waits before it reconnects. */
const RECONNECT_MS = 2_000
const CHECK_INTERVAL_MS = 500
const RETRY_READ_MS = 1_000
/** Events of one turn that are sent at once. A client that is sent more, or that has more to read, catches up instead. */
const MAX_PUSH_CHARACTERS = 64 * 1024
const MAX_UNSENT_BYTES = 64 * 1024

/** What a client sends when it connects. */
export type Subscription = {
  readonly filter: EventFilter
  /** Where the client was; undefined: it is new; 'unknown': it sent an event id that we can't read. */
  readonly from: EventPosition | 'unknown' | undefined
  /** False as soon as the client's token has been revoked or has expired. */
  readonly isAllowed: () => boolean
}

/**
 * All clients that follow events through this process, each in one of three phases:
 *
 * waiting      Redis has not been reached since this process has started.
 *              Left: when the streams have been reached. A client that resumes then catches up; others get a reset, because
 *              events may have happened since they connected, and become live.
 * catching up  The client takes the past in chunks, one at a time, at its own pace (CatchUpReader). If Redis cannot be
 *              read, it waits: an interrupted connection would be of no use to it.
 *              Entered: by a client that resumes; by a live client that gets more than one write at once, or has not taken
 *              the previous ones. So a burst waits in Redis, and not once per client in this process.
 *              Left: in the same turn of the event loop in which the client reaches our position, to become live: nothing
 *              is missed in between, and nothing is sent twice. If its position is no longer in the streams, it gets a
 *              reset first.
 * live         The client receives what we follow. Events are serialised once per filter, and clients share the bytes.
 *
 * A client is slow, and is dropped, only if it takes nothing of what waits for it for `stallTimeoutMs`.
 */
export class EventHub {
  readonly #ports: EventPorts
  readonly #limits: EventHubLimits
  readonly #reader: CatchUpReader
  readonly #open = new Set<EventClient>()
  readonly #timers: NodeJS.Timeout[]
  readonly #unfollow: () => void

  constructor(ports: EventPorts, limits: EventHubLimits) {
    this.#ports = ports
    this.#limits = limits
    this.#reader = new CatchUpReader(ports.read, limits)
    this.#unfollow = ports.follow({
      events: (events, from) => this.#send(events, from),
      reset: (streams) => this.#reset(streams),
    })
    this.#timers = [
      setInterval(() => this.#ping(), limits.pingIntervalMs).unref(),
      setInterval(() => this.#check(), CHECK_INTERVAL_MS).unref(),
      setInterval(() => this.#announce(), ANNOUNCE_INTERVAL_MS).unref(),
    ]
  }

  /** @throws ProblemError if there are too many clients. */
  assertRoom(): void {
    if (this.#open.size < this.#limits.maxClients) return
    this.#ports.telemetry.sseDropped('limit')
    throw new ProblemError('too_many_streams')
  }

  /** @param response whose head has been written. */
  serve(response: ServerResponse, { filter, from, isAllowed }: Subscription): void {
    // It has already emitted 'close'.
    if (response.destroyed) return
    const phase = { kind: 'waiting', from } as const
    const client = new EventClient(response, { filter, isAllowed, phase }, this.#ports.monotonicNow, () => {
      if (this.#open.delete(client)) this.#countClients()
    })
    this.#open.add(client)
    this.#countClients()
    if (filter.streams.has('device')) this.#announce()
    const position = this.#ports.position()
    client.write(retryField(RECONNECT_MS))
    if (position === undefined) return
    if (from === undefined) this.#goLive(client, position)
    else this.#resume(client, from, position)
  }

  /** Ends every stream. */
  close(): void {
    this.#unfollow()
    for (const timer of this.#timers) clearInterval(timer)
    for (const client of this.#open) this.#end(client, 'shutdown')
  }

  #resume(client: EventClient, from: EventPosition | 'unknown', position: EventPosition): void {
    if (from === 'unknown') this.#startOver(client, position)
    else this.#catchUp(client, from, { isVerified: false })
  }

  #catchUp(client: EventClient, at: EventPosition, { isVerified }: { readonly isVerified: boolean }): void {
    client.phase = { kind: 'catching_up', at, isVerified }
    void this.#feed(client)
  }

  /** Until the client is live, or has gone. */
  async #feed(client: EventClient): Promise<void> {
    let held: Chunk | undefined
    while (true) {
      await client.drained()
      if (held !== undefined) this.#reader.release(held)
      held = undefined
      const { phase } = client
      const position = this.#ports.position()
      if (!client.isOpen || phase.kind !== 'catching_up' || position === undefined) return
      const { at, isVerified } = phase
      const { streams } = client.filter
      if (hasReached(at, position, streams) && (isVerified || hasReached(position, at, streams)))
        return this.#goLive(client, at)
      const chunk = await this.#read(client, at, position)
      if (chunk === 'failed') {
        await client.pause(RETRY_READ_MS)
        continue
      }
      if (!client.isOpen) return
      // Redis has lost data in the meantime: whether the chunk is still valid shows when its end is looked for.
      const isStillVerified = client.phase === phase
      if (chunk === 'gone') return this.#startOver(client, this.#ports.position() ?? position)
      client.phase = { kind: 'catching_up', at: chunk.next, isVerified: isStillVerified }
      if (chunk.bytes.length === 0) continue
      this.#reader.hold(chunk)
      held = chunk
      client.write(chunk.bytes)
      if (chunk.count > 0) this.#ports.telemetry.sseEventsSent(chunk.count)
    }
  }

  async #read(client: EventClient, at: EventPosition, target: EventPosition) {
    try {
      return await this.#reader.read(at, target, client.filter, () => client.isOpen)
    } catch {
      return 'failed'
    }
  }

  /** The client has everything up to `at`. */
  #goLive(client: EventClient, at: EventPosition): void {
    const position = this.#ports.position()
    if (position === undefined || !client.isOpen) return
    const { streams } = client.filter
    // In a stream that it does not follow, its position is ours.
    const place = {
      update: streams.has('update') ? at.update : position.update,
      device: streams.has('device') ? at.device : position.device,
    }
    client.phase = { kind: 'live', ahead: hasReached(position, place, streams) ? undefined : place }
    client.write(pingFrame(furthest(position, place)))
  }

  #startOver(client: EventClient, at: EventPosition): void {
    client.write(resetFrame(client.filter.streams, 'position_unknown', at))
    this.#ports.telemetry.sseEventsSent(1)
    this.#goLive(client, at)
  }

  #send(events: readonly StreamEvent[], from: EventPosition): void {
    const position = this.#ports.position()
    if (position === undefined) return
    const serialised = new Map<string, SerialisedEvents | undefined>()
    for (const client of this.#open) {
      const { filter, phase } = client
      if (phase.kind !== 'live') continue
      const { ahead } = phase
      const at = ahead === undefined ? from : furthest(from, ahead)
      const key = ahead === undefined ? filter.key : `${filter.key} ${ahead.update} ${ahead.device}`
      if (!serialised.has(key)) serialised.set(key, serialise(unseen(events, ahead), at, filter))
      const frames = serialised.get(key)
      if (frames === undefined || client.unsentBytes > MAX_UNSENT_BYTES) {
        this.#catchUp(client, at, { isVerified: true })
        continue
      }
      if (ahead !== undefined) {
        const place = furthest(position, ahead)
        client.phase = {
          kind: 'live',
          ahead: hasReached(position, place, filter.streams) ? undefined : place,
        }
      }
      if (frames.bytes.length === 0) continue
      client.write(frames.bytes)
      this.#ports.telemetry.sseEventsSent(frames.count)
    }
  }

  #reset(streams: readonly StreamName[]): void {
    const position = this.#ports.position()
    if (position === undefined) return
    this.#reader.clear()
    for (const client of this.#open) {
      const { filter, phase } = client
      if (phase.kind === 'catching_up') client.phase = { ...phase, isVerified: false }
      if (phase.kind !== 'live') continue
      const lost = streams.filter((name) => filter.streams.has(name))
      if (lost.length === 0) continue
      client.phase = { kind: 'live', ahead: undefined }
      client.write(resetFrame(lost, 'position_lost', position))
      this.#ports.telemetry.sseEventsSent(1)
    }
  }

  #ping(): void {
    const position = this.#ports.position()
    for (const client of this.#open) {
      const { phase } = client
      // It has enough to read.
      if (client.unsentBytes > MAX_UNSENT_BYTES) continue
      if (phase.kind !== 'live' || position === undefined) client.write(KEEP_ALIVE_COMMENT)
      else client.write(pingFrame(phase.ahead === undefined ? position : furthest(position, phase.ahead)))
    }
  }

  #check(): void {
    const position = this.#ports.position()
    for (const client of this.#open) {
      const { phase } = client
      if (!client.isAllowed()) this.#end(client, 'unauthorized')
      else if (client.stalledMs > this.#limits.stallTimeoutMs) this.#drop(client, 'slow')
      else if (phase.kind === 'waiting' && position !== undefined)
        this.#resume(client, phase.from ?? 'unknown', position)
    }
  }

  #announce(): void {
    for (const { filter } of this.#open) {
      if (!filter.streams.has('device')) continue
      this.#ports.announceListening().catch(() => undefined) // repeated every few seconds
      return
    }
  }

  #drop(client: EventClient, reason: SseDropReason): void {
    this.#ports.telemetry.sseDropped(reason)
    client.destroy()
  }

  #end(client: EventClient, reason: SseDropReason): void {
    this.#ports.telemetry.sseDropped(reason)
    client.end()
  }

  #countClients(): void {
    this.#ports.telemetry.sseClients(this.#open.size)
  }
}

type SerialisedEvents = { readonly bytes: Buffer; readonly count: number }

function unseen(events: readonly StreamEvent[], ahead: EventPosition | undefined): readonly StreamEvent[] {
  if (ahead === undefined) return events
  return events.filter(({ stream, entry }) => compareEntryIds(entry.id, ahead[stream]) > 0)
}

/**
 * @param from the position before the first of the events.
 * @returns undefined if they are too many for one write.
 */
function serialise(
  events: readonly StreamEvent[],
  from: EventPosition,
  filter: EventFilter,
): SerialisedEvents | undefined {
  let at = from
  let text = ''
  let count = 0
  for (const event of events) {
    at = { ...at, [event.stream]: event.entry.id }
    const frame = eventFrame(event, at, filter)
    if (frame === undefined) continue
    text += frame
    count++
    if (text.length > MAX_PUSH_CHARACTERS) return undefined
  }
  return { bytes: Buffer.from(text), count }
}
