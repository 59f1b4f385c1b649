import kafkajs from 'kafkajs'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { readAssignment, readSubscription } from '../../../cache-service/kafka/member-bytes.ts'

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol

test('reads what KafkaJS writes', () => {
  const userData = Buffer.from('mark')
  const subscription = MemberMetadata.encode({ version: 0, topics: ['t', 'ü'], userData })
  expect(readSubscription(subscription)).toEqual({ topics: ['t', 'ü'], userData })
  const assignment = MemberAssignment.encode({ version: 0, assignment: { t: [0, 2], u: [1] }, userData })
  expect(readAssignment(assignment)).toEqual(new Map(Object.entries({ t: [0, 2], u: [1] })))
})

test('reads what the client of Apache Kafka writes: a later version, with further fields', () => {
  const bytes = Buffer.from('00030000000100 0174ffffffff00000000ffffffffffff'.replaceAll(' ', ''), 'hex')
  expect(readSubscription(bytes)).toEqual({ topics: ['t'], userData: undefined })
})

test('returns undefined for other bytes, and never throws', () => {
  expect(readSubscription(Buffer.alloc(0))).toBeUndefined()
  expect(readAssignment(Buffer.from('00007fffffff0001', 'hex'))).toBeUndefined()
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      readSubscription(Buffer.from(bytes))
      readAssignment(Buffer.from(bytes))
    }),
  )
})
