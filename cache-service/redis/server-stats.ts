import { parseServerDetails, sumServerDetails } from '../core/server-details.ts'
import { parseServerStats, sumServerStats, type ServerStatsReader } from '../core/server-stats.ts'
import { ServiceError } from '../../shared/errors.ts'
import { answersOf, askMasters } from './cluster/each-master.ts'
import { readAnyKey } from './read-any-key.ts'
import { redisReply } from './reply.ts'
import type { RedisClient } from './redis-client.ts'

/** The server's own statistics, from INFO and DBSIZE; of a Cluster, those of its masters. Rejects with a ServiceError. */
export function createServerStatsReader(redis: RedisClient): ServerStatsReader {
  return {
    async ping() {
      await redisReply(redis.ping())
    },
    readAnyKey: () => readAnyKey(redis),
    async read() {
      const asked = await askMasters(redis, async (server) =>
        parseServerStats(...(await Promise.all([server.info(), server.dbsize()]))),
      )
      return sumServerStats(answersOf(asked))
    },
    async readDetails() {
      const asked = await askMasters(redis, async (server) => parseServerDetails(await server.info()))
      const found = answersOf(asked)
      const [only] = found
      if (only !== undefined && asked[0]?.slots === undefined) return only
      return sumServerDetails(
        found,
        asked.map(({ answer, name, slots }) => ({
          address: name,
          slots: slots ?? 0,
          details: answer instanceof ServiceError ? undefined : answer,
        })),
      )
    },
  }
}
