import type { ConnectionOptions } from 'node:tls'
import { Redis } from 'ioredis'
import { clearerFailure, isRefusedDatabase, redisError, type ServiceError } from '../../shared/errors.ts'
import { createGreeting } from '../../shared/redis-greeting.ts'
import { backoffMs } from '../core/backoff.ts'
import { sentinelOptions } from '../../shared/redis-client/primary-connector.ts'
import { serverAddressText, type ServerAddress } from '../../shared/server-address.ts'
import { countSilenceOnly } from '../../shared/redis-client/silence-timeout.ts'
import type { RedisConfig, RedisLocation, TlsConfig } from '../config/config.ts'
import {
  clusterName,
  createClusterClient,
  type ConnectionAttempts,
  type NodeOptions,
} from './cluster/cluster-client.ts'
import { loginAccepted } from './refused-settings.ts'
import { isCluster, type RedisClient, type RedisClientTelemetry } from './redis-client.ts'

/** createRedis or createConnection. */
export type CreateClient<Client> = (
  config: RedisConfig,
  name: string | undefined,
  telemetry: RedisClientTelemetry,
  random: () => number,
) => Client

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
): RedisClient {
  const { location, timeoutMs } = config
  if (location.kind !== 'cluster') return createConnection(config, name, telemetry, random)
  const nodeOptions = connectionOptions(config)
  const attempts = createAttempts(random)
  return createClusterClient({ location, timeoutMs, nodeOptions, name, attempts, telemetry })
}

/**
 * The same for what needs one connection even to a Cluster, such as subscribing: to one of the nodes, the next one at each
 * attempt. What is published on one node reaches all of them.
 *
 * @param knownNodes of the Cluster, besides those of the settings.
 */
export function createConnection(
  config: RedisConfig,
  name: string | undefined,
  telemetry: RedisClientTelemetry,
  random: () => number,
  knownNodes: () => readonly ServerAddress[] = () => [],
): Redis {
  const attempts = createAttempts(random)
  const redis: Redis = countSilenceOnly(
    new Redis({
      ...connectionOptions(config),
      ...locationOptions(config.location, config.timeoutMs),
      db: config.db,
      enableOfflineQueue: false,
      retryStrategy() {
        if (config.location.kind === 'cluster')
          Object.assign(redis.options, nextNode([...config.location.nodes, ...knownNodes()], redis.options))
        return attempts.nextDelayMs()
      },
      // The primary has moved: reconnect to find it.
      reconnectOnError: (error: Error) => (error.message.startsWith('READONLY') ? 1 : false),
      lazyConnect: true,
    }),
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
      if (greet !== undefined) loginAccepted(redis)
      attempts.reset()
      telemetry.redisConnected(withDatabase(serverName(redis), config))
    } else if (failure.code !== 'CONNECTION' && failure.code !== 'TIMEOUT') {
      // The others are not reported by ioredis itself.
      redis.emit('error', failure)
    }
  })
  return redis
}

/** Of a connection, wherever the server is. */
function connectionOptions({ password, timeoutMs, tls, username }: RedisConfig): NodeOptions {
  return {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls !== undefined && { tls: tlsOptions(tls) }),
    // All that we send works over RESP2, and proxies exist that refuse HELLO, which RESP3 begins with, or CLIENT SETINFO.
    protocol: 2,
    disableClientInfo: true,
    connectTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    // LOADING is handled like any other error reply, and the check would need the permission for INFO.
    enableReadyCheck: false,
  }
}

function locationOptions(location: RedisLocation, timeoutMs: number) {
  if (location.kind === 'cluster') return { ...location.nodes[0] }
  if (location.kind === 'address') return { host: location.host, port: location.port }
  return sentinelOptions({ ...location, tls: location.tls && tlsOptions(location.tls) }, timeoutMs)
}

function nextNode(
  nodes: readonly ServerAddress[],
  { host, port }: { readonly host?: string | undefined; readonly port?: number | undefined },
): Partial<ServerAddress> {
  const distinct = [...new Map(nodes.map((node) => [serverAddressText(node), node])).values()]
  const current = distinct.findIndex((node) => node.host === host && node.port === port)
  return { ...distinct[(current + 1) % distinct.length] }
}

/** ioredis counts from the last connection that was opened, even if the server closed it at once. */
function createAttempts(random: () => number): ConnectionAttempts {
  let failed = 0
  return {
    nextDelayMs() {
      failed = Math.min(failed + 1, 10)
      return FIRST_RECONNECT_MS + Math.min(LONGEST_RECONNECT_MS, backoffMs(failed, random()))
    },
    reset: () => void (failed = 0),
  }
}

function tlsOptions({ rejectUnauthorized, ca, cert, key }: TlsConfig): ConnectionOptions {
  return {
    rejectUnauthorized,
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  }
}

/**
 * The configured location, for people: `redis:6379`, or `mymaster of the Sentinels a:26379, b:26379`, or
 * `the Cluster of a:6379, b:6379`.
 */
export function locationName(location: RedisLocation): string {
  if (location.kind === 'address') return serverAddressText(location)
  if (location.kind === 'cluster') return `the Cluster of ${location.nodes.map(serverAddressText).join(', ')}`
  return `${location.name} of the Sentinels ${location.sentinels.map(serverAddressText).join(', ')}`
}

/** The same with the number of the database, such as `redis:6379/0`. A Cluster has only one, without a number. */
export function databaseName(config: RedisConfig): string {
  return withDatabase(locationName(config.location), config)
}

function withDatabase(server: string, { db, location }: RedisConfig): string {
  return location.kind === 'cluster' ? server : `${server}/${db}`
}

/** The server of this connection, for people: `redis:6379`, or `mymaster (10.0.0.3:6379)` where Sentinels named it, or the masters
 * of a Cluster. */
export function serverName(redis: RedisClient): string {
  if (isCluster(redis)) return clusterName(redis)
  const { options, stream } = redis
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
export async function startConnecting(redis: RedisClient): Promise<void> {
  // A failure also reaches the 'error' listener, which logs it.
  await redis.connect().catch(() => undefined)
}

/**
 * Uses a further connection to the same server, and closes it: a proxy may close one at a command that it does not know.
 */
export async function onNewConnection<Result>(
  server: Redis,
  use: (connection: Redis) => Promise<Result>,
): Promise<Result | ServiceError> {
  let connection: Redis | undefined
  let reason: ServiceError | undefined
  try {
    connection = server.duplicate({ lazyConnect: true })
    connection.on('error', (error) => (reason = clearerFailure(reason, redisError(error))))
    await connection.connect()
    return await use(connection)
  } catch (error) {
    return clearerFailure(reason, redisError(error))
  } finally {
    connection?.disconnect()
  }
}
