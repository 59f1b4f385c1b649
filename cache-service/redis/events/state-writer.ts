import {
  UPDATE_STREAM_KEY,
  UPDATE_TYPES_KEY,
  UPDATER_GAPS_KEY,
  UPDATER_LEASE_KEY,
} from '../../../shared/contract/keys.ts'
import { redisError, type ServiceError } from '../../../shared/errors.ts'
import type { KvUpdate } from '../../core/events/kv-update.ts'
import type { GapReason } from '../../core/events/stream-entry.ts'
import { redisReply } from '../reply.ts'
import { ConnectionWatch } from '../connections-of.ts'
import { createScriptRunner } from '../script.ts'
import type { RedisClient } from '../redis-client.ts'

export type StateWritten = {
  /** False: another updater holds the lease and appends the event, or appending failed. */
  readonly isAppended: boolean
  /** The value is set, but the event may not be in the stream. */
  readonly streamError: ServiceError | undefined
  /** What Redis holds after the write; undefined if it was not read back. */
  readonly readBack: string | undefined
  /** Number of gaps that holders of the lease had appended before; undefined: unknown, because of `streamError`. */
  readonly gaps: number | undefined
}

/**
 * Sets values and appends them to the update stream: in two steps, because a Cluster may keep them on two servers. Who sees the
 * event finds the value; the reverse need not be so for a moment, as it is not while a process without the lease sets values.
 */
export type StateWriter = {
  /**
   * Rejects with a ServiceError if the value may not be set.
   * @param gap reason of a gap to append before the update; undefined: no gap.
   */
  write(update: KvUpdate, gap: GapReason | undefined, isReadBack: boolean): Promise<StateWritten>
  /**
   * Resolves with false if another process holds the lease: its holder appended a gap when it took the lease.
   * Rejects with a ServiceError, like the following.
   */
  appendGap(reason: GapReason): Promise<boolean>
  /** Appends a gap behind values that were set without an event, even if another process holds the lease. */
  appendLateGap(): Promise<void>
  /** Whether we hold the lease at this moment, and the number of gaps that its holders have appended. */
  standing(): Promise<{ readonly isHolder: boolean; readonly gaps: number }>
  /** Whether events that were appended before the last call may be lost, because another server may have the stream now. */
  mayHaveLost(): boolean
}

/** Lets a client resume after some minutes. An entry is at most 64 KiB, and usually below 1 KiB. */
const UPDATES_KEPT = 2_000

/** More types than that come from a publisher that makes them up. */
const MAX_UNRECORDED = 10_000

/**
 * @param holder our name as a holder of the lease.
 * @param patienceMs how long a write waits for the connection. After a restart of Redis the subscription may be back
 * before this connection, and updates that arrive in between must not be lost.
 */
export function createStateWriter(redis: RedisClient, holder: string, patienceMs: number): StateWriter {
  const setValue = createScriptRunner(redis, new URL('./set-value.lua', import.meta.url))
  const appendUpdate = createScriptRunner(redis, new URL('./append-update.lua', import.meta.url))
  const watch = new ConnectionWatch(redis, UPDATE_STREAM_KEY)
  const append = createScriptRunner(redis, new URL('./append-gap.lua', import.meta.url))
  /** Their values are set, but they may not be in the set of types. Recorded before any gap, so that who reads again finds them. */
  const unrecorded = new Set<string>()

  async function recordTypes(): Promise<void> {
    if (unrecorded.size === 0) return
    const types = [...unrecorded]
    await redisReply(redis.sadd(UPDATE_TYPES_KEY, ...types))
    for (const type of types) unrecorded.delete(type)
  }

  async function appendGapAs(name: string, reason: GapReason): Promise<unknown> {
    await recordTypes()
    const keys = [UPDATER_LEASE_KEY, UPDATE_STREAM_KEY, UPDATER_GAPS_KEY]
    const [appended] = await append([{ keys, args: [name, reason, UPDATES_KEPT] }])
    return appended
  }

  async function appendEvent({ type, event }: KvUpdate, gap: GapReason | undefined): Promise<unknown[]> {
    if (gap !== undefined) await recordTypes()
    const keys = [UPDATE_TYPES_KEY, UPDATER_LEASE_KEY, UPDATE_STREAM_KEY, UPDATER_GAPS_KEY]
    const [reply] = await appendUpdate([{ keys, args: [type, holder, event, UPDATES_KEPT, gap ?? ''] }])
    if (!Array.isArray(reply)) throw redisError(new Error('append-update.lua returned an unexpected reply'))
    return reply
  }

  return {
    async write(update, gap, isReadBack) {
      const { type, value } = update
      await connected(redis, patienceMs)
      const [found] = await setValue([{ keys: [type], args: [value, isReadBack ? '1' : ''] }])
      const readBack = typeof found === 'string' ? found : undefined
      try {
        const [status, gaps] = await appendEvent(update, gap)
        return {
          isAppended: status === 1,
          streamError: typeof status === 'string' ? redisError(new Error(status)) : undefined,
          readBack,
          gaps: Number(gaps),
        }
      } catch (error) {
        if (unrecorded.size < MAX_UNRECORDED) unrecorded.add(type)
        return { isAppended: false, streamError: redisError(error), readBack, gaps: undefined }
      }
    },
    async appendGap(reason) {
      return (await appendGapAs(holder, reason)) === 1
    },
    async appendLateGap() {
      await appendGapAs('', 'set_late')
    },
    async standing() {
      await recordTypes()
      const [lease, gaps] = await redisReply(
        Promise.all([redis.get(UPDATER_LEASE_KEY), redis.get(UPDATER_GAPS_KEY)]),
      )
      return { isHolder: lease === holder, gaps: Number(gaps ?? 0) }
    },
    mayHaveLost: () => watch.wasReplaced(),
  }
}

/** Resolves when there is a connection or the time is up; in the latter case the next command reports the failure. */
async function connected(redis: RedisClient, patienceMs: number): Promise<void> {
  if (redis.status === 'ready') return
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, patienceMs)
  redis.once('ready', resolve)
  await promise
  clearTimeout(timer)
  redis.off('ready', resolve)
}
