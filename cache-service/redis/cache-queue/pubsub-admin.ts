import type { Redis } from 'ioredis'
import { LISTED_MAX } from '../../core/cache-queue/glob.ts'
import type { PubsubAdmin } from '../../core/cache-queue/pubsub-admin.ts'
import { redisReply } from '../reply.ts'
import { isCluster, type RedisClient } from '../redis-client.ts'

const CHANNELS_PER_CALL = 1_000

/**
 * Publishes, lists channels and counts their subscribers. Like Redis, it does not count pattern subscriptions.
 * Rejects with a ServiceError.
 *
 * A node of a Cluster passes messages on to all others, but knows only its own subscribers: all nodes are asked, replicas included, and
 * those that do not answer count as without any.
 */
export function createPubsubAdmin(redis: RedisClient): PubsubAdmin {
  async function askAll<Result>(ask: (server: Redis) => Promise<Result>): Promise<Result[]> {
    if (!isCluster(redis)) return [await redisReply(ask(redis))]
    const answers = await Promise.allSettled(redis.nodes('all').map(ask))
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
    const failed = answers.find((answer) => answer.status === 'rejected')
    if (found.length > 0) return found
    return await redisReply(Promise.reject(failed?.reason ?? new Error('CLUSTERDOWN no node is known')))
  }

  async function countSubscribers(channels: readonly string[]): Promise<number[]> {
    const counts = channels.map(() => 0)
    for (let from = 0; from < channels.length; from += CHANNELS_PER_CALL) {
      const page = channels.slice(from, from + CHANNELS_PER_CALL)
      for (const reply of await askAll((server) => server.pubsub('NUMSUB', ...page)))
        // channel, count, channel, count, …
        for (const i of page.keys()) counts[from + i] = (counts[from + i] ?? 0) + Number(reply[2 * i + 1])
    }
    return counts
  }

  async function subscribers(channel: string): Promise<number> {
    const [count] = await countSubscribers([channel])
    return count ?? 0
  }

  return {
    async publish(channel, message) {
      const reached = await redisReply(redis.publish(channel, message))
      return isCluster(redis) ? await subscribers(channel) : reached
    },
    async channels(glob) {
      const answers = await askAll((server) => server.pubsub('CHANNELS', glob))
      const found = [...new Set(answers.flat().map(String))].sort()
      const shown = found.slice(0, LISTED_MAX)
      const counts = await countSubscribers(shown)
      const channels = shown.map((channel, i) => ({ channel, subscribers: counts[i] ?? 0 }))
      return { channels, truncated: found.length > LISTED_MAX }
    },
    subscribers,
  }
}
