import kafkajs from 'kafkajs'
import { expect, test } from 'vitest'
import { isRefusal } from '../../../cache-service/kafka/replay-producer.ts'

const { KafkaJSConnectionError, KafkaJSNumberOfRetriesExceeded, KafkaJSProtocolError } = kafkajs

const protocolError = (type: string) =>
  new KafkaJSProtocolError(Object.assign(new Error(type), { type, code: 1 }))
const connectionError = (code: string) =>
  Object.assign(new KafkaJSConnectionError(`Connection error: ${code}`), { code })
const exceeded = (cause: Error) =>
  Object.assign(new KafkaJSNumberOfRetriesExceeded(cause, { retryCount: 0, retryTime: 1 }), { cause })

test.for<[string, Error]>([
  ['the broker refused it', protocolError('INVALID_TIMESTAMP')],
  ['the broker refuses connections', connectionError('ECONNREFUSED')],
  ['the name of the broker is unknown', connectionError('ENOTFOUND')],
  ['the broker cannot be reached, after all retries', exceeded(connectionError('EHOSTUNREACH'))],
])('a record is known not to be in the topic if %s', ([, error]) => {
  expect(isRefusal(error)).toBe(true)
})

test.for<[string, Error]>([
  ['the broker did not answer in time', protocolError('REQUEST_TIMED_OUT')],
  ['the connection was lost', connectionError('ECONNRESET')],
  ['something unexpected happened', new TypeError('x is not a function')],
])('a record may be in the topic if %s', ([, error]) => {
  expect(isRefusal(error)).toBe(false)
})
