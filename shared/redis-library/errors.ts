import { redisError, type RedisErrorCode } from '../errors.ts'

/** Whatever RedisService and RedisConfigStore throw, but for a bad argument (RangeError). `cause`: what led to it. */
export class RedisServiceError extends Error {
  override readonly name: string = 'RedisServiceError'
}

/** Redis can't be reached, does not let us in, or did not answer in time: then a write may still be applied. */
export class RedisConnectionError extends RedisServiceError {
  override readonly name = 'RedisConnectionError'
}

/** The value can't be written without losing something. Nothing was sent. */
export class RedisSerializationError extends RedisServiceError {
  override readonly name = 'RedisSerializationError'
}

/** What is stored is no JSON, or not what the schema says. */
export class RedisDeserializationError extends RedisServiceError {
  override readonly name = 'RedisDeserializationError'
}

/** Redis answered, with an error: the key holds another type, the user has no permission, memory is full. */
export class RedisOperationError extends RedisServiceError {
  override readonly name = 'RedisOperationError'
}

/** Redis does not tell of changes to keys, or not of all that matter; the message names the command to run. */
export class RedisNotificationsError extends RedisServiceError {
  override readonly name = 'RedisNotificationsError'
}

/** Somebody else was faster: the config is at another version than the update expected. Nothing was written. */
export class RedisVersionConflictError extends RedisServiceError {
  override readonly name = 'RedisVersionConflictError'
  readonly key: string
  readonly expectedVersion: number
  readonly actualVersion: number

  constructor(key: string, expectedVersion: number, actualVersion: number) {
    super(`${key} is at version ${actualVersion}, not ${expectedVersion}`)
    this.key = key
    this.expectedVersion = expectedVersion
    this.actualVersion = actualVersion
  }
}

/** Bad settings, all of them at once. */
export class RedisSettingsError extends RedisServiceError {
  override readonly name = 'RedisSettingsError'
  readonly variables: readonly string[]

  /** @param problems variable → what it must be. No value is quoted: some are secrets. */
  constructor(problems: ReadonlyMap<string, string>) {
    super([...problems].map(([variable, problem]) => `${variable} ${problem}`).join('; '))
    this.variables = [...problems.keys()]
  }
}

/** Replies that say "not now" or "not you" about the connection, not about the command. */
const REFUSALS: ReadonlySet<string> = new Set<RedisErrorCode>([
  'LOADING',
  'MAXCLIENTS',
  'NOAUTH',
  'WRONGPASS',
])

/**
 * The door for whatever ioredis threw.
 *
 * @param doing what was tried, as the beginning of the message.
 */
export function redisFailure(thrown: unknown, doing: string): RedisServiceError {
  if (thrown instanceof RedisServiceError) return thrown
  const { code, message } = redisError(thrown)
  const isReply = thrown instanceof Error && thrown.name === 'ReplyError'
  const Kind = isReply && !REFUSALS.has(code) ? RedisOperationError : RedisConnectionError
  return new Kind(`${doing}: ${message}`, { cause: thrown })
}

/** Whether Redis refused a command to this user, or does not have it (as on managed servers, CONFIG). */
export function isForbidden(error: unknown): boolean {
  if (!(error instanceof RedisOperationError)) return false
  const { code } = redisError(error.cause)
  return code === 'NOPERM' || code === 'UNKNOWN_COMMAND'
}
