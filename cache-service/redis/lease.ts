import { redisReply } from './reply.ts'
import { createScriptRunner } from './script.ts'
import type { RedisClient } from './redis-client.ts'

/** Lets one process at a time do something. It expires by itself if its holder dies. Rejects with a ServiceError. */
export type Lease = {
  /** Takes the lease, or extends it if we already hold it. Resolves with true if we now hold it. */
  acquire(): Promise<boolean>
  release(): Promise<void>
}

export function createLease(redis: RedisClient, key: string, holder: string, ttlMs: number): Lease {
  const releaseLease = createScriptRunner(redis, new URL('./release-lease.lua', import.meta.url))
  return {
    async acquire() {
      if ((await redisReply(redis.set(key, holder, 'PX', ttlMs, 'NX'))) === 'OK') return true
      if ((await redisReply(redis.get(key))) !== holder) return false
      return (await redisReply(redis.pexpire(key, ttlMs))) === 1
    },
    async release() {
      await releaseLease([{ keys: [key], args: [holder] }])
    },
  }
}
