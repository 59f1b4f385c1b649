import type { Redis } from 'ioredis'
import { redisError, type ServiceError } from '../../../shared/errors.ts'
import type { CacheValues } from '../../core/cache-queue/cache-values.ts'
import { LISTED_MAX } from '../../core/cache-queue/glob.ts'
import { onMaster, SlotTable } from '../cluster/slots.ts'
import { pipelineReplies, redisReply } from '../reply.ts'
import { isCluster, type RedisClient } from '../redis-client.ts'

/** Keys examined by one SCAN: enough to save round trips, few enough not to block other clients for long. */
const SCAN_COUNT = 1_000
const NEVER_EXPIRES = -1
const NO_SUCH_KEY = -2

/**
 * The values of the cache-queue service: strings under any key that is not protected. It never sends KEYS, FLUSHDB or
 * FLUSHALL. Rejects with a ServiceError.
 */
export function createCacheValues(redis: RedisClient, isProtected: (key: string) => boolean): CacheValues {
  /** Pages of unprotected keys, as bytes because a key need not be UTF-8. A key may occur twice. */
  async function* unprotectedKeys(server: Redis, glob: string): AsyncGenerator<Buffer[]> {
    let cursor = '0'
    do {
      const [next, keys] = await redisReply(server.scanBuffer(cursor, 'MATCH', glob, 'COUNT', SCAN_COUNT))
      cursor = next.toString()
      const unprotected = keys.filter((key) => !isProtected(key.toString()))
      if (unprotected.length > 0) yield unprotected
    } while (cursor !== '0')
  }

  return {
    async get(key) {
      try {
        const [text, ttlS] = await pipelineReplies(redis.pipeline().get(key).ttl(key))
        // The key may have expired between the two commands.
        if (typeof text !== 'string' || ttlS === NO_SUCH_KEY) return { kind: 'absent' }
        return { kind: 'found', text, ttlS: ttlS === NEVER_EXPIRES ? null : Number(ttlS) }
      } catch (error) {
        if (redisError(error).code === 'WRONGTYPE') return { kind: 'other_type' }
        throw error
      }
    },

    async set(key, text, ttlS) {
      await redisReply(ttlS === null ? redis.set(key, text) : redis.set(key, text, 'EX', ttlS))
    },

    async delete(key) {
      return (await redisReply(redis.unlink(key))) > 0
    },

    async exists(key) {
      return (await redisReply(redis.exists(key))) > 0
    },

    async list(glob) {
      const keys = new Set<string>()
      const failures = await onEachMaster(redis, async (server) => {
        for await (const page of unprotectedKeys(server, glob)) {
          for (const key of page) keys.add(key.toString())
          if (keys.size > LISTED_MAX) return
        }
      })
      const isComplete = failures.length === 0 && keys.size <= LISTED_MAX
      return { keys: [...keys].slice(0, LISTED_MAX), truncated: !isComplete }
    },

    async deleteMatching(glob) {
      let deleted = 0
      const [failure] = await onEachMaster(redis, async (server) => {
        for await (const page of unprotectedKeys(server, glob))
          deleted += await redisReply(unlink(redis, page))
      })
      if (failure !== undefined) throw failure
      return deleted
    },
  }
}

/**
 * Asks one master of a Cluster after another, or the one server.
 *
 * @returns why some of them could not be asked. Rejects with a ServiceError if none could.
 */
async function onEachMaster(
  redis: RedisClient,
  ask: (server: Redis) => Promise<void>,
): Promise<ServiceError[]> {
  if (!isCluster(redis)) {
    await ask(redis)
    return []
  }
  const table = SlotTable.of(redis)
  const masters = [...table.owners.knownSlotsByMaster.keys()]
  const failures: ServiceError[] = []
  for (const name of masters) {
    try {
      await ask(table.connectionTo(name))
    } catch (error) {
      failures.push(onMaster(name, redisError(error)))
    }
  }
  if (failures.length < masters.length) return failures
  throw failures[0] ?? redisError(new Error('CLUSTERDOWN no master is known'))
}

/** In a Cluster, UNLINK takes only keys of one slot. */
async function unlink(redis: RedisClient, keys: readonly Buffer[]): Promise<number> {
  if (!isCluster(redis)) return await redis.unlink(...keys)
  const deleted = await Promise.all(keys.map((key) => redis.unlink(key)))
  return deleted.reduce((sum, count) => sum + count, 0)
}
