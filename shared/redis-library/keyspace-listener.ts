import type { Redis } from 'ioredis'
import {
  areNotificationsEnabled,
  checkNotifications,
  keyspaceChannel,
  type NotificationsKnown,
} from './keyspace-notifications.ts'
import { RedisConnection, type ProblemListener } from './connection.ts'
import { RedisConnectionError, RedisNotificationsError, RedisServiceError } from './errors.ts'

export type KeyspaceListenerOptions = {
  /** Another connection to the same server: a subscriber can do nothing else on its own. */
  readonly commands: RedisConnection
  readonly name: string
  readonly enableNotifications: boolean
  readonly probePrefix: string
  /** Something was done to a key that is listened to. */
  readonly heard: (key: string, event: string) => void
  /** Listening again after a gap: whatever is known of the keys may be out of date. */
  readonly resumed: () => void
  readonly problem: ProblemListener
}

/**
 * How often the connection is asked for a sign of life, and the server for its setting, which anybody may change:
 * nothing else tells quiet keys from a dead peer, or from one that no longer tells.
 */
const CHECK_INTERVAL_MS = 1_000

/**
 * Keyspace notifications of single keys, on a connection of its own. It is either listening, and hears of every
 * change, or it is not: after a loss of the connection it subscribes anew and checks the server's setting (which
 * a restart may have undone) until both are well, and says that it resumed.
 */
export class KeyspaceListener {
  readonly #options: KeyspaceListenerOptions
  readonly #connection: RedisConnection
  /** Each key that is wanted → the number of that wish. */
  readonly #wanted = new Map<string, number>()
  readonly #subscribed = new Set<string>()
  readonly #overheard = new Map<string, (event: string) => void>()
  /** Counts the connections: what was learnt on an older one is worth nothing. */
  #epoch = 0
  #wishes = 0
  #isListening = false
  #known: NotificationsKnown = 'unknown'
  #resuming: Promise<void> | undefined
  #lastProblem: string | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(options: KeyspaceListenerOptions) {
    this.#options = options
    const { commands, name, problem } = options
    this.#connection = new RedisConnection(commands.settings, name, problem)
  }

  /** True: nothing that happens to the keys is missed. */
  get isListening(): boolean {
    return this.#isListening
  }

  isListeningTo(key: string): boolean {
    return this.#isListening && this.#subscribed.has(key)
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
    this.#wanted.clear()
    await this.#connection.close()
    await this.#resuming?.catch(() => undefined)
  }

  /**
   * Resolves when every later change of the key will be heard.
   *
   * @throws RedisConnectionError when the connection is away: the key is listened to as soon as it is back, unless
   * it is ignored before; RedisOperationError for a user without the right to the channel.
   */
  async listen(key: string): Promise<void> {
    if (this.isListeningTo(key)) return
    const wish = this.#wanted.get(key) ?? ++this.#wishes
    this.#wanted.set(key, wish)
    try {
      await this.#subscribe([key])
    } catch (error) {
      if (!(error instanceof RedisConnectionError) && this.#wanted.get(key) === wish) this.#wanted.delete(key)
      throw error
    }
    if (!this.isListeningTo(key)) throw new RedisConnectionError(`listening to ${key}: not yet`)
  }

  /** Resolves when everything that was done before has been heard. */
  async settle(): Promise<void> {
    await this.#connection.run('ping', (redis) => redis.ping())
  }

  /** Nothing is heard of the key any more. */
  async ignore(key: string): Promise<void> {
    this.#wanted.delete(key)
    if (!this.#subscribed.delete(key)) return
    const channel = this.#channel(key)
    await this.#connection.run(`ignoring ${key}`, (redis) => redis.unsubscribe(channel))
  }

  #prepare(redis: Redis): void {
    redis.on('message', (channel: string, event: string) => {
      const key = channel.slice(channel.indexOf(':') + 1)
      this.#overheard.get(key)?.(event)
      if (this.#wanted.has(key)) this.#options.heard(key, event)
    })
    redis.on('close', () => this.#lost())
    redis.on('ready', () => {
      if (this.#timer !== undefined) void this.#check()
    })
  }

  #lost(): void {
    this.#epoch += 1
    this.#isListening = false
    this.#subscribed.clear()
  }

  async #check(): Promise<void> {
    try {
      if (this.#isListening) await this.#assertStillTold()
      if (!this.#isListening) await this.#resume()
      this.#lastProblem = undefined
    } catch (error) {
      // Once: it is tried again and again.
      if (!(error instanceof RedisServiceError) || error.message === this.#lastProblem) return
      this.#lastProblem = error.message
      this.#options.problem(error)
    }
  }

  /** A setting that was changed counts as a gap, as a lost connection does. */
  async #assertStillTold(): Promise<void> {
    await this.settle()
    // Asking without the right to would fill the server's log of refusals.
    if (this.#known !== 'by setting' || (await areNotificationsEnabled(this.#options.commands))) return
    this.#isListening = false
  }

  async #resume(): Promise<void> {
    this.#resuming ??= this.#tryResume().finally(() => (this.#resuming = undefined))
    await this.#resuming
  }

  async #tryResume(): Promise<void> {
    const epoch = this.#epoch
    const { commands, enableNotifications: enable, probePrefix, resumed, problem } = this.#options
    await this.#subscribe([...this.#wanted.keys()])
    // Those that join meanwhile subscribe for themselves.
    const found = await checkNotifications(commands, (key, heard) => this.#overhear(key, heard), {
      enable,
      probePrefix,
    })
    if (epoch !== this.#epoch) throw new RedisConnectionError('subscribing: the connection was lost again')
    this.#known = found
    if (found === 'unknown') problem(new RedisNotificationsError(UNKNOWN))
    this.#isListening = true
    resumed()
  }

  async #subscribe(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return
    const epoch = this.#epoch
    const wishes = keys.map((key) => this.#wanted.get(key))
    const channels = keys.map((key) => this.#channel(key))
    await this.#connection.run('subscribing', (redis) => redis.subscribe(...channels))
    if (epoch !== this.#epoch) throw new RedisConnectionError('subscribing: the connection was lost again')
    keys.forEach((key, index) => {
      const wish = wishes[index]
      if (wish !== undefined && wish === this.#wanted.get(key)) this.#subscribed.add(key)
    })
  }

  async #overhear(key: string, heard: (event: string) => void): Promise<() => Promise<void>> {
    this.#overheard.set(key, heard)
    await this.#subscribe([key])
    return async () => {
      this.#overheard.delete(key)
      await this.#connection.run(`ignoring ${key}`, (redis) => redis.unsubscribe(this.#channel(key)))
    }
  }

  #channel(key: string): string {
    return keyspaceChannel(this.#options.commands.settings.db ?? 0, key)
  }
}

const UNKNOWN =
  'whether Redis tells of changes to keys is unknown: this user may neither read the setting ' +
  'notify-keyspace-events nor write a key to try it. If it does not, changes are not noticed'
