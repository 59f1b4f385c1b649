import type { Redis } from 'ioredis'
import { redisError } from '../../shared/errors.ts'
import { createScriptRunner, readScript } from './script.ts'

/** Something that one process at a time may do. It ends by itself if its holder dies. */
export type Lease = {
  /** True if it is ours now: taken, or held already and prolonged. */
  acquire(): Promise<boolean>
  release(): Promise<void>
}

export function createLease(redis: Redis, key: string, holder: string, ttlMs: number): Lease {
  const releaseLease = createScriptRunner(redis, readScript(new URL('./release-lease.lua', import.meta.url)))
  return {
    async acquire() {
      try {
        if ((await redis.set(key, holder, 'PX', ttlMs, 'NX')) === 'OK') return true
        if ((await redis.get(key)) !== holder) return false
        return (await redis.pexpire(key, ttlMs)) === 1
      } catch (error) {
        throw redisError(error)
      }
    },
    async release() {
      await releaseLease([{ keys: [key], args: [holder] }])
    },
  }
}
