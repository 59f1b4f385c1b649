import type { z } from 'zod'
import { RedisConnection, type ProblemListener } from './connection.ts'
import { assertWellFormed, decodeStoredJson, encodeStoredJson } from './json.ts'
import { RedisDeserializationError } from './errors.ts'
import type { RedisSettings } from './settings.ts'

export type RedisServiceOptions = {
  /** How the connection is called in CLIENT LIST. Default: `redis-service`. */
  readonly name?: string
  /** Told when the connection is lost; it comes back by itself. */
  readonly onProblem?: ProblemListener
}

export type SetOptions<Schema extends z.ZodType = z.ZodType> = {
  /** Seconds until the key expires, fractions allowed. Without it, it never does. */
  readonly ttlS?: number
  /** Writes the value as the schema says, always as JSON: what `get` with the same schema reads. */
  readonly schema?: Schema
}

/** What `mget` has for a key whose value could not be read. */
export class FailedValue {
  readonly key: string
  readonly error: RedisDeserializationError

  constructor(key: string, error: RedisDeserializationError) {
    this.key = key
    this.error = error
  }
}

/** Bounds how long one call keeps every other client of Redis waiting. */
const KEYS_PER_CALL = 1_000

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Typed JSON values in Redis, shared with Python's `cledar.redis.RedisService`: both read what the other writes.
 *
 * Every method but isAlive and close throws RedisConnectionError (not connected, lost, no answer in time: a write
 * may still be applied later) and RedisOperationError (Redis answered with an error); others are named there.
 */
export class RedisService {
  readonly #connection: RedisConnection

  constructor(settings: RedisSettings, options: RedisServiceOptions = {}) {
    const { name = 'redis-service', onProblem = () => undefined } = options
    this.#connection = new RedisConnection(settings, name, onProblem)
  }

  /** Resolves when Redis has answered. If it rejects, nothing stays open, and it may be called again. */
  async connect(): Promise<void> {
    await this.#connection.open()
  }

  /** Leaves nothing open. It may be connected again. */
  async close(): Promise<void> {
    await this.#connection.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Whether Redis answers now. */
  async isAlive(): Promise<boolean> {
    try {
      await this.#connection.run('ping', (redis) => redis.ping())
      return true
    } catch {
      return false
    }
  }

  /**
   * Without a schema a string is stored as it is, anything else as JSON; a Date becomes ISO 8601.
   *
   * @throws RedisSerializationError for what JSON would lose (see encodeJson); RangeError for a bad `ttlS`.
   */
  async set<Schema extends z.ZodType>(
    key: string,
    value: z.output<Schema>,
    options: SetOptions<Schema> & { readonly schema: Schema },
  ): Promise<void>
  async set(key: string, value: unknown, options?: Omit<SetOptions, 'schema'>): Promise<void>
  async set(key: string, value: unknown, { ttlS, schema }: SetOptions = {}): Promise<void> {
    assertWellFormed(key)
    const text = schema === undefined && typeof value === 'string' ? value : encodeStoredJson(value, schema)
    assertWellFormed(text)
    const doing = `setting ${key}`
    if (ttlS === undefined) await this.#connection.run(doing, (redis) => redis.set(key, text))
    else {
      const ttlMs = Math.ceil(ttlS * 1000)
      if (!(ttlMs > 0 && Number.isSafeInteger(ttlMs))) throw new RangeError('ttlS must be more than 0')
      await this.#connection.run(doing, (redis) => redis.set(key, text, 'PX', ttlMs))
    }
  }

  /**
   * The value, or null if there is no such key.
   *
   * @throws RedisDeserializationError if it is no JSON or not what the schema says.
   */
  async get<Schema extends z.ZodType>(key: string, schema: Schema): Promise<z.output<Schema> | null> {
    const text = await this.getRaw(key)
    return text === null ? null : decodeStoredJson(text, schema, key)
  }

  /**
   * The text as it is stored, or null if there is no such key.
   *
   * @throws RedisDeserializationError if it is not UTF-8.
   */
  async getRaw(key: string): Promise<string | null> {
    const bytes = await this.#connection.run(`getting ${key}`, (redis) => redis.getBuffer(key))
    return bytes === null ? null : decodeText(bytes, key)
  }

  /**
   * One entry per key, in their order: the value, null if there is no such key (or it holds no string), or a
   * FailedValue. Above 1,000 keys it takes several calls, and is no longer one point in time.
   */
  async mget<Schema extends z.ZodType>(
    keys: readonly string[],
    schema: Schema,
  ): Promise<(z.output<Schema> | null | FailedValue)[]> {
    const values: (z.output<Schema> | null | FailedValue)[] = []
    for (let from = 0; from < keys.length; from += KEYS_PER_CALL) {
      const asked = keys.slice(from, from + KEYS_PER_CALL)
      const doing = `getting ${asked.length} keys`
      const found = await this.#connection.run(doing, (redis) => redis.mgetBuffer(asked))
      values.push(...asked.map((key, index) => valueOrFailure(found[index] ?? null, schema, key)))
    }
    return values
  }

  /**
   * The keys that match, each once, in no order. By SCAN: Redis goes on serving others; keys that come or go
   * meanwhile may be in it or not.
   *
   * @param pattern as for KEYS: `*`, `?`, `[a-z]`, and `\` before one that is meant literally.
   */
  async listKeys(pattern: string): Promise<string[]> {
    const keys = new Set<string>()
    let cursor = '0'
    do {
      const [next, found] = await this.#connection.run(`listing ${pattern}`, (redis) =>
        redis.scan(cursor, 'MATCH', pattern, 'COUNT', 1_000),
      )
      for (const key of found) keys.add(key)
      cursor = next
    } while (cursor !== '0')
    return [...keys]
  }

  /** Whether there was such a key. */
  async delete(key: string): Promise<boolean> {
    return (await this.#connection.run(`deleting ${key}`, (redis) => redis.del(key))) > 0
  }
}

function valueOrFailure<Schema extends z.ZodType>(
  bytes: Buffer | null,
  schema: Schema,
  key: string,
): z.output<Schema> | null | FailedValue {
  if (bytes === null) return null
  try {
    return decodeStoredJson(decodeText(bytes, key), schema, key)
  } catch (error) {
    if (error instanceof RedisDeserializationError) return new FailedValue(key, error)
    throw error
  }
}

function decodeText(bytes: Buffer, key: string): string {
  try {
    return utf8.decode(bytes)
  } catch (cause) {
    throw new RedisDeserializationError(`${key} holds no UTF-8`, { cause })
  }
}
