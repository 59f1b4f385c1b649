import { Redis, type RedisOptions } from 'ioredis'
import { RedisConnectionError, redisFailure, type RedisServiceError } from './errors.ts'
import type { RedisSettings } from './settings.ts'

/** Told of what happens in the background, where nobody waits for it: lost connections, failing callbacks. */
export type ProblemListener = (problem: RedisServiceError) => void

const DEFAULT_TIMEOUT_MS = 5_000
const FIRST_RECONNECT_MS = 50
const LONGEST_RECONNECT_MS = 2_000

/**
 * A connection that never hangs and, once opened, never gives up: a command is answered or rejected within the
 * timeout, at once while there is no connection, and it reconnects in the background until it is closed.
 */
export class RedisConnection {
  readonly settings: RedisSettings
  readonly #name: string
  readonly #problem: ProblemListener
  #redis: Redis | undefined
  #opening: Promise<Redis> | undefined

  constructor(settings: RedisSettings, name: string, problem: ProblemListener) {
    this.settings = settings
    this.#name = name
    this.#problem = problem
  }

  /**
   * Resolves when Redis has answered a PING; nothing to do if it is open.
   *
   * @param prepare listeners must be added before the first connection.
   * @throws RedisConnectionError; then nothing stays open, and it may be tried again.
   */
  async open(prepare: (redis: Redis) => void = () => undefined): Promise<void> {
    if (this.#redis !== undefined) return
    this.#opening ??= this.#open(prepare)
    try {
      this.#redis = await this.#opening
    } finally {
      this.#opening = undefined
    }
  }

  /** Waits for what has been sent, no longer than the timeout; leaves nothing open. */
  async close(): Promise<void> {
    await this.#opening?.catch(() => undefined)
    const redis = this.#redis
    this.#redis = undefined
    if (redis === undefined) return
    if (redis.status === 'ready') await redis.quit().catch(() => undefined)
    redis.disconnect()
  }

  /**
   * @param doing for the message of an error.
   * @throws RedisConnectionError, RedisOperationError
   */
  async run<T>(doing: string, command: (redis: Redis) => Promise<T>): Promise<T> {
    if (this.#redis === undefined) throw new RedisConnectionError(`${doing}: not connected`)
    try {
      return await command(this.#redis)
    } catch (thrown) {
      throw redisFailure(thrown, doing)
    }
  }

  async #open(prepare: (redis: Redis) => void): Promise<Redis> {
    const { host, port, db = 0 } = this.settings
    const where = `Redis at ${host}:${port}/${db}`
    const redis = new Redis({ ...connectionOptions(this.settings), connectionName: this.#name })
    let firstError: Error | undefined
    let lastMessage: string | undefined
    redis.on('error', (error) => {
      firstError ??= error
      if (isRefusedDatabase(error)) redis.disconnect(true) // ioredis would go on in database 0
      if (this.#redis === redis && error.message !== lastMessage) this.#problem(redisFailure(error, where))
      lastMessage = error.message // once: it is tried again and again
    })
    redis.on('ready', () => (lastMessage = undefined))
    prepare(redis)
    try {
      await redis.connect()
      await redis.ping()
      if (firstError !== undefined) throw firstError
      return redis
    } catch (thrown) {
      redis.disconnect()
      const { message } = redisFailure(firstError ?? thrown, where)
      throw new RedisConnectionError(message, { cause: firstError ?? thrown })
    }
  }
}

function isRefusedDatabase(error: Error): boolean {
  if (!('command' in error) || typeof error.command !== 'object' || error.command === null) return false
  return 'name' in error.command && error.command.name === 'select'
}

function connectionOptions(settings: RedisSettings) {
  const { host, port, db = 0, username, password, tls, timeoutMs = DEFAULT_TIMEOUT_MS } = settings
  return {
    ...{ host, port, db },
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls !== undefined && tls !== false && { tls: tlsOptions(tls) }),
    lazyConnect: true,
    connectTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    // LOADING is an answer like others; the check would need the right to call INFO besides.
    enableReadyCheck: false,
    // It would be silent about what was missed.
    autoResubscribe: false,
    retryStrategy: (attempt: number) =>
      Math.min(LONGEST_RECONNECT_MS, FIRST_RECONNECT_MS * 2 ** Math.min(attempt, 10)) * (1 + Math.random()),
    // The primary has moved: close, and look for it again.
    reconnectOnError: (error: Error) => (error.message.startsWith('READONLY') ? 1 : false),
  } satisfies RedisOptions
}

function tlsOptions(tls: Exclude<RedisSettings['tls'], boolean | undefined> | true) {
  if (tls === true) return {}
  const given = Object.entries(tls).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given)
}
