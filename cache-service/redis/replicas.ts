import type { Redis } from 'ioredis'
import { ServiceError } from '../../shared/errors.ts'
import { keyOnEach, SlotTable } from './cluster/slots.ts'
import { isCluster, type RedisClient } from './redis-client.ts'
import { pipelineReplies } from './reply.ts'

export type ReplicaWaitOptions = {
  /** Replicas that must have received the writes. 0: none, and nothing is sent. */
  readonly replicas: number
  /** A key of this process that may be overwritten. */
  readonly key: string
  /** Time-out of the connection. */
  readonly timeoutMs: number
}

const KEY_TTL_MS = 60_000

/**
 * @returns a function that resolves when enough replicas, of each master of a Cluster, have all that this client has written. It
 *   rejects with a ServiceError (NOREPLICAS, transient) if they do not within the time-out.
 */
export function createReplicaWait(
  redis: RedisClient,
  { replicas, key, timeoutMs }: ReplicaWaitOptions,
): () => Promise<void> {
  if (replicas === 0) return () => Promise.resolve()

  async function waitFor(master: Redis, ownKey: string): Promise<void> {
    // WAIT counts only what this connection has written, and a chunk that is sent again on a new one may change nothing.
    const pipeline = master.pipeline().set(ownKey, '1', 'PX', KEY_TTL_MS)
    const [, reached] = await pipelineReplies(pipeline.wait(replicas, Math.floor(timeoutMs / 2)))
    if (Number(reached) >= replicas) return
    const message = `${Number(reached)} of ${replicas} replicas have received the writes (REDIS_WAIT_REPLICAS)`
    throw new ServiceError('redis', 'NOREPLICAS', 'transient', message, undefined)
  }

  return async () => {
    if (!isCluster(redis)) return await waitFor(redis, key)
    const table = SlotTable.of(redis)
    const keys = keyOnEach(table.owners.slotsByMaster, key)
    await Promise.all(keys.map((one) => waitFor(table.connectionTo(one.master), one.key)))
  }
}
