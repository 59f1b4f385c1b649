/**
 * The meaning of every failure, in one table.
 *
 * - record: this record can never be applied. Send a dead letter and continue.
 * - transient: a dependency is not ready. Hold the partition, back off and retry the same chunk, indefinitely.
 * - operator: a setting must be changed. At start: exit, naming the setting; later: hold, as for transient.
 *
 * An error that is not in the table is transient: waiting loses nothing, skipping might.
 */
export type FailureClass = 'record' | 'transient' | 'operator'

const REDIS_CODES = {
  WRONGTYPE: 'record',
  VALUE_REFUSED: 'record',
  CONNECTION: 'transient',
  TIMEOUT: 'transient',
  LOADING: 'transient',
  READONLY: 'transient',
  MASTERDOWN: 'transient',
  CLUSTERDOWN: 'transient',
  TRYAGAIN: 'transient',
  MOVED: 'transient',
  ASK: 'transient',
  BUSY: 'transient',
  NOREPLICAS: 'transient',
  OOM: 'transient',
  MISCONF: 'transient',
  EXECABORT: 'transient',
  NOSCRIPT: 'transient',
  MAXCLIENTS: 'transient',
  OTHER: 'transient',
  DENIED: 'operator',
  NOAUTH: 'operator',
  WRONGPASS: 'operator',
  NOPERM: 'operator',
  UNKNOWN_COMMAND: 'operator',
} as const satisfies Record<string, FailureClass>

const KAFKA_CODES = {
  CONNECTION: 'transient',
  TIMEOUT: 'transient',
  RETRIABLE: 'transient',
  TOPIC_MISSING: 'transient',
  MESSAGE_TOO_LARGE: 'transient',
  GROUP_CONFLICT: 'transient',
  OTHER: 'transient',
  SASL: 'operator',
  NOT_AUTHORIZED: 'operator',
} as const satisfies Record<string, FailureClass>

/** Our code fails on many records in a row: a faulty release must not turn the whole topic into dead letters. */
const OWN_CODES = { INTERNAL_ERRORS: 'transient' } as const satisfies Record<string, FailureClass>

export type RedisErrorCode = keyof typeof REDIS_CODES
export type KafkaErrorCode = keyof typeof KAFKA_CODES

type CodesOfClass<Codes, Class> = {
  [Code in keyof Codes]: Codes[Code] extends Class ? Code : never
}[keyof Codes]
export type RedisOperatorCode = CodesOfClass<typeof REDIS_CODES, 'operator'>
export type KafkaOperatorCode = CodesOfClass<typeof KAFKA_CODES, 'operator'>

/** The closed set of codes, for metrics that start at zero. */
export const REDIS_ERROR_CODES = Object.keys(REDIS_CODES).filter(isRedisErrorCode)

function isRedisErrorCode(code: string): code is RedisErrorCode {
  return Object.hasOwn(REDIS_CODES, code)
}

/** A classified failure: on which side it happened, its code, and its meaning. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError'
  readonly side: 'redis' | 'kafka' | 'own'
  readonly code: RedisErrorCode | KafkaErrorCode | keyof typeof OWN_CODES
  readonly failureClass: FailureClass

  constructor(
    side: ServiceError['side'],
    code: ServiceError['code'],
    failureClass: FailureClass,
    message: string,
    cause: unknown,
  ) {
    super(message, { cause })
    this.side = side
    this.code = code
    this.failureClass = failureClass
  }
}

/** Classifies anything thrown by ioredis, and error replies that scripts return as text. */
export function redisError(thrown: unknown): ServiceError {
  if (thrown instanceof ServiceError) return thrown
  const message = messageOf(thrown)
  const code = redisCode(message)
  return new ServiceError('redis', code, REDIS_CODES[code], readableMessage(message), thrown)
}

/** Whether ioredis failed to select the database while connecting; it would continue with database 0. */
export function isRefusedDatabase(error: Error): boolean {
  if (!('command' in error) || typeof error.command !== 'object' || error.command === null) return false
  return 'name' in error.command && error.command.name === 'select'
}

/** For a missing connection, ioredis's messages are about its own options. Redis quotes arguments, such as a password. */
function readableMessage(message: string): string {
  const quoted = message.search(/,? with args beginning with/)
  if (quoted >= 0) return message.slice(0, quoted)
  if (/^Stream isn't writeable|^Connection is closed/.test(message)) return 'not connected'
  return message.startsWith('Reached the max retries per request') ? 'the connection was lost' : message
}

/**
 * Classifies anything thrown by KafkaJS. KafkaJS wraps errors: the cause with the broker's error code decides.
 *
 * @param topic the topic of the request: Kafka does not report which topic does not exist.
 */
export function kafkaError(thrown: unknown, topic?: string): ServiceError {
  const error = thrown instanceof ServiceError ? thrown : classifyKafkaError(thrown)
  if (error.code !== 'TOPIC_MISSING' || topic === undefined) return error
  return new ServiceError('kafka', error.code, error.failureClass, `the topic ${topic} does not exist`, error)
}

function classifyKafkaError(thrown: unknown): ServiceError {
  const code = kafkaCode(thrown)
  const message = code === 'GROUP_CONFLICT' ? GROUP_CONFLICT_MESSAGE : messageOf(thrown)
  return new ServiceError('kafka', code, KAFKA_CODES[code], message, thrown)
}

/** The error, its cause, the cause's cause, and so on. */
export function* causesOf(thrown: unknown): Generator<Error, void> {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 8; depth++) {
    yield error
    error = error.cause
  }
}

export function internalErrorsInARow(count: number): ServiceError {
  const message = `internal error on ${count} records in a row`
  return new ServiceError('own', 'INTERNAL_ERRORS', OWN_CODES.INTERNAL_ERRORS, message, undefined)
}

export function messageOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.message === '')
    return thrown.errors.map(messageOf).join('; ')
  return thrown instanceof Error ? thrown.message : String(thrown)
}

function redisCode(message: string): RedisErrorCode {
  const firstWord = /^-?([A-Z]+)\b/.exec(message)?.[1] ?? ''
  if (firstWord !== 'CONNECTION' && firstWord !== 'TIMEOUT' && isRedisErrorCode(firstWord)) return firstWord
  if (/max number of clients/i.test(message)) return 'MAXCLIENTS'
  if (/(unknown|unsupported) (redis )?(sub)?command/i.test(message)) return 'UNKNOWN_COMMAND'
  if (
    /ACL failure|this user has no permissions|can't run this command|can't access at least one of the keys/i.test(
      message,
    )
  )
    return 'NOPERM'
  if (/invalid username-password|invalid password/i.test(message)) return 'WRONGPASS'
  if (/string exceeds maximum allowed size|too big|value is too large/i.test(message)) return 'VALUE_REFUSED'
  if (/timed? ?out/i.test(message)) return 'TIMEOUT'
  if (
    /ECONN|ENOTFOUND|EAI_AGAIN|EPIPE|EHOSTUNREACH|ENETUNREACH|connection is closed|stream isn't writeable|max ?retries|socket/i.test(
      message,
    )
  ) {
    return 'CONNECTION'
  }
  return 'OTHER'
}

/** Kafka's message does not say that this is about the name of the group. */
const GROUP_CONFLICT_MESSAGE =
  'another program uses the same consumer group: set another KAFKA_CONSUMER_GROUP_ID'

const TOPIC_MISSING = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID'])
const SASL = new Set(['SASL_AUTHENTICATION_FAILED', 'UNSUPPORTED_SASL_MECHANISM', 'ILLEGAL_SASL_STATE'])
const TOO_LARGE = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'])

function kafkaCode(thrown: unknown): KafkaErrorCode {
  let found: KafkaErrorCode = 'OTHER'
  for (const error of causesOf(thrown)) {
    const type = 'type' in error && typeof error.type === 'string' ? error.type : ''
    if (SASL.has(type) || error.name === 'KafkaJSSASLAuthenticationError') return 'SASL'
    if (type.endsWith('_AUTHORIZATION_FAILED')) return 'NOT_AUTHORIZED'
    if (TOPIC_MISSING.has(type)) return 'TOPIC_MISSING'
    if (type === 'INCONSISTENT_GROUP_PROTOCOL') return 'GROUP_CONFLICT'
    if (TOO_LARGE.has(type)) return 'MESSAGE_TOO_LARGE'
    if (/timed? ?out/i.test(error.message) || error.name === 'KafkaJSRequestTimeoutError') found = 'TIMEOUT'
    else if (/Connection|ECONN|Broker/i.test(error.name + error.message)) found = 'CONNECTION'
    else if (found === 'OTHER' && 'retriable' in error && error.retriable === true) found = 'RETRIABLE'
  }
  return found
}
