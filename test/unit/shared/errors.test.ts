import kafkajs from 'kafkajs'
import { describe, expect, test } from 'vitest'
import {
  clearerFailure,
  internalErrorsInARow,
  kafkaError,
  messageOf,
  redisError,
  REDIS_ERROR_CODES,
  ServiceError,
  type FailureClass,
  type RedisErrorCode,
} from '../../../shared/errors.ts'

// The messages are those of Redis 7 and ioredis 6.
describe('redisError', () => {
  test.each<[message: string, code: RedisErrorCode, failureClass: FailureClass]>([
    ['WRONGTYPE Operation against a key holding the wrong kind of value', 'WRONGTYPE', 'record'],
    ['ERR string exceeds maximum allowed size (proto-max-bulk-len)', 'VALUE_REFUSED', 'record'],
    ['Connection is closed.', 'CONNECTION', 'transient'],
    ['Command aborted due to connection close', 'CONNECTION', 'transient'],
    ["Stream isn't writeable and enableOfflineQueue options is false", 'CONNECTION', 'transient'],
    ['connect ECONNREFUSED 127.0.0.1:6379', 'CONNECTION', 'transient'],
    ['read ECONNRESET', 'CONNECTION', 'transient'],
    ['write EPIPE', 'CONNECTION', 'transient'],
    ['getaddrinfo ENOTFOUND redis', 'CONNECTION', 'transient'],
    ['getaddrinfo EAI_AGAIN redis', 'CONNECTION', 'transient'],
    ['connect EHOSTUNREACH 10.0.0.1:6379', 'CONNECTION', 'transient'],
    [
      'Client network socket disconnected before secure TLS connection was established',
      'CONNECTION',
      'transient',
    ],
    [
      'Reached the max retries per request limit (which is 0). Refer to "maxRetriesPerRequest" option for details.',
      'CONNECTION',
      'transient',
    ],
    ['connect ETIMEDOUT', 'TIMEOUT', 'transient'],
    ["Socket timeout. Expecting data, but didn't receive any in 3000ms.", 'TIMEOUT', 'transient'],
    ['Command timed out', 'TIMEOUT', 'transient'],
    ['LOADING Redis is loading the dataset in memory', 'LOADING', 'transient'],
    ["READONLY You can't write against a read only replica.", 'READONLY', 'transient'],
    [
      "READONLY You can't write against a read only replica. script: 4f0b, on @user_script:97.",
      'READONLY',
      'transient',
    ],
    ["-READONLY You can't write against a read only replica.", 'READONLY', 'transient'],
    [
      "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
      'MASTERDOWN',
      'transient',
    ],
    ['CLUSTERDOWN The cluster is down', 'CLUSTERDOWN', 'transient'],
    ['CLUSTERDOWN Hash slot not served', 'CLUSTERDOWN', 'transient'],
    ['TRYAGAIN Multiple keys request during rehashing of slot', 'TRYAGAIN', 'transient'],
    ['MOVED 3999 127.0.0.1:6381', 'MOVED', 'operator'],
    ['ASK 3999 127.0.0.1:6381', 'ASK', 'operator'],
    ["CROSSSLOT Keys in request don't hash to the same slot", 'CROSSSLOT', 'operator'],
    ['ERR SELECT is not allowed in cluster mode', 'CLUSTER_MODE', 'operator'],
    ['ERR DB index is out of range', 'DATABASE', 'operator'],
    ['ERR invalid DB index', 'DATABASE', 'operator'],
    ['DENIED Redis is running in protected mode because protected mode is enabled', 'DENIED', 'operator'],
    ['self-signed certificate in certificate chain', 'CERTIFICATE', 'operator'],
    ['unable to verify the first certificate', 'CERTIFICATE', 'operator'],
    ['unable to get local issuer certificate', 'CERTIFICATE', 'operator'],
    ['certificate has expired', 'CERTIFICATE', 'operator'],
    [
      "Hostname/IP does not match certificate's altnames: IP: 127.0.0.2 is not in the cert's list: 127.0.0.1",
      'CERTIFICATE',
      'operator',
    ],
    [
      'write EPROTO 80DB:error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:',
      'TLS',
      'operator',
    ],
    [
      'read 80DB:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required',
      'TLS',
      'operator',
    ],
    ["ERR unsupported command 'evalsha'", 'UNKNOWN_COMMAND', 'operator'],
    ['TLS of another kind', 'OTHER', 'transient'],
    [
      'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
      'BUSY',
      'transient',
    ],
    ['NOREPLICAS Not enough good replicas to write.', 'NOREPLICAS', 'transient'],
    ["OOM command not allowed when used memory > 'maxmemory'.", 'OOM', 'transient'],
    [
      'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist on disk.',
      'MISCONF',
      'transient',
    ],
    ['EXECABORT Transaction discarded because of previous errors.', 'EXECABORT', 'transient'],
    ['NOSCRIPT No matching script. Please use EVAL.', 'NOSCRIPT', 'transient'],
    ['ERR max number of clients reached', 'MAXCLIENTS', 'transient'],
    ['ERR max number of clients + cluster connections reached', 'MAXCLIENTS', 'transient'],
    ['NOAUTH Authentication required.', 'NOAUTH', 'operator'],
    ['NOAUTH HELLO must be called with the client already authenticated', 'NOAUTH', 'operator'],
    ['WRONGPASS invalid username-password pair or user is disabled.', 'WRONGPASS', 'operator'],
    ['ERR invalid password', 'WRONGPASS', 'operator'],
    ["NOPERM User worker has no permissions to run the 'evalsha' command", 'NOPERM', 'operator'],
    [
      "NOPERM this user has no permissions to run the 'evalsha' command or its subcommand",
      'NOPERM',
      'operator',
    ],
    [
      "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments",
      'NOPERM',
      'operator',
    ],
    ["ERR The user executing the script can't run this command or subcommand", 'NOPERM', 'operator'],
    ["ERR unknown command 'EVALSHA', with args beginning with: ", 'UNKNOWN_COMMAND', 'operator'],
    ["ERR unknown subcommand 'LOAD'. Try SCRIPT HELP.", 'UNKNOWN_COMMAND', 'operator'],
    ['ERR syntax error', 'OTHER', 'transient'],
    ['ERR value is not an integer or out of range', 'OTHER', 'transient'],
    ['NEWKIND Something unknown', 'OTHER', 'transient'],
    ['CONNECTION of another kind', 'OTHER', 'transient'],
    ['', 'OTHER', 'transient'],
  ])('classifies "%s" as %s, %s', (message, code, failureClass) => {
    const error = redisError(new Error(message))
    expect(error).toMatchObject({ side: 'redis', code, failureClass })
    expect(REDIS_ERROR_CODES).toContain(error.code)
  })

  test.each([
    ['sadd', ['devices', 'a'], 'devices'],
    [
      'evalsha',
      ['sha', '2', 'cache_service:{events}:lease', 'cache_service:{events}:update', 'x'],
      '{events}:update',
    ],
  ])('names the fixed keys that %s was refused for', (name, args, named) => {
    const message = 'WRONGTYPE Operation against a key holding the wrong kind of value'
    const thrown = Object.assign(new Error(message), { command: { name, args } })
    expect(redisError(thrown)).toMatchObject({ code: 'KEY_TYPE', failureClass: 'operator' })
    expect(redisError(thrown).message).toContain(named)
    const ofDevice = Object.assign(new Error(message), { command: { name, args: ['device:a:metadata'] } })
    expect(redisError(ofDevice)).toMatchObject({ code: 'WRONGTYPE', failureClass: 'record', message })
  })

  test('says in one sentence that a client is refused before it has asked for anything', () => {
    const denied = 'DENIED Redis is running in protected mode because it has no password. In this mode …'
    const early = `Command queue state error. If you can reproduce this, please report it. Last error: ${denied}`
    for (const message of [denied, early]) {
      expect(redisError(new Error(message))).toMatchObject({
        code: 'DENIED',
        message: 'DENIED Redis is running in protected mode because it has no password',
      })
    }
  })

  test.each([
    ['DENIED no', 'read ECONNRESET', 'DENIED no'],
    ['connect ECONNREFUSED', 'Connection is closed.', 'connect ECONNREFUSED'],
    ['connect ECONNREFUSED', 'read ECONNRESET', 'read ECONNRESET'],
    ['DENIED no', 'NOAUTH Authentication required.', 'NOAUTH Authentication required.'],
    ['ERR max number of clients reached', 'write EPIPE', 'ERR max number of clients reached'],
    ['NOAUTH no', 'Connection is closed.', 'NOAUTH no'],
    ...[
      'connect ECONNREFUSED 127.0.0.1:6379',
      'getaddrinfo ENOTFOUND redis',
      'getaddrinfo EAI_AGAIN redis',
      'connect EHOSTUNREACH 10.0.0.1:6379',
      'connect ENETUNREACH 10.0.0.1:6379',
    ].flatMap((connect) =>
      ['ERR max number of clients reached', 'NOAUTH no', 'self-signed certificate', 'connect ETIMEDOUT'].map(
        (before): [string, string, string] => [before, connect, connect],
      ),
    ),
  ])('of "%s" and then "%s", the clearer failure is "%s"', (before, after, clearer) => {
    const [first, second] = [redisError(new Error(before)), redisError(new Error(after))]
    expect(clearerFailure(first, second).message).toBe(clearer)
    expect(clearerFailure(undefined, second)).toBe(second)
  })

  test('does not quote the arguments of a refused command, which may be a password', () => {
    const thrown = new Error("ERR unknown command 'AUTH', with args beginning with: 'secret' ")
    expect(redisError(thrown).message).toBe("ERR unknown command 'AUTH'")
  })

  test('joins the messages of an AggregateError', () => {
    const refused = new AggregateError([
      new Error('connect ECONNREFUSED ::1:6379'),
      new Error('connect ECONNREFUSED 127.0.0.1:6379'),
    ])
    expect(redisError(refused)).toMatchObject({
      code: 'CONNECTION',
      message: 'connect ECONNREFUSED ::1:6379; connect ECONNREFUSED 127.0.0.1:6379',
    })
  })

  test.each([
    ["Stream isn't writeable and enableOfflineQueue options is false", 'not connected'],
    ['Connection is closed.', 'not connected'],
    ['Reached the max retries per request limit (which is 0). Refer to …', 'the connection was lost'],
    ['Command aborted due to connection close', 'the connection was lost'],
    ['connect ECONNREFUSED 127.0.0.1:6379', 'connect ECONNREFUSED 127.0.0.1:6379'],
    [
      'Too many Cluster redirections. Last error: Error: Connection is closed.',
      'no master of the Redis Cluster answers for the slot: not connected',
    ],
    [
      'Too many Cluster redirections. Last error: ReplyError: MOVED 866 10.0.0.1:6379',
      'no master of the Redis Cluster answers for the slot: MOVED 866 10.0.0.1:6379',
    ],
  ])('turns the message "%s" into "%s"', (message, readable) => {
    expect(redisError(new Error(message)).message).toBe(readable)
  })
})

/** An error of KafkaJS, whose type definitions cover few of the constructors. */
function kafkaJs(name: string, ...args: unknown[]): Error {
  const constructor: unknown = Reflect.get(kafkajs, name)
  if (typeof constructor !== 'function') throw new Error(`KafkaJS has no ${name}`)
  const error: unknown = Reflect.construct(constructor, args)
  if (!(error instanceof Error)) throw new Error(`${name} is not an error`)
  return error
}

/** As KafkaJS creates it from a broker's reply. */
const broker = (type: string, code: number, retriable: boolean, message: string) =>
  kafkaJs('KafkaJSProtocolError', { type, code, retriable, message })
const retriesExceeded = (cause: Error) =>
  kafkaJs('KafkaJSNumberOfRetriesExceeded', cause, { retryCount: 4, retryTime: 3_000 })

describe('kafkaError', () => {
  test.each<[what: string, thrown: unknown, code: string, failureClass: FailureClass]>([
    [
      'a refused connection',
      kafkaJs('KafkaJSConnectionError', 'Connection error: connect ECONNREFUSED 127.0.0.1:9092'),
      'CONNECTION',
      'transient',
    ],
    [
      'a connection that was closed',
      kafkaJs('KafkaJSConnectionClosedError', 'Closed connection', { host: 'kafka', port: 9092 }),
      'CONNECTION',
      'transient',
    ],
    [
      'a connection that timed out',
      kafkaJs('KafkaJSConnectionError', 'Connection timeout'),
      'TIMEOUT',
      'transient',
    ],
    [
      'a request that timed out',
      kafkaJs('KafkaJSRequestTimeoutError', 'Request Produce(key: 0, version: 7) timed out'),
      'TIMEOUT',
      'transient',
    ],
    [
      'a lock that timed out',
      kafkaJs('KafkaJSLockTimeout', 'Timeout while acquiring lock (1 waiting locks)'),
      'TIMEOUT',
      'transient',
    ],
    [
      'a missing leader',
      broker(
        'LEADER_NOT_AVAILABLE',
        5,
        true,
        'There is no leader for this topic-partition as we are in the middle of a leadership election',
      ),
      'RETRIABLE',
      'transient',
    ],
    [
      'a leader that moved',
      broker('NOT_LEADER_FOR_PARTITION', 6, true, 'This server is not the leader for that topic-partition'),
      'RETRIABLE',
      'transient',
    ],
    [
      'too few replicas',
      broker(
        'NOT_ENOUGH_REPLICAS',
        19,
        true,
        'Messages are rejected since there are fewer in-sync replicas than required',
      ),
      'RETRIABLE',
      'transient',
    ],
    [
      'a missing topic',
      broker('UNKNOWN_TOPIC_OR_PARTITION', 3, true, 'This server does not host this topic-partition'),
      'TOPIC_MISSING',
      'transient',
    ],
    [
      'missing topic metadata',
      kafkaJs('KafkaJSTopicMetadataNotLoaded', 'Topic metadata not loaded', { topic: 't' }),
      'RETRIABLE',
      'transient',
    ],
    [
      'an oversized message',
      broker(
        'MESSAGE_TOO_LARGE',
        10,
        false,
        'The request included a message larger than the max message size the server will accept',
      ),
      'MESSAGE_TOO_LARGE',
      'operator',
    ],
    [
      'an oversized batch',
      broker(
        'RECORD_LIST_TOO_LARGE',
        18,
        false,
        'The request included message batch larger than the configured segment size on the server',
      ),
      'MESSAGE_TOO_LARGE',
      'operator',
    ],
    [
      'a topic without permission',
      broker(
        'TOPIC_AUTHORIZATION_FAILED',
        29,
        false,
        'Not authorized to access topics: [Topic authorization failed]',
      ),
      'NOT_AUTHORIZED',
      'operator',
    ],
    [
      'a group without permission',
      broker(
        'GROUP_AUTHORIZATION_FAILED',
        30,
        false,
        'Not authorized to access group: Group authorization failed',
      ),
      'NOT_AUTHORIZED',
      'operator',
    ],
    [
      'a cluster without permission',
      broker('CLUSTER_AUTHORIZATION_FAILED', 31, false, 'Cluster authorization failed'),
      'NOT_AUTHORIZED',
      'operator',
    ],
    [
      'a wrong password',
      kafkaJs('KafkaJSSASLAuthenticationError', 'SASL PLAIN authentication failed'),
      'SASL',
      'operator',
    ],
    [
      'a wrong password, reported by the broker',
      broker('SASL_AUTHENTICATION_FAILED', 58, false, 'SASL Authentication failed'),
      'SASL',
      'operator',
    ],
    [
      'an unsupported mechanism',
      broker(
        'UNSUPPORTED_SASL_MECHANISM',
        33,
        false,
        'The broker does not support the requested SASL mechanism',
      ),
      'SASL_MECHANISM',
      'operator',
    ],
    ...(
      [
        ['ILLEGAL_SASL_STATE', 'SASL_MECHANISM', 'operator'],
        ['INVALID_SESSION_TIMEOUT', 'SESSION_TIMEOUT', 'operator'],
        ['INVALID_GROUP_ID', 'GROUP', 'operator'],
        ['INCONSISTENT_GROUP_PROTOCOL', 'GROUP_CONFLICT', 'transient'],
        ['GROUP_MAX_SIZE_REACHED', 'GROUP_FULL', 'transient'],
        ['INVALID_TOPIC_EXCEPTION', 'TOPIC_NAME', 'operator'],
        ['UNSUPPORTED_VERSION', 'VERSION', 'operator'],
        ['UNKNOWN_TOPIC_ID', 'TOPIC_MISSING', 'transient'],
      ] as const
    ).map(([type, code, failureClass]): [string, unknown, string, FailureClass] => [
      type,
      broker(type, 99, false, `the broker replied ${type}`),
      code,
      failureClass,
    ]),
    [
      'a certificate that cannot be verified',
      retriesExceeded(
        kafkaJs('KafkaJSConnectionError', 'Connection error: self-signed certificate in certificate chain'),
      ),
      'CERTIFICATE',
      'operator',
    ],
    [
      'a client certificate that is missing',
      kafkaJs(
        'KafkaJSConnectionError',
        'Connection error: 80DB:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required',
      ),
      'TLS',
      'operator',
    ],
    [
      'an unknown error',
      broker('UNKNOWN', -1, false, 'The server experienced an unexpected error when processing the request'),
      'OTHER',
      'transient',
    ],
    [
      'exceeded retries caused by a missing permission',
      retriesExceeded(
        broker(
          'TOPIC_AUTHORIZATION_FAILED',
          29,
          false,
          'Not authorized to access topics: [Topic authorization failed]',
        ),
      ),
      'NOT_AUTHORIZED',
      'operator',
    ],
    [
      'exceeded retries caused by a missing topic',
      retriesExceeded(
        broker('UNKNOWN_TOPIC_OR_PARTITION', 3, true, 'This server does not host this topic-partition'),
      ),
      'TOPIC_MISSING',
      'transient',
    ],
    [
      'exceeded retries caused by a lost connection',
      retriesExceeded(kafkaJs('KafkaJSConnectionError', 'Connection error: read ECONNRESET')),
      'CONNECTION',
      'transient',
    ],
    [
      'exceeded retries caused by a slow broker',
      retriesExceeded(broker('REQUEST_TIMED_OUT', 7, true, 'The request timed out')),
      'TIMEOUT',
      'transient',
    ],
    [
      'a cause of a cause',
      new Error('outer', { cause: retriesExceeded(kafkaJs('KafkaJSSASLAuthenticationError', 'no')) }),
      'SASL',
      'operator',
    ],
    [
      'any other KafkaJS error',
      kafkaJs('KafkaJSError', 'who knows', { retriable: false }),
      'OTHER',
      'transient',
    ],
    ['an error of Node', new TypeError('x is not a function'), 'OTHER', 'transient'],
    ['a thrown string', 'thrown as text', 'OTHER', 'transient'],
  ])('classifies %s', (_, thrown, code, failureClass) => {
    expect(kafkaError(thrown)).toMatchObject({
      side: 'kafka',
      code,
      failureClass,
      message: messageOf(thrown),
    })
  })

  test('stops at a cyclic chain of causes', () => {
    const first = new Error('first')
    first.cause = new Error('second', { cause: first })
    expect(kafkaError(first).code).toBe('OTHER')
  })
})

describe('redisError and kafkaError', () => {
  test('return a ServiceError unchanged', () => {
    const error = redisError(new Error('OOM no'))
    expect(redisError(error)).toBe(error)
    expect(kafkaError(error)).toBe(error)
  })

  test('keep the thrown value as the cause', () => {
    const thrown = new Error('OOM no')
    expect(redisError(thrown).cause).toBe(thrown)
    expect(kafkaError(thrown).cause).toBe(thrown)
    expect(redisError(thrown)).toBeInstanceOf(ServiceError)
  })

  test('accept any thrown value', () => {
    for (const thrown of ['OOM no', undefined, null, 7, { message: 'x' }]) {
      expect(redisError(thrown).message).toBe(String(thrown))
      expect(kafkaError(thrown).failureClass).toBe('transient')
    }
  })
})

test('internal errors on many records in a row are transient, and hold the partition', () => {
  expect(internalErrorsInARow(50)).toMatchObject({
    side: 'own',
    failureClass: 'transient',
    message: expect.stringContaining('50'),
  })
})
