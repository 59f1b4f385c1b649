import { ANNOUNCE_INTERVAL_MS } from '../../core/events/listening.ts'
import type { ServerResponse } from 'node:http'
import type { EventFilter } from '../../core/events/event-filter.ts'
import { eventFrame, pingFrame, resetFrame, type SseDropReason } from '../../core/events/event-frames.ts'
import {
  compareEntryIds,
  furthest,
  hasReached,
  type EntryId,
  type EventPosition,
  type StreamName,
} from '../../core/events/event-position.ts'
import type { EntryPage, FollowListener, StreamEvent } from '../../core/events/stream-entry.ts'
import { ProblemError } from '../problem.ts'

export type EventPorts = {
  /** How far this process has followed the streams; undefined: it has not reached them yet. */
  readonly position: () => EventPosition | undefined
  readonly follow: (listener: FollowListener) => () => void
  /** Resolves with undefined if `after` is no longer in the stream. */
  readonly read: (
    stream: StreamName,
    after: EntryId,
    upTo: EntryId,
    count: number,
  ) => Promise<EntryPage | undefined>
  /** Tells the workers that a client here follows device events. Best effort. */
  readonly announceListening: () => Promise<void>
  readonly telemetry: {
    sseClients(count: number): void
    sseEventsSent(count: number): void
    sseDropped(reason: SseDropReason): void
  }
}

export type EventHubLimits = {
  readonly maxClients: number
  readonly pingIntervalMs: number
  /** Bytes that may wait for one client; a client that reads too slowly is dropped and can resume. */
  readonly maxBufferedBytes: number
}

export const EVENT_HUB_LIMITS: EventHubLimits = {
  maxClients: 2_000,
  pingIntervalMs: 15_000,
  maxBufferedBytes: 1024 * 1024,
}

const ENTRIES_PER_PAGE = 200
/** An entry has up to 64 KiB: one write must not exceed the buffer limit of a client that is only catching up. */
const ENTRIES_PER_WRITE = 10
const LONGEST_DRAIN_MS = 10_000
const LONGEST_END_MS = 500

type Client = {
  readonly response: ServerResponse
  readonly filter: EventFilter
  /** Events that it has seen through another api but that we have not followed yet: they are not sent again. */
  ahead: EventPosition | undefined
}

/**
 * All clients that follow events through this process. A client first catches up by reading the streams from its
 * position to ours. In the same turn of the event loop in which it reaches ours it becomes live, and from then on
 * receives what we follow: nothing is missed in between, and nothing is sent twice.
 *
 * Events are serialised once per filter; all live clients with that filter share the bytes.
 */
export class EventHub {
  readonly #ports: EventPorts
  readonly #limits: EventHubLimits
  readonly #open = new Set<Client>()
  readonly #live = new Set<Client>()
  readonly #timers: NodeJS.Timeout[]
  readonly #unfollow: () => void

  constructor(ports: EventPorts, limits: EventHubLimits) {
    this.#ports = ports
    this.#limits = limits
    this.#unfollow = ports.follow({
      events: (events, from) => this.#send(events, from),
      reset: (streams) => this.#reset(streams),
    })
    this.#timers = [
      setInterval(() => this.#ping(), limits.pingIntervalMs).unref(),
      setInterval(() => this.#announce(), ANNOUNCE_INTERVAL_MS).unref(),
    ]
  }

  /** @throws ProblemError if there are too many clients, or nothing to follow yet. */
  assertRoom(): void {
    if (this.#open.size >= this.#limits.maxClients) {
      this.#ports.telemetry.sseDropped('limit')
      throw new ProblemError('too_many_streams')
    }
    if (this.#ports.position() === undefined) {
      throw new ProblemError('events_unavailable')
    }
  }

  /**
   * @param response whose head has been written.
   * @param from where the client was; undefined: it is new; 'unknown': it sent an event id that we can't read.
   */
  async serve(response: ServerResponse, filter: EventFilter, from: EventPosition | 'unknown' | undefined) {
    // It has already emitted 'close'.
    if (response.destroyed) return
    const client: Client = { response, filter, ahead: undefined }
    this.#open.add(client)
    this.#countClients()
    response.once('close', () => this.#forget(client))
    response.on('error', () => this.#forget(client))
    if (filter.streams.has('device')) this.#announce()
    const position = this.#ports.position()
    if (position === undefined) return this.#drop(client, 'resume_failed')
    if (from === undefined) return this.#goLive(client, position)
    if (from === 'unknown') return this.#startOver(client, position)
    try {
      await this.#catchUp(client, from)
    } catch {
      // Redis can't be read: the client reconnects and resumes from its last event id.
      this.#drop(client, 'resume_failed')
    }
  }

  /** Ends every stream. */
  close(): void {
    this.#unfollow()
    for (const timer of this.#timers) clearInterval(timer)
    for (const { response } of this.#open) {
      response.end()
      // A client that does not read would delay our shutdown.
      setTimeout(() => response.destroy(), LONGEST_END_MS).unref()
      this.#ports.telemetry.sseDropped('shutdown')
    }
    this.#open.clear()
    this.#live.clear()
    this.#countClients()
  }

  async #catchUp(client: Client, from: EventPosition): Promise<void> {
    const { position, read } = this.#ports
    const { streams } = client.filter
    let at = from
    // The first round checks in each stream that the position still exists, even if there is nothing to read.
    for (let isFirst = true; this.#open.has(client); isFirst = false) {
      const target = position()
      if (target === undefined) return this.#drop(client, 'resume_failed')
      const open = [...streams].filter((name) => isFirst || compareEntryIds(at[name], target[name]) < 0)
      if (open.length === 0) return this.#goLive(client, at)
      const events: StreamEvent[] = []
      const next = { ...at }
      for (const stream of open) {
        const page = await read(stream, at[stream], target[stream], ENTRIES_PER_PAGE)
        if (page === undefined) return this.#startOver(client, position() ?? target)
        next[stream] = page.next
        events.push(...page.entries.map((entry) => ({ stream, entry })))
      }
      events.sort((a, b) => compareEntryIds(a.entry.id, b.entry.id))
      for (let i = 0; i < events.length; i += ENTRIES_PER_WRITE) {
        const batch = events.slice(i, i + ENTRIES_PER_WRITE)
        this.#write(client, this.#serialise(batch, at, client.filter))
        for (const { stream, entry } of batch) at = { ...at, [stream]: entry.id }
        await this.#drained(client)
      }
      at = next
    }
  }

  /** The client has everything up to `at`. */
  #goLive(client: Client, at: EventPosition): void {
    const position = this.#ports.position()
    if (position === undefined || !this.#open.has(client)) return
    const { streams } = client.filter
    // In a stream that it does not follow, its position is ours.
    const place = {
      update: streams.has('update') ? at.update : position.update,
      device: streams.has('device') ? at.device : position.device,
    }
    client.ahead = hasReached(position, place, streams) ? undefined : place
    this.#live.add(client)
    this.#write(client, { bytes: Buffer.from(pingFrame(furthest(position, place))), count: 0 })
  }

  #startOver(client: Client, at: EventPosition): void {
    const bytes = Buffer.from(resetFrame(client.filter.streams, 'position_unknown', at))
    this.#write(client, { bytes, count: 1 })
    this.#goLive(client, at)
  }

  #send(events: readonly StreamEvent[], from: EventPosition): void {
    const position = this.#ports.position()
    if (position === undefined) return
    const serialised = new Map<string, SerialisedEvents>()
    for (const client of this.#live) {
      const { ahead, filter } = client
      if (ahead !== undefined) {
        const unseen = events.filter(({ stream, entry }) => compareEntryIds(entry.id, ahead[stream]) > 0)
        this.#write(client, this.#serialise(unseen, furthest(from, ahead), filter))
        const place = furthest(position, ahead)
        client.ahead = hasReached(position, place, filter.streams) ? undefined : place
        continue
      }
      let frames = serialised.get(filter.key)
      if (frames === undefined) {
        frames = this.#serialise(events, from, filter)
        serialised.set(filter.key, frames)
      }
      this.#write(client, frames)
    }
  }

  #reset(streams: readonly StreamName[]): void {
    const position = this.#ports.position()
    if (position === undefined) return
    for (const client of this.#live) {
      const lost = streams.filter((name) => client.filter.streams.has(name))
      if (lost.length === 0) continue
      client.ahead = undefined
      this.#write(client, { bytes: Buffer.from(resetFrame(lost, 'position_lost', position)), count: 1 })
    }
  }

  #ping(): void {
    const position = this.#ports.position()
    if (position === undefined) return
    const common = Buffer.from(pingFrame(position))
    for (const client of this.#live) {
      const bytes =
        client.ahead === undefined ? common : Buffer.from(pingFrame(furthest(position, client.ahead)))
      this.#write(client, { bytes, count: 0 })
    }
  }

  #announce(): void {
    for (const { filter } of this.#open) {
      if (!filter.streams.has('device')) continue
      this.#ports.announceListening().catch(() => undefined) // repeated every few seconds
      return
    }
  }

  /** @param from the position before the first of the events. */
  #serialise(events: readonly StreamEvent[], from: EventPosition, filter: EventFilter): SerialisedEvents {
    let at = from
    let text = ''
    let count = 0
    for (const event of events) {
      at = { ...at, [event.stream]: event.entry.id }
      const frame = eventFrame(event, at, filter)
      if (frame === undefined) continue
      text += frame
      count++
    }
    return { bytes: Buffer.from(text), count }
  }

  #write(client: Client, { bytes, count }: SerialisedEvents): void {
    if (bytes.length === 0 || !this.#open.has(client)) return
    client.response.write(bytes)
    if (count > 0) this.#ports.telemetry.sseEventsSent(count)
    if (client.response.writableLength > this.#limits.maxBufferedBytes) this.#drop(client, 'slow')
  }

  async #drained({ response }: Client): Promise<void> {
    if (!response.writableNeedDrain) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, LONGEST_DRAIN_MS)
    response.once('drain', resolve).once('close', resolve)
    await promise
    clearTimeout(timer)
    response.off('drain', resolve).off('close', resolve)
  }

  #drop(client: Client, reason: SseDropReason): void {
    if (!this.#open.has(client)) return
    this.#forget(client)
    this.#ports.telemetry.sseDropped(reason)
    client.response.destroy()
  }

  #forget(client: Client): void {
    if (!this.#open.delete(client)) return
    this.#live.delete(client)
    this.#countClients()
  }

  #countClients(): void {
    this.#ports.telemetry.sseClients(this.#open.size)
  }
}

type SerialisedEvents = { readonly bytes: Buffer; readonly count: number }
