import { DEVICE_INDEX_KEY } from '../../../shared/contract/keys.ts'
import { isRebuildPending } from '../../core/workers/rebuild.ts'
import { redisReply } from '../reply.ts'
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
    const [indexes, ...progress] = await redisReply(
      Promise.all([redis.exists(DEVICE_INDEX_KEY), ...[...keys].map((key) => redis.hgetall(key))]),
    )
    return isRebuildPending(live, progress, indexes === 1)
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
