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
import { redisReply } from '../reply.ts'
import { replyOfOwner } from '../cluster/slots.ts'
import { ConnectionWatch } from '../connections-of.ts'
import type { RedisClient } from '../redis-client.ts'

export const STREAM_KEYS: Readonly<Record<StreamName, string>> = {
  update: UPDATE_STREAM_KEY,
  device: DEVICE_STREAM_KEY,
}

/** Rejects with a ServiceError. */
export type EventStreams = {
  /** The end of both streams: a client that reads from there misses no later entry. */
  end(): Promise<EventPosition>
  /**
   * At most `count` entries after `after`, up to and including `upTo`. Resolves with undefined if `after` is no longer
   * in the stream: later entries may be missing as well.
   */
  read(stream: StreamName, after: EntryId, upTo: EntryId, count: number): Promise<EntryPage | undefined>
}

export function createEventStreams(redis: RedisClient): EventStreams {
  const lastEntry = (stream: StreamName) => {
    const key = STREAM_KEYS[stream]
    return replyOfOwner(redis, key, redis.xrevrange(key, '+', '-', 'COUNT', 1))
  }
  return {
    async end() {
      const [update, device] = await Promise.all([lastEntry('update'), lastEntry('device')])
      return { update: update[0]?.[0] ?? BEFORE_ALL, device: device[0]?.[0] ?? BEFORE_ALL }
    },
    async read(stream, after, upTo, count) {
      const found = await redisReply(redis.xrange(STREAM_KEYS[stream], `(${after}`, upTo, 'COUNT', count))
      // Checked after reading: a stream loses its oldest entries first, so if `after` is still there, nothing after it
      // was lost.
      if (!(await isInStream(redis, stream, after))) return undefined
      return {
        entries: parseEntries(found),
        next: found.at(-1)?.[0] ?? after,
      }
    },
  }
}

export function parseEntries(found: readonly [id: string, fields: string[]][]): StreamEntry[] {
  return found.flatMap(([id, fields]) => parseEntry(id, fields) ?? [])
}

/** Whether everything after this entry is still in the stream. Rejects with a ServiceError. */
export async function isInStream(redis: RedisClient, stream: StreamName, id: EntryId): Promise<boolean> {
  const key = STREAM_KEYS[stream]
  if (id !== BEFORE_ALL) return (await redisReply(redis.xrange(key, id, id, 'COUNT', 1))).length === 1
  // From before the first entry: true if no entry has ever left the stream.
  if ((await redisReply(redis.exists(key))) === 0) return true
  const facts: unknown = await redisReply(redis.xinfo('STREAM', key))
  if (!Array.isArray(facts)) return false
  const fact = (name: string): unknown => facts[facts.indexOf(name) + 1]
  return fact('length') === fact('entries-added')
}

/** Appends hints about devices, best effort. Rejects with a ServiceError, which callers may ignore. */
export type HintAppender = {
  hint(kind: 'changed' | 'deleted', deviceIds: readonly string[], more: number): Promise<void>
  gap(reason: GapReason): Promise<void>
  /** Whether anyone is following the events of devices. */
  hasListeners(): Promise<boolean>
  /** Whether entries that were appended before the last call may be lost, because another server may have the stream now. */
  mayHaveLost(): boolean
}

/** A few minutes of a busy fleet; an entry is at most 20 KiB. */
const HINTS_KEPT = 1_000

export function createHintAppender(redis: RedisClient): HintAppender {
  const watch = new ConnectionWatch(redis, DEVICE_STREAM_KEY)
  async function append(fields: readonly string[]): Promise<void> {
    await redisReply(redis.xadd(DEVICE_STREAM_KEY, 'MAXLEN', '~', HINTS_KEPT, '*', ...fields))
  }
  return {
    hint: (kind, deviceIds, more) => append(hintFields(kind, deviceIds, more)),
    gap: (reason) => append(gapFields(reason)),
    async hasListeners() {
      return (await redisReply(redis.exists(LISTENING_KEY))) === 1
    },
    mayHaveLost: () => watch.wasReplaced(),
  }
}

/** Tells the workers, for `ttlMs`, that someone is following the events of devices. Rejects with a ServiceError. */
export async function announceListening(redis: RedisClient, ttlMs: number): Promise<void> {
  await redisReply(redis.set(LISTENING_KEY, '1', 'PX', ttlMs))
}
