import type { ServiceError } from '../../shared/errors.ts'
import type { RedisClientTelemetry } from '../redis/redis-client.ts'

/** What a role with several connections reports about one of them. */
export function telemetryOfConnection(
  telemetry: {
    redisConnected(connection: string, where: string): void
    redisFailed(connection: string, error: ServiceError): void
    nodeFailed(connection: string, node: string, error: ServiceError): void
    nodeRecovered(connection: string, node: string, how: 'answers' | 'replaced'): void
  },
  connection: string,
): Required<RedisClientTelemetry> {
  return {
    redisConnected: (where) => telemetry.redisConnected(connection, where),
    redisFailed: (error) => telemetry.redisFailed(connection, error),
    nodeFailed: (node, error) => telemetry.nodeFailed(connection, node, error),
    nodeRecovered: (node, how) => telemetry.nodeRecovered(connection, node, how),
  }
}
