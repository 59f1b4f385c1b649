import {
  UPDATE_STREAM_KEY,
  UPDATE_TYPES_KEY,
  UPDATER_GAPS_KEY,
  UPDATER_LEASE_KEY,
} from '../../../shared/contract/keys.ts'
import { redisError } from '../../../shared/errors.ts'
import type { KvUpdate } from '../../core/events/kv-update.ts'
import type { GapReason } from '../../core/events/stream-entry.ts'
import { redisReply } from '../reply.ts'
import { createScriptRunner } from '../script.ts'
import type { RedisClient } from '../redis-client.ts'

export type StateWritten = {
  /** False: another updater holds the lease and appends the event. */
  readonly isAppended: boolean
  /** The value is set, but appending the event failed. */
  readonly streamError: string | undefined
  /** What Redis holds after the write; undefined if it was not read back. */
  readonly readBack: string | undefined
  /** Number of gaps that holders of the lease had appended before. */
  readonly gaps: number
}

/** Sets values and appends them to the update stream in one atomic step. Rejects with a ServiceError. */
export type StateWriter = {
  /** @param gap reason of a gap to append before the update; undefined: no gap. */
  write(update: KvUpdate, gap: GapReason | undefined, isReadBack: boolean): Promise<StateWritten>
  /** Resolves with false if another process holds the lease: its holder appended a gap when it took the lease. */
  appendGap(reason: GapReason): Promise<boolean>
  /** Appends a gap behind values that were set without an event, even if another process holds the lease. */
  appendLateGap(): Promise<void>
  /** Whether we hold the lease at this moment, and the number of gaps that its holders have appended. */
  standing(): Promise<{ readonly isHolder: boolean; readonly gaps: number }>
}

/** Lets a client resume after some minutes. An entry is at most 64 KiB, and usually below 1 KiB. */
const UPDATES_KEPT = 2_000

/**
 * @param holder our name as a holder of the lease.
 * @param patienceMs how long a write waits for the connection. After a restart of Redis the subscription may be back
 * before this connection, and updates that arrive in between must not be lost.
 */
export function createStateWriter(redis: RedisClient, holder: string, patienceMs: number): StateWriter {
  const setState = createScriptRunner(redis, new URL('./set-state.lua', import.meta.url))
  const append = createScriptRunner(redis, new URL('./append-gap.lua', import.meta.url))
  async function appendGapAs(name: string, reason: GapReason): Promise<unknown> {
    const keys = [UPDATER_LEASE_KEY, UPDATE_STREAM_KEY, UPDATER_GAPS_KEY]
    const [appended] = await append([{ keys, args: [name, reason, UPDATES_KEPT] }])
    return appended
  }
  return {
    async write({ type, value, event }, gap, isReadBack) {
      const keys = [type, UPDATE_TYPES_KEY, UPDATER_LEASE_KEY, UPDATE_STREAM_KEY, UPDATER_GAPS_KEY]
      const args = [value, holder, event, UPDATES_KEPT, gap ?? '', isReadBack ? '1' : '']
      await connected(redis, patienceMs)
      const [reply] = await setState([{ keys, args }])
      if (!Array.isArray(reply)) throw redisError(new Error('set-state.lua returned an unexpected reply'))
      const [status, readBack, gaps]: unknown[] = reply
      return {
        isAppended: status === 1,
        streamError: typeof status === 'string' ? status : undefined,
        readBack: typeof readBack === 'string' ? readBack : undefined,
        gaps: Number(gaps),
      }
    },
    async appendGap(reason) {
      return (await appendGapAs(holder, reason)) === 1
    },
    async appendLateGap() {
      await appendGapAs('', 'set_late')
    },
    async standing() {
      const [lease, gaps] = await redisReply(
        Promise.all([redis.get(UPDATER_LEASE_KEY), redis.get(UPDATER_GAPS_KEY)]),
      )
      return { isHolder: lease === holder, gaps: Number(gaps ?? 0) }
    },
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
