/// <reference lib="esnext.disposable" preserve="true" />
import type { z } from 'zod'
import {
  appendConfig,
  readConfig,
  readHistory,
  type ConfigSnapshot,
  type ConfigVersion,
} from './config-history.ts'
import { randomUUID } from 'node:crypto'
import { ClusterListener } from './cluster-listener.ts'
import { KeyspaceListener, type ChangeListener } from './keyspace-listener.ts'
import { RedisConnection, type ProblemListener } from './connection.ts'
import { RedisConnectionError, RedisVersionConflictError } from './errors.ts'
import { assertWellFormed, deserialize, serialize } from './serialization.ts'
import type { RedisTarget } from './target.ts'
import { WatchedConfig, type ConfigListener } from './watched-config.ts'

export type { ConfigVersion } from './config-history.ts'
export type { ConfigChange, ConfigListener } from './watched-config.ts'

export type RedisConfigStoreOptions = {
  /** Prefix of every key in Redis. The methods take and return keys without it. Default: none. */
  readonly prefix?: string | undefined
  /** Adds missing flags to the server's `notify-keyspace-events` and keeps the existing ones. Default: false. */
  readonly enableNotifications?: boolean | undefined
  /**
   * Number of versions that an update keeps of the history, at least 1; it removes older ones. The versions are still counted.
   * Default: 1000.
   */
  readonly maxVersions?: number | undefined
  /** Name of the connections in CLIENT LIST. Default: `redis-config-store`. */
  readonly name?: string | undefined
  /** Called for problems in the background: lost connections, missing notifications, callbacks that failed. */
  readonly onProblem?: ProblemListener | undefined
}

export type UpdateOptions<Schema extends z.ZodType = z.ZodType> = {
  /** The update fails if the config does not have this version. 0: it must not exist yet. Default: any version. */
  readonly expectedVersion?: number | undefined
  /** Encodes the value, for codecs such as enumName and isoDate. */
  readonly schema?: Schema | undefined
}

/** `unchanged`: the newest value was already equal, and nothing was written. */
export type UpdateResult = { readonly kind: 'appended' | 'unchanged'; readonly version: number }

/** Ends with `stop()`, or at the end of the block if declared with `await using`. */
export type ConfigWatch = AsyncDisposable & { stop(): Promise<void> }

/**
 * Configs with a history in Redis, and a local copy that is kept up to date. It shares its keys with the
 * RedisConfigStore of Python's `cledar.redis`. A config is a list of JSON texts with the newest at the end, and its
 * version is the length of the list, plus the number of old versions that were removed, which the first entry then says. A
 * plain string, as another program may have SET it, counts as version 1.
 *
 * A config that has been fetched once is answered from memory while Redis reports changes (by keyspace notifications, on
 * a dedicated connection). It is read again after every gap, and still answered from memory while Redis is unavailable.
 * Each key that was fetched or updated costs one subscription, until the key is deleted or the store is closed.
 *
 * Every method except isReady, cachedVersion and close throws RedisConnectionError (the methods say what an outage
 * means for them) and RedisOperationError (the key holds another type, or the user lacks a permission).
 */
export class RedisConfigStore {
  readonly #prefix: string
  readonly #maxVersions: number
  readonly #problem: ProblemListener
  readonly #commands: RedisConnection
  readonly #listener: ChangeListener
  readonly #configs = new Map<string, WatchedConfig>()
  /** Counts the calls of close, so that a call of connect notices one that comes before its end. */
  #closes = 0

  /** @throws RedisSettingsError for a URL or a client that cannot be used; RangeError for an invalid `maxVersions`. */
  constructor(target: RedisTarget, options: RedisConfigStoreOptions = {}) {
    const {
      prefix = '',
      enableNotifications = false,
      maxVersions = 1_000,
      name = 'redis-config-store',
    } = options
    assertWellFormed(prefix)
    if (!(Number.isSafeInteger(maxVersions) && maxVersions >= 1))
      throw new RangeError('maxVersions must be a whole number of at least 1')
    this.#prefix = prefix
    this.#maxVersions = maxVersions
    this.#problem = options.onProblem ?? (() => undefined)
    this.#commands = new RedisConnection(target, name, this.#problem)
    const listening = {
      commands: this.#commands,
      name: `${name}-listener`,
      enableNotifications,
      changed: (redisKey: string, event: string, mayBeKnown?: boolean) =>
        this.#configs.get(redisKey)?.changed(event, mayBeKnown),
      resumed: () => this.#configs.forEach((config) => config.changed('resumed')),
      problem: this.#problem,
    }
    const compare = () => {
      for (const config of this.#configs.values()) if (config.isWatched) config.changed('changed')
    }
    this.#listener = this.#commands.isCluster
      ? new ClusterListener({ ...listening, probePrefix: prefix, compare })
      : new KeyspaceListener({
          ...listening,
          probeKey: () => `${prefix}notifications-probe:${randomUUID()}`,
        })
  }

  /**
   * Resolves when Redis has answered and is known to report changes. If it rejects, nothing stays open, and it may be
   * called again.
   *
   * @throws RedisNotificationsError if Redis does not report changes, and `enableNotifications` is false or fails.
   */
  async connect(): Promise<void> {
    const closes = this.#closes
    const assertNotClosed = () => {
      if (closes !== this.#closes)
        throw new RedisConnectionError('Connection to Redis failed: the store was closed')
    }
    try {
      await this.#commands.open()
      assertNotClosed()
      await this.#listener.open()
      assertNotClosed()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** Closes both connections, and drops all local copies and watches. The store may be connected again. */
  async close(): Promise<void> {
    this.#closes++
    for (const config of this.#configs.values()) config.end()
    this.#configs.clear()
    await this.#listener.close()
    await this.#commands.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Whether Redis answers and changes are being received at this moment. */
  async isReady(): Promise<boolean> {
    if (!this.#listener.isListening) return false
    try {
      await this.#commands.ping()
      return true
    } catch {
      return false
    }
  }

  /**
   * Resolves with the newest value, or null if there is none. While Redis is unavailable: with the last known value.
   *
   * @throws RedisConnectionError if Redis is unavailable and the config has never been read; RedisDeserializationError
   */
  async fetch<Schema extends z.ZodType>(schema: Schema, key: string): Promise<z.output<Schema> | null> {
    const { text } = await this.#current(key)
    return text === null ? null : deserialize(text, schema, key)
  }

  /**
   * Appends the value to the history, unless the newest value is equal as JSON. A plain string becomes a list of the old
   * and the new value. This is one atomic step: concurrent updates are never lost.
   *
   * After a RedisConnectionError the value may have been written, or may be written later. Repeat the call with the same
   * value (an equal value is not appended twice), or fetch first.
   *
   * @throws RedisVersionConflictError, RedisSerializationError, or RangeError for an invalid `expectedVersion`
   */
  async update<Schema extends z.ZodType>(
    key: string,
    value: z.output<Schema>,
    options: UpdateOptions<Schema> & { readonly schema: Schema },
  ): Promise<UpdateResult>
  async update(
    key: string,
    value: unknown,
    options?: UpdateOptions & { readonly schema?: undefined },
  ): Promise<UpdateResult>
  async update(
    key: string,
    value: unknown,
    { expectedVersion, schema }: UpdateOptions = {},
  ): Promise<UpdateResult> {
    if (expectedVersion !== undefined && !(Number.isSafeInteger(expectedVersion) && expectedVersion >= 0)) {
      throw new RangeError('expectedVersion must be a whole number of at least 0')
    }
    const json = serialize(value, schema)
    const redisKey = this.#redisKey(key)
    return await this.#using(this.#config(redisKey, key), async (config) => {
      await this.#listenIfPossible(config)
      const outcome = await config.write(async () => {
        const append = await this.#commands.run(`Cannot update ${key}`, (redis) =>
          appendConfig(redis, redisKey, json, expectedVersion, this.#maxVersions),
        )
        if (append.kind !== 'conflict') return append
        throw new RedisVersionConflictError(key, expectedVersion ?? 0, append.actualVersion)
      })
      return { kind: outcome.kind, version: outcome.snapshot.version }
    })
  }

  /** Deletes the config and its history. Resolves with whether it existed. */
  async delete(key: string): Promise<boolean> {
    const redisKey = this.#redisKey(key)
    const remove = () => this.#commands.run(`Cannot delete ${key}`, (redis) => redis.del(redisKey))
    const known = this.#configs.get(redisKey)
    if (known === undefined) return (await remove()) > 0
    return await this.#using(known, async (config) => {
      const { deleted } = await config.write(async () => ({ deleted: await remove(), snapshot: ABSENT }))
      return deleted > 0
    })
  }

  /** The number of versions: 0 for none, 1 for a plain string. While Redis is unavailable: the last known number. */
  async versions(key: string): Promise<number> {
    return (await this.#readOrRemember(key)).version
  }

  /** The version of the local copy; undefined if there is no copy. */
  cachedVersion(key: string): number | undefined {
    const copy = this.#configs.get(this.#redisKey(key))?.snapshot
    return copy === undefined || copy.text === null ? undefined : copy.version
  }

  /** Every version that is kept of the config, as JSON text, oldest first. */
  async history(key: string): Promise<ConfigVersion[]> {
    const redisKey = this.#redisKey(key)
    return await this.#commands.run(`Cannot read the history of ${key}`, (redis) =>
      readHistory(redis, redisKey),
    )
  }

  /**
   * Calls back once for everything that any client does to the key, with the value that the key then holds. `event` is
   * `set`, `rpush`, `del`, `expired`, `rename_from`, `rename_to`, or another name that Redis uses. After an outage
   * (`resumed`), and when entries of the list are replaced or removed (`lset`, `ltrim`), it calls back only if the newest
   * value or the version has changed. By the time of the call, `fetch` returns the new value. Errors of the callback are passed to
   * `onProblem`.
   *
   * With a Redis Cluster, the same holds for `del` and `restore`, which also happen when a slot moves to another node. As long as
   * a node does not report changes, it compares every second, and `event` is `changed`.
   *
   * Resolves when all later changes will be reported; earlier ones are not.
   */
  async watch(key: string, callback: ConfigListener): Promise<ConfigWatch> {
    const config = this.#config(this.#redisKey(key), key)
    const listener = config.add(callback)
    const stop = async () => {
      listener.stop()
      await this.#forgetIfUnused(config)
    }
    await this.#using(config, async () => {
      try {
        await this.#listener.listen(config.redisKey)
        await this.#listener.settle(config.redisKey)
        await config.refresh()
        listener.start()
      } catch (error) {
        listener.stop()
        throw error
      }
    })
    return { stop, [Symbol.asyncDispose]: stop }
  }

  async #current(key: string): Promise<ConfigSnapshot> {
    const redisKey = this.#redisKey(key)
    const known = this.#configs.get(redisKey)
    if (known?.snapshot !== undefined && known.isFresh && this.#listener.isListeningTo(redisKey)) {
      return known.snapshot
    }
    return await this.#using(known ?? this.#config(redisKey, key), async (config) => {
      await this.#listenIfPossible(config)
      return await readOrRemember(config)
    })
  }

  async #readOrRemember(key: string): Promise<ConfigSnapshot> {
    const redisKey = this.#redisKey(key)
    const config = this.#configs.get(redisKey)
    return config === undefined
      ? await this.#read(redisKey, key)
      : await this.#using(config, (known) => readOrRemember(known))
  }

  /** Without a subscription the store works as well, but every fetch reads from Redis. */
  async #listenIfPossible(config: WatchedConfig): Promise<void> {
    try {
      await this.#listener.listen(config.redisKey)
    } catch (error) {
      if (!(error instanceof RedisConnectionError)) throw error
    }
  }

  /** Keeps the copy and its subscription until the action has ended, and longer only if there is something to keep. */
  async #using<T>(config: WatchedConfig, action: (config: WatchedConfig) => Promise<T>): Promise<T> {
    config.users++
    try {
      return await action(config)
    } finally {
      config.users--
      await this.#forgetIfUnused(config)
    }
  }

  /**
   * Keys without a value are not kept: otherwise fetching random names, or keys that come and go, would fill the memory here
   * and in Redis.
   */
  async #forgetIfUnused(config: WatchedConfig): Promise<void> {
    if (config.users > 0 || config.isWatched) return
    if (config.snapshot !== undefined && config.snapshot.text !== null) return
    if (this.#configs.get(config.redisKey) !== config) return
    this.#configs.delete(config.redisKey)
    await this.#listener.ignore(config.redisKey).catch(() => undefined) // there is no connection
  }

  #config(redisKey: string, key: string): WatchedConfig {
    const known = this.#configs.get(redisKey)
    if (known !== undefined) return known
    const config: WatchedConfig = new WatchedConfig({
      redisKey,
      key,
      read: () => this.#read(redisKey, key),
      isObserved: () => this.#listener.isListeningTo(redisKey),
      problem: this.#problem,
      caughtUp: () => this.#listener.settle(redisKey),
      isCompared: (event) => COMPARED.has(event) || (this.#commands.isCluster && MOVES.has(event)),
      settled: () => void this.#forgetIfUnused(config),
    })
    this.#configs.set(redisKey, config)
    return config
  }

  #read(redisKey: string, key: string): Promise<ConfigSnapshot> {
    return this.#commands.run(`Cannot read ${key}`, (redis) => readConfig(redis, redisKey))
  }

  #redisKey(key: string): string {
    assertWellFormed(key)
    return this.#prefix + key
  }
}

async function readOrRemember(config: WatchedConfig): Promise<ConfigSnapshot> {
  try {
    return await config.refresh()
  } catch (error) {
    if (!(error instanceof RedisConnectionError) || config.snapshot === undefined) throw error
    return config.snapshot
  }
}

/**
 * Events that are reported only if the config has changed: after an outage, or a comparison of the store, it may not have,
 * and the other two happen when old versions are removed.
 */
const COMPARED: ReadonlySet<string> = new Set(['resumed', 'changed', 'ltrim', 'lset'])
/** In a Cluster, they also happen when a slot moves to another node. */
const MOVES: ReadonlySet<string> = new Set(['del', 'restore'])

const ABSENT: ConfigSnapshot = { text: null, version: 0 }
