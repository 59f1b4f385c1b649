import type { z } from 'zod'
import { appendConfig, readConfig, readHistory, type ConfigSnapshot } from './config-history.ts'
import { KeyspaceListener } from './keyspace-listener.ts'
import { RedisConnection, type ProblemListener } from './connection.ts'
import { assertWellFormed, decodeStoredJson, encodeStoredJson } from './json.ts'
import { RedisConnectionError, RedisVersionConflictError } from './errors.ts'
import type { RedisSettings } from './settings.ts'
import { WatchedConfig, type ConfigListener } from './watched-config.ts'

export type { ConfigChange, ConfigListener } from './watched-config.ts'

export type RedisConfigStoreOptions = {
  /** Begins every key in Redis; the methods take and give keys without it. Default: none. */
  readonly prefix?: string
  /** Adds what is missing to the server's `notify-keyspace-events`, keeping what is there. Default: false. */
  readonly enableNotifications?: boolean
  /** How the connections are called in CLIENT LIST. Default: `redis-config-store`. */
  readonly name?: string
  readonly onProblem?: ProblemListener
}

export type UpdateOptions<Schema extends z.ZodType = z.ZodType> = {
  /** The update fails if the config is not at this version; 0: if there is any. */
  readonly expectedVersion?: number
  /** Writes the value as the schema says (enumName, isoDate: redis-codecs.ts). */
  readonly schema?: Schema
}

/** `unchanged`: the newest value was the same already, and nothing was written. */
export type UpdateResult = { readonly kind: 'appended' | 'unchanged'; readonly version: number }

export type ConfigVersion = { readonly version: number; readonly text: string }

/** Ends with `stop()`, or with the block when held by `await using`. */
export type ConfigWatch = AsyncDisposable & { stop(): Promise<void> }

/**
 * Configs with a history in Redis, and a local copy that keeps itself up to date; shared with Python's
 * `cledar.redis` RedisConfigStore. A config is a list of JSON texts, the newest at its end; its version is the
 * list's length. A plain string, as others may have SET it, is version 1.
 *
 * What has been fetched once is answered from memory for as long as Redis tells of changes (keyspace
 * notifications, on a connection of its own), is read again after every gap, and is still answered when Redis is
 * away. Each key that was fetched or updated costs a subscription until the store is closed.
 *
 * Every method but isReady, cachedVersion and close throws RedisConnectionError (see each for what an outage
 * does) and RedisOperationError (a key that holds another type, no permission).
 */
export class RedisConfigStore {
  readonly #prefix: string
  readonly #problem: ProblemListener
  readonly #commands: RedisConnection
  readonly #listener: KeyspaceListener
  readonly #configs = new Map<string, WatchedConfig>()

  constructor(settings: RedisSettings, options: RedisConfigStoreOptions = {}) {
    const { prefix = '', enableNotifications = false, name = 'redis-config-store' } = options
    assertWellFormed(prefix)
    this.#prefix = prefix
    this.#problem = options.onProblem ?? (() => undefined)
    this.#commands = new RedisConnection(settings, name, this.#problem)
    this.#listener = new KeyspaceListener({
      commands: this.#commands,
      name: `${name}-listener`,
      enableNotifications,
      probePrefix: prefix,
      heard: (redisKey, event) => this.#configs.get(redisKey)?.changed(event),
      resumed: () => this.#configs.forEach((config) => config.changed('resumed')),
      problem: this.#problem,
    })
  }

  /**
   * Resolves when Redis has answered and is known to tell of changes. If it rejects, nothing stays open, and it
   * may be called again.
   *
   * @throws RedisNotificationsError if it does not tell, and was not or could not be made to.
   */
  async connect(): Promise<void> {
    try {
      await this.#commands.open()
      await this.#listener.open()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** Leaves nothing open, and forgets all copies and watches. It may be connected again. */
  async close(): Promise<void> {
    for (const config of this.#configs.values()) config.end()
    this.#configs.clear()
    await this.#listener.close()
    await this.#commands.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Whether Redis answers now, and changes are being heard of. */
  async isReady(): Promise<boolean> {
    if (!this.#listener.isListening) return false
    try {
      await this.#commands.run('ping', (redis) => redis.ping())
      return true
    } catch {
      return false
    }
  }

  /**
   * The newest value, or null if there is none. When Redis is away: the last that was seen.
   *
   * @throws RedisConnectionError if Redis is away and the config was never seen; RedisDeserializationError
   */
  async fetch<Schema extends z.ZodType>(schema: Schema, key: string): Promise<z.output<Schema> | null> {
    const { text } = await this.#current(key)
    return text === null ? null : decodeStoredJson(text, schema, key)
  }

  /**
   * Appends the value to the history, unless the newest one is equal as JSON; a plain string becomes a list of
   * the old value and the new. One atomic step: of any number of concurrent updates, none is lost.
   *
   * After a RedisConnectionError it may have been written, or may be yet: do it again with the same value (the
   * repetition is skipped), or look first.
   *
   * @throws RedisVersionConflictError, RedisSerializationError
   */
  async update<Schema extends z.ZodType>(
    key: string,
    value: z.output<Schema>,
    options: UpdateOptions<Schema> & { readonly schema: Schema },
  ): Promise<UpdateResult>
  async update(key: string, value: unknown, options?: Omit<UpdateOptions, 'schema'>): Promise<UpdateResult>
  async update(
    key: string,
    value: unknown,
    { expectedVersion, schema }: UpdateOptions = {},
  ): Promise<UpdateResult> {
    if (expectedVersion !== undefined && !(Number.isSafeInteger(expectedVersion) && expectedVersion >= 0)) {
      throw new RangeError('expectedVersion must be a whole number from 0')
    }
    const json = encodeStoredJson(value, schema)
    const redisKey = this.#redisKey(key)
    const config = this.#config(redisKey, key)
    await this.#listenIfPossible(config)
    const outcome = await config.write(async () => {
      const answer = await this.#commands.run(`updating ${key}`, (redis) =>
        appendConfig(redis, redisKey, json, expectedVersion),
      )
      if (answer.kind !== 'conflict') return answer
      throw new RedisVersionConflictError(key, expectedVersion ?? 0, answer.actualVersion)
    })
    return { kind: outcome.kind, version: outcome.snapshot.version }
  }

  /** Deletes the config and its history. Whether there was one. */
  async delete(key: string): Promise<boolean> {
    const redisKey = this.#redisKey(key)
    const remove = () => this.#commands.run(`deleting ${key}`, (redis) => redis.del(redisKey))
    const config = this.#configs.get(redisKey)
    if (config === undefined) return (await remove()) > 0
    const { deleted } = await config.write(async () => ({ deleted: await remove(), snapshot: ABSENT }))
    return deleted > 0
  }

  /** How many versions there are: 0 for none, 1 for a plain string. When Redis is away: as last seen. */
  async versions(key: string): Promise<number> {
    return (await this.#readOrRemember(key)).version
  }

  /** The version of the local copy; undefined if there is none. */
  cachedVersion(key: string): number | undefined {
    const copy = this.#configs.get(this.#redisKey(key))?.snapshot
    return copy === undefined || copy.text === null ? undefined : copy.version
  }

  /** Every value that the config has had, oldest first. */
  async history(key: string): Promise<ConfigVersion[]> {
    const redisKey = this.#redisKey(key)
    const texts = await this.#commands.run(`reading the history of ${key}`, (redis) =>
      readHistory(redis, redisKey),
    )
    return texts.map((text, index) => ({ version: index + 1, text }))
  }

  /**
   * Calls back once for each thing that is done to the key, whoever does it (`event`: `set`, `rpush`, `lset`,
   * `del`, `expired`, `rename_from`, `rename_to`, or what else Redis calls it), with what the key holds then; and
   * once after an outage (`resumed`) if the config is no longer what it was. When it is called, `fetch` gives the
   * new value. What a callback throws goes to `onProblem`.
   *
   * @returns when every later change will be told; none from before is.
   */
  async watch(key: string, callback: ConfigListener): Promise<ConfigWatch> {
    const config = this.#config(this.#redisKey(key), key)
    const listener = config.add(callback)
    const stop = async () => {
      listener.stop()
      await this.#forgetIfUnused(config)
    }
    try {
      await this.#listener.listen(config.redisKey)
      await this.#listener.settle()
      await config.refresh()
      listener.start()
    } catch (error) {
      await stop()
      throw error
    }
    return { stop, [Symbol.asyncDispose]: stop }
  }

  async #current(key: string): Promise<ConfigSnapshot> {
    const redisKey = this.#redisKey(key)
    const known = this.#configs.get(redisKey)
    if (known?.snapshot !== undefined && known.isFresh && this.#listener.isListeningTo(redisKey)) {
      return known.snapshot
    }
    const config = known ?? this.#config(redisKey, key)
    await this.#listenIfPossible(config)
    return await this.#readOrRemember(key)
  }

  async #readOrRemember(key: string): Promise<ConfigSnapshot> {
    const redisKey = this.#redisKey(key)
    const config = this.#configs.get(redisKey)
    if (config === undefined) return await this.#read(redisKey, key)
    try {
      const snapshot = await config.refresh()
      if (snapshot.text === null) await this.#forgetIfUnused(config)
      return snapshot
    } catch (error) {
      if (config.snapshot === undefined) await this.#forgetIfUnused(config)
      if (!(error instanceof RedisConnectionError) || config.snapshot === undefined) throw error
      return config.snapshot
    }
  }

  /** It also works without, but not as fast: then each fetch asks Redis. */
  async #listenIfPossible(config: WatchedConfig): Promise<void> {
    try {
      await this.#listener.listen(config.redisKey)
    } catch (error) {
      if (!(error instanceof RedisConnectionError)) throw error
    }
  }

  /** Keys that hold nothing are not kept, or asking for names at random would fill the memory. */
  async #forgetIfUnused(config: WatchedConfig): Promise<void> {
    if (config.isWatched || (config.snapshot !== undefined && config.snapshot.text !== null)) return
    if (this.#configs.get(config.redisKey) !== config) return
    this.#configs.delete(config.redisKey)
    await this.#listener.ignore(config.redisKey).catch(() => undefined) // the connection is away, or closed
  }

  #config(redisKey: string, key: string): WatchedConfig {
    const known = this.#configs.get(redisKey)
    if (known !== undefined) return known
    const config = new WatchedConfig({
      redisKey,
      key,
      read: () => this.#read(redisKey, key),
      isHeard: () => this.#listener.isListeningTo(redisKey),
      problem: this.#problem,
    })
    this.#configs.set(redisKey, config)
    return config
  }

  #read(redisKey: string, key: string): Promise<ConfigSnapshot> {
    return this.#commands.run(`reading ${key}`, (redis) => readConfig(redis, redisKey))
  }

  #redisKey(key: string): string {
    assertWellFormed(key)
    return this.#prefix + key
  }
}

const ABSENT: ConfigSnapshot = { text: null, version: 0 }
