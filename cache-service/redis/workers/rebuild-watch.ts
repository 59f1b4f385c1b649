import { DEVICE_INDEX_KEY } from '../../../shared/contract/keys.ts'
import { redisError, type ServiceError } from '../../../shared/errors.ts'
import { isRebuildPending, type ProgressFields } from '../../core/workers/rebuild.ts'
import { ELSEWHERE, scatter } from '../cluster/scatter.ts'
import { replyOfOwner } from '../cluster/slots.ts'
import type { ScriptTarget } from '../script.ts'
import { progressKeys } from './group-progress.ts'
import type { WorkerReports } from './worker-reports.ts'
import type { RedisClient } from '../redis-client.ts'

export type RebuildWatch = {
  /**
   * Whether a device that is missing in Redis may still exist. May be called for every missing device: it reads at most
   * once per second. Rejects with a ServiceError.
   */
  isRebuilding(): Promise<boolean>
}

const CACHED_MS = 1_000

/** The progress under one key, or why its master does not tell it. */
type Copy =
  | { readonly kind: 'progress'; readonly fields: ProgressFields }
  | { readonly kind: 'unavailable'; readonly error: ServiceError }

/** @param configured the group and the topic whose progress counts even if no worker reports them. */
export function createRebuildWatch(
  redis: RedisClient,
  reports: WorkerReports,
  configured: { readonly group: string; readonly topic: string },
  monotonicNow: () => number,
): RebuildWatch {
  let cached: { readonly readMs: number; readonly isRebuilding: Promise<boolean> } | undefined

  async function read(): Promise<boolean> {
    const live = await reports.read()
    const keys = new Set(progressKeys(redis, configured.group, configured.topic))
    for (const { group, topic } of live) {
      if (group === undefined || topic === undefined) continue
      for (const key of progressKeys(redis, group, topic)) keys.add(key)
    }
    const [indexes, copies] = await Promise.all([
      replyOfOwner(redis, DEVICE_INDEX_KEY, redis.exists(DEVICE_INDEX_KEY)),
      readProgress([...keys]),
    ])
    const progress = copies.flatMap((copy) => (copy.kind === 'progress' ? [copy.fields] : []))
    const failure = copies.find((copy) => copy.kind === 'unavailable')?.error
    if (failure === undefined) return isRebuildPending(live, progress, indexes === 1)
    // What the other masters hold can show that a rebuild is pending, but not that none is.
    if (isRebuildPending(live, progress, true)) return true
    throw failure
  }

  async function readProgress(keys: readonly string[]): Promise<Copy[]> {
    return await scatter<string, Copy>(
      redis,
      keys,
      (key) => key,
      readHashes,
      (error) => ({ kind: 'unavailable', error }),
    )
  }

  return {
    isRebuilding() {
      if (cached !== undefined && monotonicNow() - cached.readMs < CACHED_MS) return cached.isRebuilding
      const isRebuilding = read()
      const entry = { readMs: monotonicNow(), isRebuilding }
      cached = entry
      isRebuilding.catch(() => {
        // A failure is not cached: the next call reads again.
        if (cached === entry) cached = undefined
      })
      return isRebuilding
    },
  }
}

/** @returns ELSEWHERE for a key whose slot has moved, or is just moving. */
async function readHashes(
  { kind, redis }: ScriptTarget,
  keys: readonly string[],
): Promise<(Copy | typeof ELSEWHERE)[]> {
  const replies = keys.map(async (key): Promise<Copy | typeof ELSEWHERE> => {
    try {
      return { kind: 'progress', fields: await redis.hgetall(key) }
    } catch (error) {
      const failure = redisError(error)
      if (kind === 'master' && (failure.code === 'MOVED' || failure.code === 'ASK')) return ELSEWHERE
      throw failure
    }
  })
  return await Promise.all(replies)
}
