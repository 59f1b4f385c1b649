import { describe, expect, test } from 'vitest'
import { optionNames } from '../../../cache-service/config/options.ts'
import { failureText, hintFor, operatorHint } from '../../../cache-service/core/operator-hint.ts'
import { internalErrorsInARow, kafkaError, redisError, ServiceError } from '../../../shared/errors.ts'

const aborted = redisError(new Error('EXECABORT Transaction discarded because of previous errors.'))

describe('the operator hint', () => {
  const errors = [
    redisError(new Error('NOAUTH Authentication required.')),
    redisError(new Error('WRONGPASS invalid username-password pair or user is disabled.')),
    redisError(new Error("NOPERM User worker has no permissions to run the 'evalsha' command")),
    redisError(new Error('connect ECONNREFUSED 127.0.0.1:6379')),
    redisError(new Error("CROSSSLOT Keys in request don't hash to the same slot")),
    redisError(new Error('ERR DB index is out of range')),
    redisError(new Error('certificate has expired')),
    redisError(new Error('write EPROTO wrong version number')),
    redisError(new Error('DENIED Redis is running in protected mode')),
    kafkaError(Object.assign(new Error('no'), { type: 'SASL_AUTHENTICATION_FAILED' })),
    kafkaError(Object.assign(new Error('no'), { type: 'TOPIC_AUTHORIZATION_FAILED' })),
    kafkaError(Object.assign(new Error('no'), { type: 'UNKNOWN_TOPIC_OR_PARTITION' })),
    kafkaError(new Error('Connection timeout')),
    ...[
      'INVALID_SESSION_TIMEOUT',
      'INCONSISTENT_GROUP_PROTOCOL',
      'INVALID_TOPIC_EXCEPTION',
      'MESSAGE_TOO_LARGE',
      'UNSUPPORTED_VERSION',
      'UNSUPPORTED_SASL_MECHANISM',
    ].map((type) => kafkaError(Object.assign(new Error('no'), { type }))),
  ]

  test.each(errors)('for $side $code names settings that exist', (error) => {
    const named = operatorHint(error).match(/\b(?:REDIS|KAFKA)_[A-Z_]+/g) ?? []
    expect(named.length).toBeGreaterThan(0)
    const existing: readonly string[] = optionNames
    expect(named.filter((name) => !existing.includes(name))).toEqual([])
    expect(named.filter((name) => !name.startsWith(error.side.toUpperCase()))).toEqual([])
  })

  test('for a Redis that is too old names the version that is needed', () => {
    expect(operatorHint(redisError(new Error("ERR unknown command 'EVALSHA'")))).toMatch(/Redis 7/)
  })

  test.each(['OOM full', 'READONLY a replica', 'MISCONF cannot save', 'BUSY script', 'NOREPLICAS too few'])(
    'for a Redis that refuses writes (%s) says what to do on the server',
    (reply) => {
      expect(hintFor(redisError(new Error(reply)))?.fix).toMatch(/server|primary|script/)
    },
  )

  test('for any other code is the message of the error', () => {
    expect(hintFor(aborted)).toBeUndefined()
    expect(operatorHint(aborted)).toBe(`redis: ${aborted.message}`)
    const internal = internalErrorsInARow(3)
    expect(operatorHint(internal)).toBe(`own: ${internal.message}`)
  })
})

test('a master of a Cluster that does not answer is to be restarted, or replaced by a replica', () => {
  const error = new ServiceError(
    'redis',
    'CONNECTION',
    'transient',
    'the master a:1: not connected',
    null,
    'a:1',
  )
  expect(operatorHint(error)).toMatch(
    /^Redis is a Cluster with a master that does not answer \(the master a:1: not connected\): restart it, or let a replica/,
  )
  expect(operatorHint(error)).not.toContain('REDIS_HOST')
})

test('the reply of the server ends without a period, because the fix follows', () => {
  const error = redisError(new Error("OOM command not allowed when used memory > 'maxmemory'."))
  expect(failureText(error)).toMatch(/used memory > 'maxmemory'; raise maxmemory/)
  expect(operatorHint(error)).toMatch(/used memory > 'maxmemory'\): raise maxmemory/)
})
