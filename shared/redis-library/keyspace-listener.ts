import type { Redis } from 'ioredis'
import {
  areNotificationsEnabled,
  checkNotifications,
  keyspaceChannel,
  type NotificationsKnown,
} from './keyspace-notifications.ts'
import { RedisConnection, type CommandConnection, type ProblemListener } from './connection.ts'
import { RedisConnectionError, RedisNotificationsError, RedisServiceError } from './errors.ts'

/** How the store learns of changes. The methods are described at KeyspaceListener. */
export type ChangeListener = Pick<
  KeyspaceListener,
  'isListening' | 'isListeningTo' | 'open' | 'close' | 'listen' | 'settle' | 'ignore'
>

export type KeyspaceListenerOptions = {
  /** Another connection to the same server: a subscribed connection accepts no other commands. */
  readonly commands: CommandConnection
  readonly name: string
  /** Of the server, in error messages, such as ` at 10.0.0.1:6379`. Default: as for `commands`. */
  readonly where?: string
  readonly enableNotifications: boolean
  /** The name of a key, if one must be written to find out whether the server reports changes. */
  readonly probeKey: () => string
  /** Called when a key that is listened to has changed. */
  readonly changed: (key: string, event: string) => void
  /** Called when the listener receives changes again after a gap: earlier values of all keys may be out of date. */
  readonly resumed: () => void
  readonly problem: ProblemListener
}

/**
 * How often the connection is pinged and the server's setting is read. Nothing else distinguishes keys that do not
 * change from a dead server, or from one whose notifications another client has turned off.
 */
const CHECK_INTERVAL_MS = 1_000

/**
 * Receives the keyspace notifications of single keys on a dedicated connection. It is either listening, and receives
 * every change, or it is not. After a loss of the connection it subscribes again and checks the server's setting, which
 * a restart may have reset, until both succeed; then it calls `resumed`.
 */
export class KeyspaceListener {
  readonly #options: KeyspaceListenerOptions
  readonly #connection: RedisConnection
  /** Each key to listen to → the number of the request, which distinguishes it from earlier ones for the same key. */
  readonly #requests = new Map<string, number>()
  readonly #subscribed = new Set<string>()
  readonly #observers = new Map<string, (event: string) => void>()
  /** Counts the connections: what was found out on an older connection no longer holds. */
  #epoch = 0
  #lastRequest = 0
  #isListening = false
  #isSilent = false
  #known: NotificationsKnown = 'unknown'
  #resuming: Promise<void> | undefined
  #lastProblem: string | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(options: KeyspaceListenerOptions) {
    this.#options = options
    const { commands, name, problem, where } = options
    this.#connection = new RedisConnection(commands.target, name, problem, {
      isDedicated: true,
      ...(where !== undefined && { where }),
    })
  }

  /** If true, no change to the keys is missed. */
  get isListening(): boolean {
    return this.#isListening
  }

  isListeningTo(key: string): boolean {
    return this.#isListening && this.#subscribed.has(key)
  }

  /** There is a connection, but the server does not report changes, or may not. */
  get isSilent(): boolean {
    return this.#isSilent
  }

  /** @throws RedisConnectionError, RedisOperationError, RedisNotificationsError */
  async open(): Promise<void> {
    await this.#connection.open((redis) => this.#prepare(redis))
    await this.#resume()
    this.#timer ??= setInterval(() => void this.#check(), CHECK_INTERVAL_MS)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#lost()
    this.#requests.clear()
    await this.#connection.close()
    await this.#resuming?.catch(() => undefined)
  }

  /**
   * Resolves when every later change of the key will be received.
   *
   * @throws RedisConnectionError without a connection: the key is listened to as soon as there is one, unless `ignore`
   * is called first; RedisOperationError for a user without the permission for the channel.
   */
  async listen(key: string): Promise<void> {
    if (this.isListeningTo(key)) return
    const request = this.#requests.get(key) ?? ++this.#lastRequest
    this.#requests.set(key, request)
    try {
      await this.#subscribe([key])
    } catch (error) {
      if (!(error instanceof RedisConnectionError) && this.#requests.get(key) === request)
        this.#requests.delete(key)
      throw error
    }
    if (!this.isListeningTo(key)) throw new RedisConnectionError(`Cannot listen to ${key}: not listening yet`)
  }

  /** Resolves when all earlier changes of the key have been received. */
  async settle(_key: string): Promise<void> {
    await this.#ping()
  }

  async #ping(): Promise<void> {
    await this.#connection.run('Cannot ping Redis', (redis) => redis.ping())
  }

  /** Stops receiving changes of the key. */
  async ignore(key: string): Promise<void> {
    this.#subscribed.delete(key)
    // Also if its subscription is only on the way: Redis handles the two commands in this order.
    if (this.#requests.delete(key)) await this.#unsubscribe(key)
  }

  #prepare(redis: Redis): void {
    redis.on('message', (channel: string, event: string) => {
      const key = channel.slice(channel.indexOf(':') + 1)
      this.#observers.get(key)?.(event)
      if (this.#requests.has(key)) this.#options.changed(key, event)
    })
    redis.on('close', () => this.#lost())
    redis.on('ready', () => {
      if (this.#timer !== undefined) void this.#check()
    })
  }

  #lost(): void {
    this.#epoch += 1
    this.#isListening = false
    this.#isSilent = false
    this.#subscribed.clear()
  }

  async #check(): Promise<void> {
    try {
      if (this.#isListening) await this.#checkStillNotified()
      if (!this.#isListening) await this.#resume()
      this.#lastProblem = undefined
    } catch (error) {
      // Reported once, although every further attempt may fail with the same message.
      if (!(error instanceof RedisServiceError) || error.message === this.#lastProblem) return
      this.#lastProblem = error.message
      this.#options.problem(error)
    }
  }

  /** A change of the setting counts as a gap, like a lost connection. */
  async #checkStillNotified(): Promise<void> {
    await this.#ping()
    // Without the permission, every attempt to read the setting would add to the server's ACL LOG.
    if (this.#known !== 'by setting' || (await areNotificationsEnabled(this.#options.commands))) return
    this.#isListening = false
  }

  async #resume(): Promise<void> {
    this.#resuming ??= this.#tryResume()
      .catch((error: unknown) => {
        this.#isSilent = error instanceof RedisNotificationsError
        throw error
      })
      .finally(() => (this.#resuming = undefined))
    await this.#resuming
  }

  async #tryResume(): Promise<void> {
    const epoch = this.#epoch
    const { commands, enableNotifications: enable, probeKey, resumed, problem } = this.#options
    await this.#subscribe([...this.#requests.keys()])
    // Keys that are added in the meantime are subscribed to by their own `listen`.
    const found = await checkNotifications(commands, (key, onEvent) => this.#observe(key, onEvent), {
      enable,
      probeKey: probeKey(),
    })
    if (epoch !== this.#epoch)
      throw new RedisConnectionError('Cannot subscribe: the connection was lost again')
    this.#known = found
    this.#isSilent = found === 'unknown'
    if (found === 'unknown') problem(new RedisNotificationsError(UNKNOWN))
    this.#isListening = true
    resumed()
  }

  async #subscribe(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return
    const epoch = this.#epoch
    const requests = keys.map((key) => this.#requests.get(key))
    const channels = keys.map((key) => this.#channel(key))
    await this.#connection.run('Cannot subscribe', (redis) => redis.subscribe(...channels))
    if (epoch !== this.#epoch)
      throw new RedisConnectionError('Cannot subscribe: the connection was lost again')
    keys.forEach((key, index) => {
      const request = requests[index]
      if (request !== undefined && request === this.#requests.get(key)) this.#subscribed.add(key)
    })
  }

  async #observe(key: string, onEvent: (event: string) => void): Promise<() => Promise<void>> {
    this.#observers.set(key, onEvent)
    await this.#subscribe([key])
    return async () => {
      this.#observers.delete(key)
      await this.#unsubscribe(key)
    }
  }

  async #unsubscribe(key: string): Promise<void> {
    const channel = this.#channel(key)
    await this.#connection.run(`Cannot unsubscribe from ${key}`, (redis) => redis.unsubscribe(channel))
  }

  #channel(key: string): string {
    return keyspaceChannel(this.#options.commands.db, key)
  }
}

const UNKNOWN =
  'It is unknown whether Redis reports changes to keys: this user may neither read the setting ' +
  'notify-keyspace-events nor write a key to test it. If Redis does not report them, changes go unnoticed'
