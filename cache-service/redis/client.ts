import { Redis, type RedisOptions } from 'ioredis'
import { redisError, type ServiceError } from '../../shared/errors.ts'
import { backoffMs } from '../core/backoff.ts'
import type { RedisConfig } from '../config/config.ts'

export type RedisClientTelemetry = {
  redisConnected(where: string): void
  redisFailed(error: ServiceError): void
}

const LONGEST_RECONNECT_MS = 2_000
const FIRST_RECONNECT_MS = 50

/**
 * A connection that never hangs and never gives up: a command is answered or rejected within
 * `config.timeoutMs`, at once if there is no connection, and ioredis reconnects in the background for ever.
 *
 * A rejected write may still be applied later (the server may have had it). Only because applying is taking a
 * maximum may it be sent again.
 */
export function createRedis(
  config: RedisConfig,
  name: string,
  telemetry: RedisClientTelemetry,
  random: () => number,
): Redis {
  const redis = new Redis({ ...connectionOptions(config, random), connectionName: name, lazyConnect: true })
  let isRefused = false
  redis.on('connect', () => (isRefused = false))
  redis.on('error', (error) => {
    telemetry.redisFailed(redisError(error))
    if (!isRefusedDatabase(error)) return
    // ioredis would go on in database 0, and says that it is ready all the same.
    isRefused = true
    redis.disconnect(true)
  })
  redis.on('ready', () => {
    if (!isRefused) telemetry.redisConnected(`${config.host}:${config.port}/${config.db}`)
  })
  return redis
}

function isRefusedDatabase(error: Error): boolean {
  if (!('command' in error) || typeof error.command !== 'object' || error.command === null) return false
  return 'name' in error.command && error.command.name === 'select'
}

function connectionOptions(config: RedisConfig, random: () => number) {
  return {
    host: config.host,
    port: config.port,
    db: config.db,
    ...(config.username !== undefined && { username: config.username }),
    ...(config.password !== undefined && { password: config.password }),
    ...(config.tls !== undefined && {
      tls: {
        rejectUnauthorized: config.tls.rejectUnauthorized,
        ...(config.tls.ca !== undefined && { ca: config.tls.ca }),
        ...(config.tls.cert !== undefined && { cert: config.tls.cert }),
        ...(config.tls.key !== undefined && { key: config.tls.key }),
      },
    }),
    connectTimeout: config.timeoutMs,
    socketTimeout: config.timeoutMs,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    // LOADING is an answer like others; the check would need the right to call INFO besides.
    enableReadyCheck: false,
    retryStrategy: (attempt: number) =>
      FIRST_RECONNECT_MS + Math.min(LONGEST_RECONNECT_MS, backoffMs(Math.min(attempt, 10), random())),
    // The primary has moved: close, and look for it again.
    reconnectOnError: (error: Error) => (error.message.startsWith('READONLY') ? 1 : false),
  } satisfies RedisOptions
}

/**
 * Starts connecting; resolves when the first attempt has ended, well or not. Whether Redis is there, and takes
 * writes, is seen by the first write.
 */
export async function startConnecting(redis: Redis): Promise<void> {
  // A failure also reaches the 'error' listener, which speaks of it.
  await redis.connect().catch(() => undefined)
}
