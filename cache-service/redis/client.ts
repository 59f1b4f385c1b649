import type { ConnectionOptions } from 'node:tls'
import { Redis, type RedisOptions } from 'ioredis'
import { isRefusedDatabase, redisError, type ServiceError } from '../../shared/errors.ts'
import { createGreeting } from '../../shared/redis-greeting.ts'
import { backoffMs } from '../core/backoff.ts'
import { sentinelOptions } from '../../shared/redis-client/primary-connector.ts'
import { countSilenceOnly } from '../../shared/redis-client/silence-timeout.ts'
import type { RedisConfig, RedisLocation, TlsConfig } from '../config/config.ts'

export type RedisClientTelemetry = {
  redisConnected(where: string): void
  redisFailed(error: ServiceError): void
}

const LONGEST_RECONNECT_MS = 2_000
const FIRST_RECONNECT_MS = 50

/**
 * A connection that never hangs and never gives up: a command is answered or rejected within `config.timeoutMs`, and
 * immediately if there is no connection; ioredis reconnects in the background without limit.
 *
 * A rejected write may still be applied later, because the server may have received it. It may be sent again only
 * because applying a record takes a maximum.
 *
 * @param name shown by CLIENT LIST; undefined: none, for a connection that does not live long.
 */
export function createRedis(
  config: RedisConfig,
  name: string | undefined,
  telemetry: RedisClientTelemetry,
  random: () => number,
): Redis {
  // ioredis counts from the last connection that was opened, even if the server closed it at once.
  let failedAttempts = 0
  const attempts = {
    next: () => Math.min(++failedAttempts, 10),
    reset: () => (failedAttempts = 0),
  }
  const redis = countSilenceOnly(
    new Redis({ ...connectionOptions(config, random, attempts.next), lazyConnect: true }),
  )
  let isDatabaseRefused = false
  redis.on('connect', () => (isDatabaseRefused = false))
  redis.on('error', (error) => {
    telemetry.redisFailed(redisError(error))
    if (!isRefusedDatabase(error)) return
    // ioredis would continue with database 0, and report that it is ready.
    isDatabaseRefused = true
    redis.disconnect(true)
  })
  const greet = name === undefined ? undefined : createGreeting(name)
  redis.on('ready', async () => {
    if (isDatabaseRefused) return
    const failure = await greet?.(redis)
    if (failure === undefined) {
      attempts.reset()
      telemetry.redisConnected(`${serverName(redis)}/${config.db}`)
    } else if (failure.code !== 'CONNECTION' && failure.code !== 'TIMEOUT') {
      // The others are not reported by ioredis itself.
      redis.emit('error', failure)
    }
  })
  return redis
}

function connectionOptions(config: RedisConfig, random: () => number, nextAttempt: () => number) {
  return {
    ...locationOptions(config.location, config.timeoutMs),
    db: config.db,
    ...(config.username !== undefined && { username: config.username }),
    ...(config.password !== undefined && { password: config.password }),
    ...(config.tls !== undefined && { tls: tlsOptions(config.tls) }),
    // All that we send works over RESP2, and proxies exist that refuse HELLO, which RESP3 begins with, or CLIENT SETINFO.
    protocol: 2 as const,
    disableClientInfo: true,
    connectTimeout: config.timeoutMs,
    socketTimeout: config.timeoutMs,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    // LOADING is handled like any other error reply, and the check would need the permission for INFO.
    enableReadyCheck: false,
    retryStrategy: () =>
      FIRST_RECONNECT_MS + Math.min(LONGEST_RECONNECT_MS, backoffMs(nextAttempt(), random())),
    // The primary has moved: reconnect to find it.
    reconnectOnError: (error: Error) => (error.message.startsWith('READONLY') ? 1 : false),
  } satisfies RedisOptions
}

function locationOptions(location: RedisLocation, timeoutMs: number) {
  if (location.kind === 'address') return { host: location.host, port: location.port }
  return sentinelOptions({ ...location, tls: location.tls && tlsOptions(location.tls) }, timeoutMs)
}

function tlsOptions({ rejectUnauthorized, ca, cert, key }: TlsConfig): ConnectionOptions {
  return {
    rejectUnauthorized,
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  }
}

/** The configured location, for people: `redis:6379`, or `mymaster of the Sentinels a:26379, b:26379`. */
export function locationName(location: RedisLocation): string {
  if (location.kind === 'address') return `${location.host}:${location.port}`
  const sentinels = location.sentinels.map(({ host, port }) => `${host}:${port}`)
  return `${location.name} of the Sentinels ${sentinels.join(', ')}`
}

/** The server of this connection, for people: `redis:6379`, or `mymaster (10.0.0.3:6379)` where Sentinels named it. */
export function serverName({ options, stream }: Redis): string {
  if (!options.sentinels) return `${options.host}:${options.port}`
  // undefined: not connected now.
  const { remoteAddress, remotePort } = stream ?? {}
  return remoteAddress === undefined
    ? String(options.name)
    : `${options.name} (${remoteAddress}:${remotePort})`
}

/**
 * Starts connecting. Resolves when the first attempt has ended, successful or not; the first command shows whether Redis
 * works.
 */
export async function startConnecting(redis: Redis): Promise<void> {
  // A failure also reaches the 'error' listener, which logs it.
  await redis.connect().catch(() => undefined)
}

/**
 * Uses a further connection with the same settings, and closes it: a proxy may close one at a command that it does not know.
 */
export async function onNewConnection<Result>(
  redis: Redis,
  use: (connection: Redis) => Promise<Result>,
): Promise<Result | ServiceError> {
  const connection = redis.duplicate()
  connection.on('error', () => undefined)
  try {
    await connection.connect()
    return await use(connection)
  } catch (error) {
    return redisError(error)
  } finally {
    connection.disconnect()
  }
}
