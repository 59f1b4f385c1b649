import { isRefusedDatabase, type ServiceError } from '../errors.ts'
import { createGreeting } from '../redis-greeting.ts'
import { Redis, type RedisOptions } from 'ioredis'
import { RedisConnectionError, redisFailure, type RedisServiceError } from './errors.ts'
import type { RedisSettings } from './settings.ts'

/** Receives problems that happen in the background, such as lost connections and failing callbacks. */
export type ProblemListener = (problem: RedisServiceError) => void

const DEFAULT_TIMEOUT_MS = 5_000
const FIRST_RECONNECT_MS = 50
const LONGEST_RECONNECT_MS = 2_000

/**
 * A connection that never hangs and, once opened, never gives up: a command is answered or rejected within the timeout,
 * and immediately while there is no connection; it reconnects in the background until it is closed.
 */
export class RedisConnection {
  readonly settings: RedisSettings
  readonly #problem: ProblemListener
  readonly #greet: ReturnType<typeof createGreeting>
  #redis: Redis | undefined
  #opening: Promise<Redis> | undefined
  /** The client that is being connected. */
  #connecting: Redis | undefined
  #closes = 0

  constructor(settings: RedisSettings, name: string, problem: ProblemListener) {
    this.settings = settings
    this.#greet = createGreeting(name)
    this.#problem = problem
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
    if (redis === undefined) return
    if (redis.status === 'ready') await redis.quit().catch(() => undefined)
    redis.disconnect()
  }

  /**
   * @param failure begins the message of an error, such as "Cannot get key".
   * @throws RedisConnectionError, RedisOperationError
   */
  async run<T>(failure: string, command: (redis: Redis) => Promise<T>): Promise<T> {
    if (this.#redis === undefined) throw new RedisConnectionError(`${failure}: not connected`)
    try {
      return await command(this.#redis)
    } catch (thrown) {
      throw redisFailure(thrown, failure)
    }
  }

  async #open(prepare: (redis: Redis) => void, isFirstAttempt = true): Promise<Redis> {
    const { host, port, db = 0 } = this.settings
    const failure = `Connection to Redis at ${host}:${port}/${db} failed`
    // ioredis counts from the last connection that was opened, even if the server closed it at once.
    let failedAttempts = 0
    const redis = new Redis(connectionOptions(this.settings, () => ++failedAttempts))
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

function connectionOptions(settings: RedisSettings, nextAttempt: () => number) {
  const { host, port, db = 0, username, password, tls, timeoutMs = DEFAULT_TIMEOUT_MS } = settings
  return {
    ...{ host, port, db },
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls !== undefined && tls !== false && { tls: tlsOptions(tls) }),
    lazyConnect: true,
    // All that we send works over RESP2, and proxies exist that refuse HELLO, which RESP3 begins with, or CLIENT SETINFO.
    protocol: 2 as const,
    disableClientInfo: true,
    connectTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    // LOADING is handled like any other error reply, and the check would need the permission for INFO.
    enableReadyCheck: false,
    // ioredis would subscribe again without reporting what was missed.
    autoResubscribe: false,
    retryStrategy: () =>
      Math.min(LONGEST_RECONNECT_MS, FIRST_RECONNECT_MS * 2 ** Math.min(nextAttempt(), 10)) *
      (1 + Math.random()),
    // The primary has moved: reconnect to find it.
    reconnectOnError: (error: Error) => (error.message.startsWith('READONLY') ? 1 : false),
  } satisfies RedisOptions
}

function tlsOptions(tls: Exclude<RedisSettings['tls'], boolean | undefined> | true) {
  if (tls === true) return {}
  const given = Object.entries(tls).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given)
}
