/// <reference lib="esnext.disposable" preserve="true" />
import type { Redis } from 'ioredis'
import type { z } from 'zod'
import { redisError } from '../errors.ts'
import { RedisConnection, type ProblemListener } from './connection.ts'
import { RedisDeserializationError } from './errors.ts'
import { scanKeys } from './scan-keys.ts'
import { assertWellFormed, deserialize, serialize } from './serialization.ts'
import type { RedisTarget } from './target.ts'

export type RedisServiceOptions = {
  /** Name of the connection in CLIENT LIST. Default: `redis-service`. */
  readonly name?: string | undefined
  /** Called when the connection is lost. It is restored in the background. */
  readonly onProblem?: ProblemListener | undefined
}

export type SetOptions<Schema extends z.ZodType = z.ZodType> = {
  /** Seconds until the key expires; fractions are allowed. Default: it never expires. */
  readonly ttlS?: number | undefined
  /** Encodes the value, which is then always stored as JSON. `get` with the same schema decodes it. */
  readonly schema?: Schema | undefined
}

/** The result of `mget` for a key whose value could not be decoded. */
export class FailedValue {
  readonly key: string
  readonly error: RedisDeserializationError

  constructor(key: string, error: RedisDeserializationError) {
    this.key = key
    this.error = error
  }
}

/** Bounds the time for which one call blocks all other clients of Redis. */
const KEYS_PER_CALL = 1_000

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Typed JSON values in Redis. It shares its keys with Python's `cledar.redis.RedisService`: each reads what the other
 * writes.
 *
 * Every method except isAlive and close throws RedisConnectionError (not connected, connection lost, or no reply in
 * time; a write may still be applied later) and RedisOperationError (Redis replied with an error). The methods that
 * throw other errors name them.
 */
export class RedisService {
  readonly #connection: RedisConnection

  /** @throws RedisSettingsError for a URL or a client that cannot be used. */
  constructor(target: RedisTarget, options: RedisServiceOptions = {}) {
    const { name = 'redis-service', onProblem = () => undefined } = options
    this.#connection = new RedisConnection(target, name, onProblem)
  }

  /** Resolves when Redis has answered. If it rejects, nothing stays open, and it may be called again. */
  async connect(): Promise<void> {
    await this.#connection.open()
  }

  /** Closes the connection. The service may be connected again. */
  async close(): Promise<void> {
    await this.#connection.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Whether Redis answers at this moment. */
  async isAlive(): Promise<boolean> {
    try {
      await this.#connection.ping()
      return true
    } catch {
      return false
    }
  }

  /**
   * Stores a value. Without a schema, a string is stored as it is and anything else as JSON; a Date becomes ISO 8601.
   *
   * @throws RedisSerializationError for a value that JSON cannot represent without loss, such as undefined, NaN or a Map;
   * RangeError for an invalid `ttlS`.
   */
  async set<Schema extends z.ZodType>(
    key: string,
    value: z.output<Schema>,
    options: SetOptions<Schema> & { readonly schema: Schema },
  ): Promise<void>
  async set(
    key: string,
    value: unknown,
    options?: SetOptions & { readonly schema?: undefined },
  ): Promise<void>
  async set(key: string, value: unknown, { ttlS, schema }: SetOptions = {}): Promise<void> {
    assertWellFormed(key)
    const text = schema === undefined && typeof value === 'string' ? value : serialize(value, schema)
    assertWellFormed(text)
    const failure = `Cannot set ${key}`
    if (ttlS === undefined) await this.#connection.run(failure, (redis) => redis.set(key, text))
    else {
      const ttlMs = Math.ceil(ttlS * 1000)
      if (!(ttlMs > 0 && Number.isSafeInteger(ttlMs)))
        throw new RangeError('ttlS must be a finite number greater than 0')
      await this.#connection.run(failure, (redis) => redis.set(key, text, 'PX', ttlMs))
    }
  }

  /**
   * Resolves with the value, or null if the key does not exist.
   *
   * @throws RedisDeserializationError if the value is not JSON or does not match the schema.
   */
  async get<Schema extends z.ZodType>(key: string, schema: Schema): Promise<z.output<Schema> | null> {
    const text = await this.getRaw(key)
    return text === null ? null : deserialize(text, schema, key)
  }

  /**
   * Resolves with the stored text, or null if the key does not exist.
   *
   * @throws RedisDeserializationError if the value is not UTF-8.
   */
  async getRaw(key: string): Promise<string | null> {
    const bytes = await this.#connection.run(`Cannot get ${key}`, (redis) => redis.getBuffer(key))
    return bytes === null ? null : decodeText(bytes, key)
  }

  /**
   * Resolves with one entry per key, in the order of the keys: the value, null if the key does not exist or does not hold
   * a string, or a FailedValue. More than 1,000 keys take several calls, so the values may be from different moments.
   */
  async mget<Schema extends z.ZodType>(
    keys: readonly string[],
    schema: Schema,
  ): Promise<(z.output<Schema> | null | FailedValue)[]> {
    const values: (z.output<Schema> | null | FailedValue)[] = []
    for (let from = 0; from < keys.length; from += KEYS_PER_CALL) {
      const page = keys.slice(from, from + KEYS_PER_CALL)
      const failure = `Cannot get ${page.length} keys`
      const found = await this.#connection.run(failure, (redis) =>
        this.#connection.isCluster ? getEach(redis, page) : redis.mgetBuffer(page),
      )
      values.push(...page.map((key, index) => valueOrFailure(found[index] ?? null, schema, key)))
    }
    return values
  }

  /**
   * Resolves with the matching keys, each once, in no particular order. Uses SCAN, which does not block other clients.
   * Keys that are created or deleted during the call may be included or not.
   *
   * @param pattern glob as for KEYS: `*`, `?`, `[a-z]`, and `\` to escape one of these characters.
   */
  async listKeys(pattern: string): Promise<string[]> {
    return [...(await scanKeys(this.#connection, pattern, `Cannot list ${pattern}`))]
  }

  /** Deletes a key. Resolves with whether it existed. */
  async delete(key: string): Promise<boolean> {
    return (await this.#connection.run(`Cannot delete ${key}`, (redis) => redis.del(key))) > 0
  }
}

/** The same as MGET, whose keys must be in one slot in a Cluster. */
async function getEach(redis: Redis, keys: readonly string[]): Promise<(Buffer | null)[]> {
  return await Promise.all(
    keys.map((key) =>
      redis.getBuffer(key).catch((error: unknown) => {
        if (redisError(error).code === 'WRONGTYPE') return null
        throw error
      }),
    ),
  )
}

function valueOrFailure<Schema extends z.ZodType>(
  bytes: Buffer | null,
  schema: Schema,
  key: string,
): z.output<Schema> | null | FailedValue {
  if (bytes === null) return null
  try {
    return deserialize(decodeText(bytes, key), schema, key)
  } catch (error) {
    if (error instanceof RedisDeserializationError) return new FailedValue(key, error)
    throw error
  }
}

function decodeText(bytes: Buffer, key: string): string {
  try {
    return utf8.decode(bytes)
  } catch (cause) {
    throw new RedisDeserializationError(`${key} does not hold valid UTF-8`, { cause })
  }
}
