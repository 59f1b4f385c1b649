import { LISTED_MAX } from '../../core/cache-queue/glob.ts'
import type { PubsubAdmin } from '../../core/cache-queue/pubsub-admin.ts'
import { redisReply } from '../reply.ts'
import type { RedisClient } from '../redis-client.ts'

const CHANNELS_PER_CALL = 1_000

/**
 * Publishes, lists channels and counts their subscribers. Like Redis, it does not count pattern subscriptions.
 * Rejects with a ServiceError.
 */
export function createPubsubAdmin(redis: RedisClient): PubsubAdmin {
  async function countSubscribers(channels: readonly string[]): Promise<number[]> {
    const counts: number[] = []
    for (let from = 0; from < channels.length; from += CHANNELS_PER_CALL) {
      // channel, count, channel, count, …
      const page = channels.slice(from, from + CHANNELS_PER_CALL)
      const reply = await redisReply(redis.pubsub('NUMSUB', ...page))
      for (let i = 1; i < reply.length; i += 2) counts.push(Number(reply[i]))
    }
    return counts
  }

  return {
    async publish(channel, message) {
      return await redisReply(redis.publish(channel, message))
    },
    async channels(glob) {
      const found = (await redisReply(redis.pubsub('CHANNELS', glob))).map(String).sort()
      const shown = found.slice(0, LISTED_MAX)
      const counts = await countSubscribers(shown)
      const channels = shown.map((channel, i) => ({ channel, subscribers: counts[i] ?? 0 }))
      return { channels, truncated: found.length > LISTED_MAX }
    },
    async subscribers(channel) {
      const [count] = await countSubscribers([channel])
      return count ?? 0
    },
  }
}
