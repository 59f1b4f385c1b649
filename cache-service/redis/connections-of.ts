import { isCluster, type RedisClient } from './redis-client.ts'

/**
 * Stand for the connections to the server, or to all masters. While they are the same ones, everything that was sent reached the
 * servers that would answer now: a failover to a replica that lacks some of it needs another connection.
 */
export function connectionsOf(redis: RedisClient): readonly unknown[] {
  const servers = isCluster(redis) ? redis.nodes('master') : [redis]
  return servers.map(({ stream }) => stream)
}
