import { Cluster, type Redis } from 'ioredis'
import type { ServiceError } from '../../shared/errors.ts'

/** A connection to one server, or connections to all masters of a Cluster. */
export type RedisClient = Redis | Cluster

export function isCluster(redis: RedisClient): redis is Cluster {
  return redis instanceof Cluster
}

export type RedisClientTelemetry = {
  redisConnected(where: string): void
  redisFailed(error: ServiceError): void
}
