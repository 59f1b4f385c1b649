import type { Redis } from 'ioredis'
import { redisError } from '../../../shared/errors.ts'
import { LISTED_MAX } from '../../core/cache-queue/glob.ts'
import type { PubsubAdmin } from '../../core/cache-queue/pubsub-admin.ts'

const CHANNELS_PER_CALL = 1_000

/** Publishing, and who listens. Pattern subscriptions are no channels: Redis does not count them either. */
export function createPubsubAdmin(redis: Redis): PubsubAdmin {
  async function countSubscribers(channels: readonly string[]): Promise<number[]> {
    const counts: number[] = []
    for (let from = 0; from < channels.length; from += CHANNELS_PER_CALL) {
      // channel, count, channel, count, …
      const reply = await redis.pubsub('NUMSUB', ...channels.slice(from, from + CHANNELS_PER_CALL))
      for (let i = 1; i < reply.length; i += 2) counts.push(Number(reply[i]))
    }
    return counts
  }

  return {
    async publish(channel, message) {
      try {
        return await redis.publish(channel, message)
      } catch (error) {
        throw redisError(error)
      }
    },
    async channels(glob) {
      try {
        const found = (await redis.pubsub('CHANNELS', glob)).map(String).sort()
        const shown = found.slice(0, LISTED_MAX)
        const counts = await countSubscribers(shown)
        const channels = shown.map((channel, i) => ({ channel, subscribers: counts[i] ?? 0 }))
        return { channels, truncated: found.length > LISTED_MAX }
      } catch (error) {
        throw redisError(error)
      }
    },
    async subscribers(channel) {
      try {
        const [count] = await countSubscribers([channel])
        return count ?? 0
      } catch (error) {
        throw redisError(error)
      }
    },
  }
}
