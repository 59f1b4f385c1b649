import type { Redis } from 'ioredis'
import { redisError } from '../../../shared/errors.ts'
import { DEVICE_STREAM_KEY, LISTENING_KEY, UPDATE_STREAM_KEY } from '../../../shared/contract/keys.ts'
import {
  BEFORE_ALL,
  type EntryId,
  type EventPosition,
  type StreamName,
} from '../../core/events/event-position.ts'
import {
  gapFields,
  hintFields,
  parseEntry,
  type EntryPage,
  type GapReason,
  type StreamEntry,
} from '../../core/events/stream-entry.ts'

export const STREAM_KEYS: Readonly<Record<StreamName, string>> = {
  update: UPDATE_STREAM_KEY,
  device: DEVICE_STREAM_KEY,
}

/** Rejects with a ServiceError. */
export type EventStreams = {
  /** The end of both streams: whoever reads on from there misses nothing that comes. */
  end(): Promise<EventPosition>
  /**
   * Some entries after `after`, up to and with `upTo`. undefined: `after` is no longer in the stream, and with
   * it what came next may be gone.
   */
  read(stream: StreamName, after: EntryId, upTo: EntryId, count: number): Promise<EntryPage | undefined>
}

export function createEventStreams(redis: Redis): EventStreams {
  return {
    async end() {
      try {
        const [update, device] = await Promise.all([
          redis.xrevrange(STREAM_KEYS.update, '+', '-', 'COUNT', 1),
          redis.xrevrange(STREAM_KEYS.device, '+', '-', 'COUNT', 1),
        ])
        return { update: update[0]?.[0] ?? BEFORE_ALL, device: device[0]?.[0] ?? BEFORE_ALL }
      } catch (error) {
        throw redisError(error)
      }
    },
    async read(stream, after, upTo, count) {
      try {
        const found = await redis.xrange(STREAM_KEYS[stream], `(${after}`, upTo, 'COUNT', count)
        // Afterwards: streams lose their oldest entries first, so if this one is there nothing after it was lost.
        if (!(await isInStream(redis, stream, after))) return undefined
        return {
          entries: parseEntries(found),
          next: found.at(-1)?.[0] ?? after,
        }
      } catch (error) {
        throw redisError(error)
      }
    },
  }
}

export function parseEntries(found: readonly [id: string, fields: string[]][]): StreamEntry[] {
  return found.flatMap(([id, fields]) => parseEntry(id, fields) ?? [])
}

/** True if everything after this entry is still in the stream. */
export async function isInStream(redis: Redis, stream: StreamName, id: EntryId): Promise<boolean> {
  const key = STREAM_KEYS[stream]
  if (id !== BEFORE_ALL) return (await redis.xrange(key, id, id, 'COUNT', 1)).length === 1
  // Before all: true as long as no entry ever left.
  if ((await redis.exists(key)) === 0) return true
  const facts: unknown = await redis.xinfo('STREAM', key)
  if (!Array.isArray(facts)) return false
  const fact = (name: string): unknown => facts[facts.indexOf(name) + 1]
  return fact('length') === fact('entries-added')
}

/** Hints about devices. Best effort: who appends does not wait for it, and ignores a failure. */
export type HintAppender = {
  hint(kind: 'changed' | 'deleted', deviceIds: readonly string[], more: number): Promise<void>
  gap(reason: GapReason): Promise<void>
  /** Does anybody listen? */
  isHeard(): Promise<boolean>
}

/** Some minutes of a busy fleet: each is 20 KiB at most. */
const HINTS_KEPT = 1_000

export function createHintAppender(redis: Redis): HintAppender {
  async function append(fields: readonly string[]): Promise<void> {
    try {
      await redis.xadd(DEVICE_STREAM_KEY, 'MAXLEN', '~', HINTS_KEPT, '*', ...fields)
    } catch (error) {
      throw redisError(error)
    }
  }
  return {
    hint: (kind, deviceIds, more) => append(hintFields(kind, deviceIds, more)),
    gap: (reason) => append(gapFields(reason)),
    async isHeard() {
      try {
        return (await redis.exists(LISTENING_KEY)) === 1
      } catch (error) {
        throw redisError(error)
      }
    },
  }
}

/** Tells the workers that somebody listens to the events of devices. It is true for `ttlMs`. */
export async function announceListening(redis: Redis, ttlMs: number): Promise<void> {
  try {
    await redis.set(LISTENING_KEY, '1', 'PX', ttlMs)
  } catch (error) {
    throw redisError(error)
  }
}
