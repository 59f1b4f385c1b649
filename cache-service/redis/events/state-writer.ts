import type { Redis } from 'ioredis'
import { redisError } from '../../../shared/errors.ts'
import { UPDATE_STREAM_KEY, UPDATE_TYPES_KEY, UPDATER_LEASE_KEY } from '../../../shared/contract/keys.ts'
import type { KvUpdate } from '../../core/events/kv-update.ts'
import type { GapReason } from '../../core/events/stream-entry.ts'
import { createScriptRunner, readScript } from '../script.ts'

export type StateWritten = {
  /** False: another updater holds the lease, and appends. */
  readonly isAppended: boolean
  /** The value is set, but the stream refused the event. */
  readonly streamError: string | undefined
  /** What Redis holds after the write; undefined if it was not asked for. */
  readonly readBack: string | undefined
}

/** Sets values and appends to the stream of updates, both or neither. Rejects with a ServiceError. */
export type StateWriter = {
  /** @param gap why a gap has to go before the update. */
  write(update: KvUpdate, gap: GapReason | undefined, isReadBack: boolean): Promise<StateWritten>
  /** False if the lease is not ours: then whoever holds it has appended one. */
  appendGap(reason: GapReason): Promise<boolean>
  /** Is the lease ours at this moment? */
  isHolder(): Promise<boolean>
}

/** So that a client finds its place again after some minutes. Each is 64 KiB at most, as a rule below 1 KiB. */
const UPDATES_KEPT = 2_000

/**
 * @param holder our name as a holder of the lease.
 * @param patienceMs how long a write waits for a connection that is being made: after a restart of Redis the
 *   subscription may be back before this one is, and what comes on it must not be lost for that.
 */
export function createStateWriter(redis: Redis, holder: string, patienceMs: number): StateWriter {
  const setState = createScriptRunner(redis, readScript(new URL('./set-state.lua', import.meta.url)))
  const append = createScriptRunner(redis, readScript(new URL('./append-gap.lua', import.meta.url)))
  return {
    async write({ type, value, event }, gap, isReadBack) {
      const keys = [type, UPDATE_TYPES_KEY, UPDATER_LEASE_KEY, UPDATE_STREAM_KEY]
      const args = [value, holder, event, UPDATES_KEPT, gap ?? '', isReadBack ? '1' : '']
      await connected(redis, patienceMs)
      const [reply] = await setState([{ keys, args }])
      if (!Array.isArray(reply)) throw redisError(new Error(`a script answered ${String(reply)}`))
      const [status, readBack]: unknown[] = reply
      return {
        isAppended: status === 1,
        streamError: typeof status === 'string' ? status : undefined,
        readBack: typeof readBack === 'string' ? readBack : undefined,
      }
    },
    async appendGap(reason) {
      const keys = [UPDATER_LEASE_KEY, UPDATE_STREAM_KEY]
      const [appended] = await append([{ keys, args: [holder, reason, UPDATES_KEPT] }])
      return appended === 1
    },
    async isHolder() {
      try {
        return (await redis.get(UPDATER_LEASE_KEY)) === holder
      } catch (error) {
        throw redisError(error)
      }
    },
  }
}

/** Resolves when there is a connection, or none has been made in time: the command that follows will say so. */
async function connected(redis: Redis, patienceMs: number): Promise<void> {
  if (redis.status === 'ready') return
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, patienceMs)
  redis.once('ready', resolve)
  await promise
  clearTimeout(timer)
  redis.off('ready', resolve)
}
