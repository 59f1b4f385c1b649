import type { Redis } from 'ioredis'
import { redisError } from '../../../shared/errors.ts'
import { UPDATE_TYPES_KEY } from '../../../shared/contract/keys.ts'
import { formatPosition } from '../../core/events/event-position.ts'
import { createEventStreams } from './event-streams.ts'

export type StoredState = {
  /** By type. What is not JSON is there as the text that it is. */
  readonly values: ReadonlyMap<string, unknown>
  /** Whoever follows the events from here misses nothing that is newer than the values. */
  readonly lastEventId: string
}

/** The key-values that the kv-updater keeps. Rejects with a ServiceError. */
export type StateStore = { read(type: string | undefined): Promise<StoredState> }

const KEYS_PER_CALL = 500

/** @param furtherTypes those that an older updater wrote, which has kept no list. */
export function createStateStore(redis: Redis, furtherTypes: readonly string[]): StateStore {
  const streams = createEventStreams(redis)

  async function knownTypes(type: string | undefined): Promise<string[]> {
    if (type === undefined) {
      return [...new Set([...(await redis.smembers(UPDATE_TYPES_KEY)), ...furtherTypes])].sort()
    }
    const isKnown = furtherTypes.includes(type) || (await redis.sismember(UPDATE_TYPES_KEY, type)) === 1
    return isKnown ? [type] : []
  }

  return {
    async read(type) {
      try {
        // The position first: an update that comes in between is in both, never in neither.
        const lastEventId = formatPosition(await streams.end())
        const types = await knownTypes(type)
        const values = new Map<string, unknown>()
        for (let from = 0; from < types.length; from += KEYS_PER_CALL) {
          const page = types.slice(from, from + KEYS_PER_CALL)
          const texts = await redis.mget(page)
          for (const [i, name] of page.entries()) {
            const text = texts[i]
            if (text !== null && text !== undefined) values.set(name, parseValue(text))
          }
        }
        return { values, lastEventId }
      } catch (error) {
        throw redisError(error)
      }
    },
  }
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
