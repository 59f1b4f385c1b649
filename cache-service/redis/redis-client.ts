import type { Cluster, Redis } from 'ioredis'
import type { ServiceError } from '../../shared/errors.ts'

/** A connection to one server, or connections to all masters of a Cluster. */
export type RedisClient = Redis | Cluster
/** A connection to one server, which may be a node of a Cluster. */
export type SingleServer = Redis

export function isCluster(redis: RedisClient): redis is Cluster {
  return redis.isCluster
}

export type RedisClientTelemetry = {
  redisConnected(where: string): void
  redisFailed(error: ServiceError): void
  /** A node of a Cluster does not answer; once, until `nodeRecovered`. The others go on. */
  nodeFailed?(node: string, error: ServiceError): void
  /** @param how it answers again, or owns no slots any more, such as after a failover. */
  nodeRecovered?(node: string, how: 'answers' | 'replaced'): void
}
