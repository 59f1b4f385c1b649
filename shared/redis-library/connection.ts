import { isRefusedDatabase, type ServiceError } from '../errors.ts'
import { sentinelOptions } from '../redis-client/primary-connector.ts'
import { countSilenceOnly } from '../redis-client/silence-timeout.ts'
import { serverAddressText } from '../server-address.ts'
import { createGreeting } from '../redis-greeting.ts'
import { Redis, type Cluster, type RedisOptions } from 'ioredis'
import { ClusterClient } from './cluster-client.ts'
import { ClusterMasters } from './cluster-masters.ts'
import { RedisConnectionError, redisFailure, type RedisServiceError } from './errors.ts'
import type { RedisClusterSettings, RedisLogin, RedisSettings } from './settings.ts'
import { resolveTarget, type RedisClientSettings, type RedisTarget } from './target.ts'

/** Receives problems that happen in the background, such as lost connections and failing callbacks. */
export type ProblemListener = (problem: RedisServiceError) => void

/** What sends commands: the connection, or one node of its Cluster. */
export type CommandConnection = Pick<RedisConnection, 'target' | 'db' | 'run'>

const DEFAULT_TIMEOUT_MS = 5_000
const FIRST_RECONNECT_MS = 50
const LONGEST_RECONNECT_MS = 2_000

/**
 * A connection that never hangs and, once opened, never gives up: a command is answered or rejected within the timeout,
 * and immediately while there is no connection; it reconnects in the background until it is closed.
 *
 * With a client of the caller, the commands use that client, which is neither opened again nor closed here, and fail after
 * the timeout. A dedicated connection is a duplicate of it with our own options.
 *
 * With a Redis Cluster, it is a connection to each master; a command is sent to the owner of its key.
 */
export class RedisConnection {
  readonly target: RedisSettings | RedisClientSettings
  readonly #isDedicated: boolean
  readonly #name: string
  readonly #where: string
  readonly #problem: ProblemListener
  readonly #greet: ReturnType<typeof createGreeting>
  #redis: Redis | undefined
  /** If the settings name the nodes of a Cluster. */
  #clusterClient: ClusterClient | undefined
  #masters: ClusterMasters | undefined
  #opening: Promise<Redis> | undefined
  /** The client that is being connected. */
  #connecting: Redis | undefined
  #closes = 0

  /** @throws RedisSettingsError for a URL or a client that cannot be used. */
  constructor(
    target: RedisTarget,
    name: string,
    problem: ProblemListener,
    { isDedicated = false, where }: { readonly isDedicated?: boolean; readonly where?: string } = {},
  ) {
    this.target = resolveTarget(target)
    this.#name = name
    this.#where = where ?? ('client' in this.target ? '' : ` at ${whereIs(this.target)}/${this.db}`)
    this.#isDedicated = isDedicated
    this.#greet = createGreeting(name)
    this.#problem = problem
  }

  get isCluster(): boolean {
    return 'client' in this.target ? this.target.client.isCluster : 'clusterNodes' in this.target
  }

  get db(): number {
    if ('clusterNodes' in this.target) return 0
    if (!('client' in this.target)) return this.target.db ?? 0
    const { options } = this.target.client
    return 'db' in options && typeof options.db === 'number' ? options.db : 0
  }

  /**
   * Resolves when Redis has answered a PING, or immediately if the connection is already open.
   *
   * @param prepare adds listeners before the first connection attempt.
   * @throws RedisConnectionError; then nothing stays open, and the call may be repeated.
   */
  async open(prepare: (redis: Redis) => void = () => undefined): Promise<void> {
    if (this.#redis !== undefined) return
    this.#opening ??= this.#open(prepare)
    try {
      this.#redis = await this.#opening
    } finally {
      this.#opening = undefined
      this.#connecting = undefined
    }
  }

  /**
   * Waits for pending commands, at most for the timeout, and closes the connection. A call of `open` that has not ended
   * rejects.
   */
  async close(): Promise<void> {
    this.#closes++
    this.#connecting?.disconnect()
    await this.#opening?.catch(() => undefined)
    const redis = this.#redis
    this.#redis = undefined
    this.#masters?.stop()
    this.#masters = undefined
    if (redis === undefined || this.#borrowed !== undefined) return
    if (redis.status === 'ready') await this.#inTime(redis.quit()).catch(() => undefined)
    redis.disconnect()
  }

  /**
   * @param failure begins the message of an error, such as "Cannot get key".
   * @throws RedisConnectionError, RedisOperationError
   */
  async run<T>(failure: string, command: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = this.#redis
    if (redis === undefined) throw new RedisConnectionError(`${failure}: not connected`)
    try {
      // A Cluster without a connection would keep the command, and send it whenever there is one.
      if (this.#clusterClient !== undefined && redis.status !== 'ready')
        throw new Error('Connection is closed.')
      const reply = command(redis)
      const isBounded = this.#borrowed === undefined && this.#clusterClient === undefined
      return await (isBounded ? reply : this.#inTime(reply))
    } catch (thrown) {
      throw redisFailure(this.#clusterClient?.explain(thrown) ?? thrown, failure)
    }
  }

  /** The masters of a Cluster, as it reports them now, or the one server. */
  async masters(failure: string): Promise<Redis[]> {
    return await this.run(failure, async (redis) => {
      if (!this.isCluster) return [redis]
      const masters = this.clusterMasters(failure)
      await masters.refresh()
      return [...masters.names].map((name) => {
        const master = masters.connectionTo(name)
        if (master === undefined)
          throw new RedisConnectionError(`${failure}: no connection to the master ${name}`)
        return master
      })
    })
  }

  /** Of the Cluster. @throws RedisConnectionError if it is not open. */
  clusterMasters(failure: string): ClusterMasters {
    if (this.#redis === undefined) throw new RedisConnectionError(`${failure}: not connected`)
    this.#masters ??= new ClusterMasters(this.#redis as unknown as Cluster)
    return this.#masters
  }

  /** Rejects unless the server answers: in a Cluster, every master. */
  async ping(): Promise<void> {
    const failure = 'Cannot ping Redis'
    const servers = await this.masters(failure)
    await this.run(failure, async () => await Promise.all(servers.map((server) => server.ping())))
  }

  /** The client of the caller that this connection uses. */
  get #borrowed(): RedisClientSettings | undefined {
    return 'client' in this.target && !this.#isDedicated ? this.target : undefined
  }

  /** The options of the caller's client may let a command wait for a connection indefinitely. */
  async #inTime<T>(
    reply: Promise<T>,
    timeoutMs: number = this.target.timeoutMs ?? DEFAULT_TIMEOUT_MS,
  ): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no reply within ${timeoutMs} ms: timed out`)), timeoutMs)
    })
    try {
      return await Promise.race([reply, late])
    } finally {
      clearTimeout(timer)
    }
  }

  async #borrow({ client }: RedisClientSettings): Promise<Redis> {
    // Both kinds of clients have the methods that are used here.
    const redis = client as unknown as Redis
    try {
      await this.#inTime(
        (async () => {
          if (redis.status === 'wait') await redis.connect()
          await redis.ping()
        })(),
      )
      return redis
    } catch (thrown) {
      const { message } = redisFailure(thrown, 'Redis does not answer through the given client')
      throw new RedisConnectionError(message, { cause: thrown })
    }
  }

  async #openCluster(settings: RedisClusterSettings): Promise<Redis> {
    const { clusterNodes, timeoutMs = DEFAULT_TIMEOUT_MS } = settings
    let failedAttempts = 0
    const client = new ClusterClient({
      settings,
      name: this.#name,
      timeoutMs,
      node: { ...loginOptions(settings), ...connectionOptions(timeoutMs) },
      retryDelayMs: () => retryDelayMs(++failedAttempts),
      connected: () => (failedAttempts = 0),
      problem: (problem) => {
        if (this.#clusterClient === client) this.#problem(problem)
      },
    })
    // Both kinds of clients have the methods that are used here.
    const redis = client.cluster as unknown as Redis
    this.#connecting = redis
    const closes = this.#closes
    try {
      await this.#inTime(client.connect(), (clusterNodes.length + 1) * timeoutMs)
      if (closes !== this.#closes) throw new Error('it was closed')
      this.#clusterClient = client
      return redis
    } catch (thrown) {
      redis.disconnect()
      const reason = closes === this.#closes ? client.explain(thrown) : new Error('it was closed')
      const { message } = redisFailure(reason, `Connection to ${whereIs(settings)} failed`)
      throw new RedisConnectionError(message, { cause: thrown })
    }
  }

  async #open(prepare: (redis: Redis) => void, isFirstAttempt = true): Promise<Redis> {
    if (this.#borrowed !== undefined) return await this.#borrow(this.#borrowed)
    if ('clusterNodes' in this.target) return await this.#openCluster(this.target)
    const failure = `Connection to Redis${this.#where} failed`
    // ioredis counts from the last connection that was opened, even if the server closed it at once.
    let failedAttempts = 0
    const redis = countSilenceOnly(createClient(this.target, () => retryDelayMs(++failedAttempts)))
    this.#connecting = redis
    const closes = this.#closes
    let greeting: Promise<ServiceError | undefined> = Promise.resolve(undefined)
    let firstError: Error | undefined
    let lastMessage: string | undefined
    redis.on('error', (error) => {
      firstError ??= error
      if (isRefusedDatabase(error)) redis.disconnect(true) // ioredis would continue with database 0
      if (this.#redis === redis && error.message !== lastMessage) this.#problem(redisFailure(error, failure))
      lastMessage = error.message // reported once, although every attempt to reconnect may fail with it
    })
    redis.on('ready', async () => {
      greeting = this.#greet(redis)
      if ((await greeting) !== undefined) return
      lastMessage = undefined
      failedAttempts = 0
    })
    prepare(redis)
    try {
      await redis.connect()
      await redis.ping()
      if (firstError !== undefined) throw firstError
      if (closes !== this.#closes) throw new Error('it was closed')
      return redis
    } catch (thrown) {
      redis.disconnect()
      // A proxy may have closed the connection because of the name: the next one begins without it.
      const isGreetingLost = (await greeting)?.code === 'CONNECTION'
      if (isGreetingLost && isFirstAttempt && closes === this.#closes) return await this.#open(prepare, false)
      const { message } = redisFailure(firstError ?? thrown, failure)
      throw new RedisConnectionError(message, { cause: firstError ?? thrown })
    }
  }
}

type OneServerSettings = Exclude<RedisSettings, RedisClusterSettings>

function createClient(target: OneServerSettings | RedisClientSettings, nextDelayMs: () => number): Redis {
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = target
  const options = {
    ...connectionOptions(timeoutMs),
    lazyConnect: true,
    enableOfflineQueue: false,
    retryStrategy: nextDelayMs,
    // The primary has moved: reconnect to find it.
    reconnectOnError: (error: Error) => (error.message.startsWith('READONLY') ? (1 as const) : false),
  } satisfies RedisOptions
  if ('client' in target) return (target.client as unknown as Redis).duplicate(options)
  const { db = 0 } = target
  return new Redis({ ...locationOptions(target, timeoutMs), db, ...loginOptions(target), ...options })
}

function loginOptions({ password, tls, username }: Omit<RedisLogin, 'db'>) {
  return {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls !== undefined && tls !== false && { tls: tlsOptions(tls) }),
    // All that we send works over RESP2, and proxies exist that refuse HELLO, which RESP3 begins with, or CLIENT SETINFO.
    protocol: 2,
    disableClientInfo: true,
  } satisfies RedisOptions
}

function locationOptions(target: OneServerSettings, timeoutMs: number) {
  if ('host' in target) return { host: target.host, port: target.port }
  const { name, sentinelPassword, sentinelTls, sentinelUsername, sentinels } = target
  const tls = sentinelTls === undefined || sentinelTls === false ? undefined : tlsOptions(sentinelTls)
  return sentinelOptions(
    { sentinels, name, username: sentinelUsername, password: sentinelPassword, tls },
    timeoutMs,
  )
}

function whereIs(target: RedisSettings): string {
  if ('host' in target) return `${target.host}:${target.port}`
  if ('clusterNodes' in target) return ClusterClient.nameOf(target)
  return `${target.name} of the Sentinels ${target.sentinels.map(serverAddressText).join(', ')}`
}

function connectionOptions(timeoutMs: number) {
  return {
    connectTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    // LOADING is handled like any other error reply, and the check would need the permission for INFO.
    enableReadyCheck: false,
    // ioredis would subscribe again without reporting what was missed.
    autoResubscribe: false,
  } satisfies RedisOptions
}

function retryDelayMs(failedAttempts: number): number {
  const delayMs = FIRST_RECONNECT_MS * 2 ** Math.min(failedAttempts, 10)
  return Math.min(LONGEST_RECONNECT_MS, delayMs) * (1 + Math.random())
}

function tlsOptions(tls: Exclude<RedisSettings['tls'], boolean | undefined> | true) {
  if (tls === true) return {}
  const given = Object.entries(tls).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given)
}
