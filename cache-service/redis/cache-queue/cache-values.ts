import type { Redis } from 'ioredis'
import { redisError } from '../../../shared/errors.ts'
import type { CacheValues } from '../../core/cache-queue/cache-values.ts'
import { LISTED_MAX } from '../../core/cache-queue/glob.ts'

/** Keys that one SCAN looks at: few round trips, and no long stop for the other clients of Redis. */
const SCAN_COUNT = 1_000
const NEVER_EXPIRES = -1
const NO_SUCH_KEY = -2

/** The Redis Service's values: strings under any key that is not protected. Never KEYS, FLUSHDB or FLUSHALL. */
export function createCacheValues(redis: Redis, isProtected: (key: string) => boolean): CacheValues {
  /** Pages of keys that are not protected. Bytes, as a key need not be UTF-8; one may come twice. */
  async function* unprotectedKeys(glob: string): AsyncGenerator<Buffer[]> {
    let cursor = '0'
    do {
      const [next, keys] = await redis.scanBuffer(cursor, 'MATCH', glob, 'COUNT', SCAN_COUNT)
      cursor = next.toString()
      const unprotected = keys.filter((key) => !isProtected(key.toString()))
      if (unprotected.length > 0) yield unprotected
    } while (cursor !== '0')
  }

  return {
    get: (key) =>
      asked(async () => {
        const [value, ttl] = (await redis.pipeline().get(key).ttl(key).exec()) ?? []
        if (value === undefined || ttl === undefined) throw new Error('a pipeline answered nothing')
        const [valueError, text] = value
        const [ttlError, seconds] = ttl
        if (valueError !== null) {
          if (redisError(valueError).code === 'WRONGTYPE') return { kind: 'other_type' }
          throw valueError
        }
        if (ttlError !== null) throw ttlError
        // Between the two commands it may have expired.
        if (typeof text !== 'string' || seconds === NO_SUCH_KEY) return { kind: 'absent' }
        return { kind: 'found', text, ttlS: seconds === NEVER_EXPIRES ? null : Number(seconds) }
      }),

    set: (key, text, ttlS) =>
      asked(async () => {
        if (ttlS === null) await redis.set(key, text)
        else await redis.set(key, text, 'EX', ttlS)
      }),

    delete: (key) => asked(async () => (await redis.unlink(key)) > 0),

    exists: (key) => asked(async () => (await redis.exists(key)) > 0),

    list: (glob) =>
      asked(async () => {
        const keys = new Set<string>()
        for await (const page of unprotectedKeys(glob)) {
          for (const key of page) {
            keys.add(key.toString())
            if (keys.size > LISTED_MAX) return { keys: [...keys].slice(0, LISTED_MAX), truncated: true }
          }
        }
        return { keys: [...keys], truncated: false }
      }),

    deleteMatching: (glob) =>
      asked(async () => {
        let deleted = 0
        for await (const page of unprotectedKeys(glob)) deleted += await redis.unlink(...page)
        return deleted
      }),
  }
}

async function asked<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question()
  } catch (error) {
    throw redisError(error)
  }
}
