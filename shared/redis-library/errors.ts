import { redisError, type RedisErrorCode } from '../errors.ts'

/**
 * Base class of all errors of RedisService and RedisConfigStore, except RangeError for an invalid argument. `cause` is the
 * underlying error, if there is one.
 */
export class RedisServiceError extends Error {
  override readonly name: string = 'RedisServiceError'
}

/**
 * Redis is unreachable, refused the login, or did not reply within the timeout. A write may still have been applied, or
 * may be applied later.
 */
export class RedisConnectionError extends RedisServiceError {
  override readonly name = 'RedisConnectionError'
}

/** JSON cannot represent the value without loss. Nothing was sent. */
export class RedisSerializationError extends RedisServiceError {
  override readonly name = 'RedisSerializationError'
}

/** The stored value is not JSON, or does not match the schema. */
export class RedisDeserializationError extends RedisServiceError {
  override readonly name = 'RedisDeserializationError'
}

/** Redis replied with an error, for example because of the type of the key, a missing permission or full memory. */
export class RedisOperationError extends RedisServiceError {
  override readonly name = 'RedisOperationError'
}

/** Redis does not report all the key changes that the store needs. The message names the command that enables them. */
export class RedisNotificationsError extends RedisServiceError {
  override readonly name = 'RedisNotificationsError'
}

/** The config does not have the version that the update expected, as another client was faster. Nothing was written. */
export class RedisVersionConflictError extends RedisServiceError {
  override readonly name = 'RedisVersionConflictError'
  readonly key: string
  readonly expectedVersion: number
  readonly actualVersion: number

  constructor(key: string, expectedVersion: number, actualVersion: number) {
    super(`${key} has version ${actualVersion}, but version ${expectedVersion} was expected`)
    this.key = key
    this.expectedVersion = expectedVersion
    this.actualVersion = actualVersion
  }
}

/** Lists all invalid settings. */
export class RedisSettingsError extends RedisServiceError {
  override readonly name = 'RedisSettingsError'
  /** The names of the invalid environment variables. */
  readonly variables: readonly string[]

  /** @param problems variable → what it must be. Values are not quoted, because some are secrets. */
  constructor(problems: ReadonlyMap<string, string>) {
    super([...problems].map(([variable, problem]) => `${variable} ${problem}`).join('; '))
    this.variables = [...problems.keys()]
  }
}

/** Error replies that concern the connection rather than the command. */
const REFUSALS: ReadonlySet<string> = new Set<RedisErrorCode>([
  'CLUSTERDOWN',
  'LOADING',
  'MAXCLIENTS',
  'NOAUTH',
  'WRONGPASS',
])

/**
 * Converts what ioredis threw.
 *
 * @param failure begins the message, such as "Cannot get key".
 */
export function redisFailure(thrown: unknown, failure: string): RedisServiceError {
  if (thrown instanceof RedisServiceError) return thrown
  const { code, message: reason } = redisError(thrown)
  const isReply = thrown instanceof Error && thrown.name === 'ReplyError'
  const message = isReply && (code === 'MOVED' || code === 'ASK') ? `${NODE_OF_CLUSTER} (${reason})` : reason
  const Kind = isReply && !REFUSALS.has(code) ? RedisOperationError : RedisConnectionError
  return new Kind(`${failure}: ${message}`, { cause: thrown })
}

const NODE_OF_CLUSTER =
  'this server is a node of a Redis Cluster, and another node has the key: give clusterNodes (REDIS_CLUSTER_NODES) instead of one server'

/** Whether Redis denied a command to this user, or does not have it (such as CONFIG on managed servers). */
export function isForbidden(error: unknown): boolean {
  if (!(error instanceof RedisOperationError)) return false
  const { code } = redisError(error.cause)
  return code === 'NOPERM' || code === 'UNKNOWN_COMMAND'
}
