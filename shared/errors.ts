import { DEVICE_INDEX_KEY, OWN_KEY_PREFIX } from './contract/keys.ts'

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
  BUSY: 'transient',
  NOREPLICAS: 'transient',
  OOM: 'transient',
  MISCONF: 'transient',
  EXECABORT: 'transient',
  NOSCRIPT: 'transient',
  MAXCLIENTS: 'transient',
  OTHER: 'transient',
  NO_SENTINEL: 'transient',
  // None of a Cluster.
  NO_NODE: 'transient',
  SENTINEL_NAME: 'operator',
  SENTINEL_LOGIN: 'operator',
  // Only a server in cluster mode replies with these four, to a client that does not expect it: one of a Cluster follows redirections.
  CROSSSLOT: 'operator',
  MOVED: 'operator',
  ASK: 'operator',
  CLUSTER_MODE: 'operator',
  // To a client that expects a Cluster.
  NO_CLUSTER: 'operator',
  DATABASE: 'operator',
  CERTIFICATE: 'operator',
  TLS: 'operator',
  // WRONGTYPE of a key whose name is fixed, not of a device.
  KEY_TYPE: 'operator',
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
  GROUP_FULL: 'transient',
  GROUP_CONFLICT: 'transient',
  OTHER: 'transient',
  MESSAGE_TOO_LARGE: 'operator',
  SESSION_TIMEOUT: 'operator',
  GROUP: 'operator',
  TOPIC_NAME: 'operator',
  VERSION: 'operator',
  CERTIFICATE: 'operator',
  TLS: 'operator',
  SASL_MECHANISM: 'operator',
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
  /** `host:port` of the master of a Redis Cluster that failed, if others did not. */
  readonly master: string | undefined

  constructor(
    side: ServiceError['side'],
    code: ServiceError['code'],
    failureClass: FailureClass,
    message: string,
    cause: unknown,
    master?: string,
  ) {
    super(message, { cause })
    this.master = master
    this.side = side
    this.code = code
    this.failureClass = failureClass
  }
}

/** Classifies anything thrown by ioredis, and error replies that scripts return as text. */
export function redisError(thrown: unknown): ServiceError {
  if (thrown instanceof ServiceError) return thrown
  // ioredis has asked all nodes of a Cluster in vain: what the last one said is the reason.
  if (thrown instanceof Error && 'lastNodeError' in thrown && thrown.lastNodeError instanceof Error)
    return redisError(thrown.lastNodeError)
  // A server that refuses a client replies before it has been asked anything, which confuses ioredis.
  const message = messageOf(thrown).replace(/^Command queue state error.*?Last error: /s, '')
  const code = redisCode(message)
  const fixedKeys = code === 'WRONGTYPE' ? fixedKeysOf(thrown) : []
  if (fixedKeys.length === 0)
    return new ServiceError('redis', code, REDIS_CODES[code], readableMessage(message), thrown)
  const named = `${fixedKeys.join(' or ')}: ${message}`
  return new ServiceError('redis', 'KEY_TYPE', REDIS_CODES.KEY_TYPE, named, thrown)
}

/** The keys with a fixed name that the refused command was about; ioredis keeps the command with the error. */
function fixedKeysOf(thrown: unknown): string[] {
  if (!(thrown instanceof Error) || !('command' in thrown)) return []
  const { command } = thrown
  if (typeof command !== 'object' || command === null || !('args' in command)) return []
  const args: unknown[] = Array.isArray(command.args) ? command.args : []
  const texts = args.map(String)
  return [...new Set(texts)].filter((text) => text === DEVICE_INDEX_KEY || text.startsWith(OWN_KEY_PREFIX))
}

/** Whether ioredis failed to select the database while connecting; it would continue with database 0. */
export function isRefusedDatabase(error: Error): boolean {
  if (!('command' in error) || typeof error.command !== 'object' || error.command === null) return false
  return 'name' in error.command && error.command.name === 'select'
}

/** Of two failures in a row, the one that says why. */
export function clearerFailure(before: ServiceError | undefined, failure: ServiceError): ServiceError {
  if (before === undefined || failure.code !== 'CONNECTION' || FAILED_CONNECT.test(failure.message))
    return failure
  // A command without a connection does not know why there is none. And a server that refuses a client closes the
  // connection, often before its reply has been read. But no reply explains why it can't even be reached any more.
  const isReply = before.code !== 'CONNECTION' && before.code !== 'TIMEOUT'
  // Of a master of a Cluster, its name comes first.
  const isUnexplained = [NOT_CONNECTED, LOST].some((text) => failure.message.endsWith(text))
  return isReply || isUnexplained ? before : failure
}

const FAILED_CONNECT = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/
const NOT_CONNECTED = 'not connected'
const LOST = 'the connection was lost'

/** For a missing connection, ioredis's messages are about its own options. Redis quotes arguments, such as a password. */
function readableMessage(message: string): string {
  const lastError = /^Too many Cluster redirections\. Last error: (?:\w*Error: )?(.*)/s.exec(message)?.[1]
  if (lastError !== undefined)
    return `no master of the Redis Cluster answers for the slot: ${readableMessage(lastError)}`
  if (message.startsWith('DENIED')) return message.replace(/\. .*/s, '')
  const quoted = message.search(/,? with args beginning with/)
  if (quoted >= 0) return message.slice(0, quoted)
  if (/^Stream isn't writeable|^Connection is closed|^Cluster isn't ready/.test(message)) return NOT_CONNECTED
  return /^Reached the max retries per request|^Command aborted due to connection close/.test(message)
    ? LOST
    : message
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
  return new ServiceError('kafka', code, KAFKA_CODES[code], messageOf(thrown), thrown)
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

/** An alert that the peer sent, such as the demand for a client certificate, comes in OpenSSL's words. */
const TLS_TEXTS: readonly (readonly [pattern: RegExp, code: 'CERTIFICATE' | 'TLS'])[] = [
  [/ssl routines|EPROTO|wrong version number|packet length/i, 'TLS'],
  [/certificate|issuer|altnames|self.signed/i, 'CERTIFICATE'],
]

/** CERTIFICATE: we reject the peer's certificate. TLS: any other failure of a handshake. undefined: none of these. */
export function kindOfTlsFailure(message: string): 'CERTIFICATE' | 'TLS' | undefined {
  return TLS_TEXTS.find(([pattern]) => pattern.test(message))?.[1]
}

/** Replies without a code of their own, and errors of Node.js and ioredis. The first match counts. */
const REDIS_TEXTS: readonly (readonly [pattern: RegExp, code: RedisErrorCode])[] = [
  [/max number of clients/i, 'MAXCLIENTS'],
  [/(unknown|unsupported) (redis )?(sub)?command/i, 'UNKNOWN_COMMAND'],
  [
    /ACL failure|this user has no permissions|can't run this command|can't access at least one of the keys/i,
    'NOPERM',
  ],
  [/invalid username-password|invalid password/i, 'WRONGPASS'],
  [/not allowed in cluster mode/i, 'CLUSTER_MODE'],
  [/cluster support disabled/i, 'NO_CLUSTER'],
  // Of a slot that moves, or of the nodes' different views while they agree on a new master.
  [/too many cluster redirections|while the cluster is down/i, 'CLUSTERDOWN'],
  [/DB index/i, 'DATABASE'],
  [/string exceeds maximum allowed size|too big|value is too large/i, 'VALUE_REFUSED'],
  ...TLS_TEXTS,
  [/timed? ?out/i, 'TIMEOUT'],
  [
    /ECONN|ENOTFOUND|EAI_AGAIN|EPIPE|EHOSTUNREACH|ENETUNREACH|connection (is closed|close$)|cluster isn't ready|stream isn't writeable|max ?retries|socket/i,
    'CONNECTION',
  ],
]

/** Codes that are ours, not a first word of Redis. */
const OWN_WORDS = new Set(['CONNECTION', 'TIMEOUT', 'DATABASE', 'CERTIFICATE', 'TLS', 'OTHER'])

function redisCode(message: string): RedisErrorCode {
  const firstWord = /^-?([A-Z]+)\b/.exec(message)?.[1] ?? ''
  if (!OWN_WORDS.has(firstWord) && isRedisErrorCode(firstWord)) return firstWord
  return REDIS_TEXTS.find(([pattern]) => pattern.test(message))?.[1] ?? 'OTHER'
}

/** What a broker replies, by the name of its error code. */
const KAFKA_REPLIES: Readonly<Record<string, KafkaErrorCode>> = {
  UNKNOWN_TOPIC_OR_PARTITION: 'TOPIC_MISSING',
  UNKNOWN_TOPIC_ID: 'TOPIC_MISSING',
  INVALID_TOPIC_EXCEPTION: 'TOPIC_NAME',
  MESSAGE_TOO_LARGE: 'MESSAGE_TOO_LARGE',
  RECORD_LIST_TOO_LARGE: 'MESSAGE_TOO_LARGE',
  INVALID_SESSION_TIMEOUT: 'SESSION_TIMEOUT',
  INVALID_GROUP_ID: 'GROUP',
  INCONSISTENT_GROUP_PROTOCOL: 'GROUP_CONFLICT',
  GROUP_MAX_SIZE_REACHED: 'GROUP_FULL',
  UNSUPPORTED_VERSION: 'VERSION',
  UNSUPPORTED_SASL_MECHANISM: 'SASL_MECHANISM',
  ILLEGAL_SASL_STATE: 'SASL_MECHANISM',
  SASL_AUTHENTICATION_FAILED: 'SASL',
}

function kafkaCode(thrown: unknown): KafkaErrorCode {
  let found: KafkaErrorCode = 'OTHER'
  for (const error of causesOf(thrown)) {
    const type = 'type' in error && typeof error.type === 'string' ? error.type : ''
    const reply = KAFKA_REPLIES[type]
    if (reply !== undefined) return reply
    if (type.endsWith('_AUTHORIZATION_FAILED')) return 'NOT_AUTHORIZED'
    if (error.name === 'KafkaJSSASLAuthenticationError') return 'SASL'
    const tls = kindOfTlsFailure(error.message)
    if (tls !== undefined) return tls
    if (/timed? ?out/i.test(error.message) || error.name === 'KafkaJSRequestTimeoutError') found = 'TIMEOUT'
    else if (/Connection|ECONN|Broker/i.test(error.name + error.message)) found = 'CONNECTION'
    else if (found === 'OTHER' && 'retriable' in error && error.retriable === true) found = 'RETRIABLE'
  }
  return found
}
