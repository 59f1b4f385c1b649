import { DEVICE_INDEX_KEY, OWN_KEY_PREFIX } from '../../shared/contract/keys.ts'
import { keyOnEach, SlotTable } from './cluster/slots.ts'
import { isCluster, type RedisClient } from './redis-client.ts'
import { redisReply } from './reply.ts'

const READ_KEY = `${OWN_KEY_PREFIX}check`

/**
 * Resolves if Redis answers a read: PING also succeeds for a user who may not read, and on a node of a Cluster that refuses
 * commands. In a Cluster, one master that answers suffices: the keys of the others can't be read, which each request says for
 * itself. Rejects with a ServiceError.
 */
export async function readAnyKey(redis: RedisClient): Promise<void> {
  if (!isCluster(redis)) return void (await redisReply(redis.exists(DEVICE_INDEX_KEY)))
  const { knownSlotsByMaster } = SlotTable.of(redis).owners
  const reads = keyOnEach(knownSlotsByMaster, READ_KEY).map(({ key }) => redis.exists(key))
  if (reads.length === 0) await redisReply(redis.exists(DEVICE_INDEX_KEY))
  else await redisReply(Promise.any(reads).catch(firstReason))
}

function firstReason(error: unknown): never {
  throw error instanceof AggregateError ? error.errors[0] : error
}
