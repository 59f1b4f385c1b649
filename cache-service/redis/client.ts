import { Redis, type RedisOptions } from 'ioredis'
import { isRefusedDatabase, redisError, type ServiceError } from '../../shared/errors.ts'
import { backoffMs } from '../core/backoff.ts'
import type { RedisConfig } from '../config/config.ts'

export type RedisClientTelemetry = {
  redisConnected(where: string): void
  redisFailed(error: ServiceError): void
}

const LONGEST_RECONNECT_MS = 2_000
const FIRST_RECONNECT_MS = 50
/** They concern every command. Any other refusal of CLIENT SETNAME concerns only the name. */
const REFUSALS_OF_CLIENTS = new Set<ServiceError['code']>(['NOAUTH', 'DENIED', 'MAXCLIENTS'])

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
  const redis = new Redis({ ...connectionOptions(config, random), lazyConnect: true })
  let isDatabaseRefused = false
  let isNameSent = true

  /** The first command of a connection. Its reply also shows what ioredis does not look at: a refused client. */
  async function setName(): Promise<void> {
    try {
      if (isNameSent && name !== undefined) await redis.client('SETNAME', name)
    } catch (error) {
      const { code } = redisError(error)
      // Some proxies close the connection at a command that they do not know.
      if (code === 'CONNECTION') isNameSent = false
      if (REFUSALS_OF_CLIENTS.has(code)) redis.emit('error', error)
      if (code === 'CONNECTION' || code === 'TIMEOUT' || REFUSALS_OF_CLIENTS.has(code)) return
    }
    telemetry.redisConnected(`${config.host}:${config.port}/${config.db}`)
  }

  redis.on('connect', () => (isDatabaseRefused = false))
  redis.on('error', (error) => {
    telemetry.redisFailed(redisError(error))
    if (!isRefusedDatabase(error)) return
    // ioredis would continue with database 0, and report that it is ready.
    isDatabaseRefused = true
    redis.disconnect(true)
  })
  redis.on('ready', () => {
    if (!isDatabaseRefused) void setName()
  })
  return redis
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
    // All that we send works over RESP2, and proxies exist that refuse HELLO, which RESP3 begins with, or CLIENT SETINFO.
    protocol: 2 as const,
    disableClientInfo: true,
    connectTimeout: config.timeoutMs,
    socketTimeout: config.timeoutMs,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    // LOADING is handled like any other error reply, and the check would need the permission for INFO.
    enableReadyCheck: false,
    retryStrategy: (attempt: number) =>
      FIRST_RECONNECT_MS + Math.min(LONGEST_RECONNECT_MS, backoffMs(Math.min(attempt, 10), random())),
    // The primary has moved: reconnect to find it.
    reconnectOnError: (error: Error) => (error.message.startsWith('READONLY') ? 1 : false),
  } satisfies RedisOptions
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
