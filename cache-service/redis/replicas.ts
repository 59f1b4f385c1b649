import { ServiceError } from '../../shared/errors.ts'
import { pipelineReplies } from './reply.ts'
import type { RedisClient } from './redis-client.ts'

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
 * @returns a function that resolves when enough replicas have all that this connection has written. It rejects with a
 *   ServiceError (NOREPLICAS, transient) if they do not within the time-out.
 */
export function createReplicaWait(
  redis: RedisClient,
  { replicas, key, timeoutMs }: ReplicaWaitOptions,
): () => Promise<void> {
  if (replicas === 0) return () => Promise.resolve()
  return async () => {
    // WAIT counts only what this connection has written, and a chunk that is sent again on a new one may change nothing.
    const pipeline = redis.pipeline().set(key, '1', 'PX', KEY_TTL_MS)
    const [, reached] = await pipelineReplies(pipeline.wait(replicas, Math.floor(timeoutMs / 2)))
    if (Number(reached) >= replicas) return
    const message = `${Number(reached)} of ${replicas} replicas have received the writes (REDIS_WAIT_REPLICAS)`
    throw new ServiceError('redis', 'NOREPLICAS', 'transient', message, undefined)
  }
}
