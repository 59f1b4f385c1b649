import { progressKey } from '../../../shared/contract/keys.ts'
import { isCluster, type RedisClient } from '../redis-client.ts'
import { createScriptRunner } from '../script.ts'
import { createClusterProgressStore, progressCopyKeys } from './cluster-progress-store.ts'
import { progressFields } from './progress-fields.ts'
import { createServerProgressStore, type ProgressStore } from './progress-store.ts'

/** Of a consumer group and a topic. */
export function createProgressStore(redis: RedisClient, group: string, topic: string): ProgressStore {
  if (isCluster(redis)) return createClusterProgressStore(redis, group, topic)
  return createServerProgressStore(redis, progressKey(group, topic))
}

/** Where the progress of a group is: in one hash, or in a copy on each master of a Cluster. */
export function progressKeys(redis: RedisClient, group: string, topic: string): string[] {
  return isCluster(redis) ? progressCopyKeys(redis, group, topic) : [progressKey(group, topic)]
}

/**
 * Makes the workers of the group read these partitions again: deletes the progress, and leaves a mark that tells this
 * from a loss. Rejects with a ServiceError.
 */
export async function requestRebuild(
  redis: RedisClient,
  group: string,
  topic: string,
  partitions: readonly number[],
): Promise<void> {
  const request = createScriptRunner(redis, new URL('./request-rebuild.lua', import.meta.url))
  const args = partitions.map(progressFields.requested)
  await request(progressKeys(redis, group, topic).map((key) => ({ keys: [key], args })))
}
