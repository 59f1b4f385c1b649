import { clearerFailure, redisError, type ServiceError } from '../../../shared/errors.ts'
import { backoffMs } from '../../core/backoff.ts'
import { failureText } from '../../core/operator-hint.ts'
import { STREAM_NAMES, type EventPosition, type StreamName } from '../../core/events/event-position.ts'
import type { FollowListener, StreamEvent } from '../../core/events/stream-entry.ts'
import type { LoopMonitor } from '../../lifecycle/loops.ts'
import type { Service } from '../../lifecycle/service.ts'
import { sleep } from '../../lifecycle/sleep.ts'
import { redisReply } from '../reply.ts'
import {
  createEventStreams,
  isInStream,
  parseEntries,
  STREAM_KEYS,
  type EventStreams,
} from './event-streams.ts'
import type { RedisClient } from '../redis-client.ts'
import type { NotReadyReason } from '../../lifecycle/readiness.ts'

export type FollowerDependencies = {
  /** A dedicated connection: it is blocked most of the time. */
  readonly redis: RedisClient
  /** See followerBlockMs. */
  readonly blockMs: number
  readonly failed: (error: ServiceError) => void
  readonly monitor: LoopMonitor
  readonly random: () => number
}

const LONGEST_BLOCK_MS = 5_000
/** Both streams together: an update has up to 64 KiB. */
const ENTRIES_PER_READ = 64
const SLOWEST_RETRY_ATTEMPT = 5

/** @param timeoutMs the silence after which the connection counts as lost. */
export function followerBlockMs(timeoutMs: number): number {
  return Math.min(LONGEST_BLOCK_MS, timeoutMs / 2)
}

/**
 * Follows both streams from their end with one blocking XREAD for all listeners of this process.
 *
 * After a failure it checks whether its position is still in the streams. If it is not (they were trimmed, or Redis
 * lost its data), it continues at their end and sends a reset to the listeners. It also sends one if entries were
 * trimmed before it could read them.
 */
export class EventFollower implements Service {
  readonly name = 'event follower'
  readonly #dependencies: FollowerDependencies
  readonly #streams: EventStreams
  readonly #listeners = new Set<FollowListener>()
  #position: EventPosition | undefined
  #lastError: ServiceError | undefined
  #connectionError: ServiceError | undefined

  constructor(dependencies: FollowerDependencies) {
    this.#dependencies = dependencies
    this.#streams = createEventStreams(dependencies.redis)
    // Already logged by the client; kept as the reason for not being ready.
    dependencies.redis.on(
      'error',
      (error) => (this.#connectionError = clearerFailure(this.#connectionError, redisError(error))),
    )
  }

  /** undefined until the end of the streams has been read. */
  get position(): EventPosition | undefined {
    return this.#position
  }

  /** @returns a function that removes the listener. */
  follow(listener: FollowListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  notReadyReasons(): NotReadyReason[] {
    if (this.#position !== undefined && this.#lastError === undefined) return []
    const reason = this.#lastError === undefined ? 'no attempt yet' : failureText(this.#lastError)
    return [`not following the event streams: ${reason}`]
  }

  async run(stop: AbortSignal): Promise<void> {
    const { blockMs, failed, monitor, random, redis } = this.#dependencies
    // Ends a blocked read.
    stop.addEventListener('abort', () => redis.disconnect(), { once: true })
    let failures = 0
    let isPositionChecked = false
    while (!stop.aborted) {
      monitor.turned(this.name, blockMs)
      try {
        if (!isPositionChecked) await this.#checkPosition()
        isPositionChecked = true
        await this.#read()
        failures = 0
        this.#lastError = undefined
        this.#connectionError = undefined
      } catch (error) {
        if (stop.aborted) break
        isPositionChecked = false
        this.#lastError = clearerFailure(this.#connectionError, redisError(error))
        failed(this.#lastError)
        failures = Math.min(failures + 1, SLOWEST_RETRY_ATTEMPT)
        await sleep(backoffMs(failures, random()), stop)
      }
    }
    monitor.ended(this.name)
  }

  async #read(): Promise<void> {
    const { blockMs, redis } = this.#dependencies
    const position = this.#position ?? (await this.#streams.end())
    const keys = STREAM_NAMES.map((name) => STREAM_KEYS[name])
    const ids = STREAM_NAMES.map((name) => position[name])
    const read = redis.xread('COUNT', ENTRIES_PER_READ, 'BLOCK', blockMs, 'STREAMS', ...keys, ...ids)
    const reply = await redisReply(read)
    if (reply === null) return
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
    // A stream loses its oldest entries first: if our position is still there after the read, no entry was missed.
    const lost: StreamName[] = []
    for (const stream of behind) {
      if (!(await isInStream(redis, stream, position[stream]))) lost.push(stream)
    }
    this.#position = next
    if (lost.length > 0) this.#notify((listener) => listener.reset(lost))
    if (events.length > 0) this.#notify((listener) => listener.events(events, position))
  }

  /** Starts at the end of the streams. Later, moves to the end of every stream that has lost our position. */
  async #checkPosition(): Promise<void> {
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
    this.#notify((listener) => listener.reset(lost))
  }

  #notify(notify: (listener: FollowListener) => void): void {
    for (const listener of this.#listeners) notify(listener)
  }
}
