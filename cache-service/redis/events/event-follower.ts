import type { Redis } from 'ioredis'
import { redisError, type ServiceError } from '../../../shared/errors.ts'
import { backoffMs } from '../../core/backoff.ts'
import { STREAM_NAMES, type EventPosition, type StreamName } from '../../core/events/event-position.ts'
import type { FollowListener, StreamEvent } from '../../core/events/stream-entry.ts'
import type { LoopMonitor } from '../../lifecycle/loops.ts'
import type { Service } from '../../lifecycle/service.ts'
import { sleep } from '../../lifecycle/sleep.ts'
import {
  createEventStreams,
  isInStream,
  parseEntries,
  STREAM_KEYS,
  type EventStreams,
} from './event-streams.ts'

export type FollowerDependencies = {
  /** A connection of its own: it is blocked most of the time. */
  readonly redis: Redis
  /** Shorter than the silence after which the connection counts as lost. */
  readonly blockMs: number
  readonly failed: (error: ServiceError) => void
  readonly monitor: LoopMonitor
  readonly random: () => number
}

const ENTRIES_PER_READ = 256
const SLOWEST_RETRY_ATTEMPT = 5

/**
 * Follows both streams from their end, for everyone in this process, by one blocked XREAD.
 *
 * After a failure, and whenever it has fallen behind, it asks whether its place is still in the streams. If
 * not (trimmed meanwhile, or Redis lost its data) it goes on at their end, and says so.
 */
export class EventFollower implements Service {
  readonly name = 'event follower'
  readonly #dependencies: FollowerDependencies
  readonly #streams: EventStreams
  readonly #listeners = new Set<FollowListener>()
  #position: EventPosition | undefined
  #lastError: ServiceError | undefined

  constructor(dependencies: FollowerDependencies) {
    this.#dependencies = dependencies
    this.#streams = createEventStreams(dependencies.redis)
  }

  /** undefined until the streams have been found. */
  get position(): EventPosition | undefined {
    return this.#position
  }

  /** @returns how to end it. */
  follow(listener: FollowListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  notReadyReasons(): string[] {
    if (this.#position !== undefined && this.#lastError === undefined) return []
    return [`not following the events: ${this.#lastError?.message ?? 'not tried yet'}`]
  }

  async run(stop: AbortSignal): Promise<void> {
    const { blockMs, failed, monitor, random, redis } = this.#dependencies
    // It ends a read that is blocked.
    stop.addEventListener('abort', () => redis.disconnect(), { once: true })
    let failures = 0
    let isSure = false
    while (!stop.aborted) {
      monitor.turned(this.name, blockMs)
      try {
        if (!isSure) await this.#findPlace()
        isSure = await this.#read()
        failures = 0
        this.#lastError = undefined
      } catch (error) {
        if (stop.aborted) break
        isSure = false
        this.#lastError = redisError(error)
        failed(this.#lastError)
        failures = Math.min(failures + 1, SLOWEST_RETRY_ATTEMPT)
        await sleep(backoffMs(failures, random()), stop)
      }
    }
    monitor.ended(this.name)
  }

  /** One read. False: we may have fallen behind what the streams keep. */
  async #read(): Promise<boolean> {
    const { blockMs, redis } = this.#dependencies
    const position = this.#position ?? (await this.#streams.end())
    const keys = STREAM_NAMES.map((name) => STREAM_KEYS[name])
    const ids = STREAM_NAMES.map((name) => position[name])
    const reply = await redis.xread('COUNT', ENTRIES_PER_READ, 'BLOCK', blockMs, 'STREAMS', ...keys, ...ids)
    if (reply === null) return true
    const next = { ...position }
    const events: StreamEvent[] = []
    const behind: StreamName[] = []
    for (const [key, found] of reply) {
      const stream = STREAM_NAMES.find((name) => STREAM_KEYS[name] === key)
      if (stream === undefined) continue
      next[stream] = found.at(-1)?.[0] ?? next[stream]
      for (const entry of parseEntries(found)) events.push({ stream, entry })
      if (found.length === ENTRIES_PER_READ) behind.push(stream)
    }
    // Entries leave a stream at its old end only: if our place was still there after the read, none is missing.
    const lost: StreamName[] = []
    for (const stream of behind) {
      if (!(await isInStream(redis, stream, position[stream]))) lost.push(stream)
    }
    this.#position = next
    if (lost.length > 0) this.#tell((listener) => listener.reset(lost))
    if (events.length > 0) this.#tell((listener) => listener.events(events, position))
    return true
  }

  /** At first the end of the streams; later where we are, or their end again if that is gone. */
  async #findPlace(): Promise<void> {
    const position = this.#position
    const end = await this.#streams.end()
    if (position === undefined) {
      this.#position = end
      return
    }
    const next = { ...position }
    const lost: StreamName[] = []
    for (const stream of STREAM_NAMES) {
      if (await isInStream(this.#dependencies.redis, stream, position[stream])) continue
      next[stream] = end[stream]
      lost.push(stream)
    }
    if (lost.length === 0) return
    this.#position = next
    this.#tell((listener) => listener.reset(lost))
  }

  #tell(tell: (listener: FollowListener) => void): void {
    for (const listener of this.#listeners) tell(listener)
  }
}
