import { UPDATE_TYPES_KEY } from '../../../shared/contract/keys.ts'
import { parseJsonKeepingDigits } from '../../../shared/exact-json.ts'
import { formatPosition } from '../../core/events/event-position.ts'
import { replyOfOwner } from '../cluster/slots.ts'
import { redisReply } from '../reply.ts'
import { createEventStreams } from './event-streams.ts'
import { isCluster, type RedisClient } from '../redis-client.ts'

export type StoredState = {
  /** By type. A value that is not JSON is returned as the text itself. */
  readonly values: ReadonlyMap<string, unknown>
  /** A client that follows the events from here misses nothing newer than the values. */
  readonly lastEventId: string
}

/**
 * The key-values that the kv-updater keeps. Rejects with a ServiceError, also if only one of the values can't be read: without it, the
 * state would look as if it had been deleted.
 */
export type StateStore = { read(type: string | undefined): Promise<StoredState> }

const KEYS_PER_CALL = 500

/** @param furtherTypes written by an older updater, which did not record its types. */
export function createStateStore(redis: RedisClient, furtherTypes: readonly string[]): StateStore {
  const streams = createEventStreams(redis)
  const ofTypes = <T>(reply: Promise<T>) => replyOfOwner(redis, UPDATE_TYPES_KEY, reply)

  async function knownTypes(type: string | undefined): Promise<string[]> {
    if (type === undefined) {
      const recordedTypes = await ofTypes(redis.smembers(UPDATE_TYPES_KEY))
      return [...new Set([...recordedTypes, ...furtherTypes])].sort()
    }
    const isKnown =
      furtherTypes.includes(type) || (await ofTypes(redis.sismember(UPDATE_TYPES_KEY, type))) === 1
    return isKnown ? [type] : []
  }

  return {
    async read(type) {
      // The position is read first: an update that happens in between is in both, rather than in neither.
      const lastEventId = formatPosition(await streams.end())
      const types = await knownTypes(type)
      const values = new Map<string, unknown>()
      for (let from = 0; from < types.length; from += KEYS_PER_CALL) {
        const page = types.slice(from, from + KEYS_PER_CALL)
        const texts = await redisReply(valuesOf(redis, page))
        for (const [i, name] of page.entries()) {
          const text = texts[i]
          if (text !== null && text !== undefined) values.set(name, parseValue(text))
        }
      }
      return { values, lastEventId }
    },
  }
}

/** In a Cluster, MGET takes only keys of one slot. */
function valuesOf(redis: RedisClient, keys: string[]): Promise<(string | null)[]> {
  return isCluster(redis)
    ? Promise.all(keys.map((key) => replyOfOwner(redis, key, redis.get(key))))
    : redis.mget(keys)
}

function parseValue(text: string): unknown {
  try {
    return parseJsonKeepingDigits(text)
  } catch {
    return text
  }
}
