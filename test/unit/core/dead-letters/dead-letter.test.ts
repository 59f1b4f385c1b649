import { describe, expect, test } from 'vitest'
import { validate, version } from 'uuid'
import {
  buildDeadLetter,
  withoutOriginal,
  type DeadLetter,
} from '../../../../cache-service/core/dead-letters/dead-letter.ts'
import { parseRecord } from '../../../../cache-service/core/records/parse-record.ts'
import type { Rejection } from '../../../../cache-service/core/records/plan.ts'
import type { SourceRecord } from '../../../../cache-service/core/records/source-record.ts'
import { errorMessageSchema, type ErrorMessage } from '../../../../shared/contract/messages.ts'
import {
  NOW_MS,
  RECORD_MS,
  SETTINGS,
  sourceRecord,
  validatedOutput,
} from '../../../support/records/record-builder.ts'

const ORIGIN = { topic: 'iot_validated_data', partition: 3 }
const VERSION = '1.2.3'
const KIB = 1024

function deadLetterFor(record: SourceRecord, rejection: Partial<Rejection> = {}): DeadLetter {
  const reason = { index: 0, reason: 'bad_metadata', detail: 'metadata.persist: no', ...rejection } as const
  return buildDeadLetter(record, ORIGIN, reason, NOW_MS, VERSION)
}

function messageIn(deadLetter: DeadLetter): ErrorMessage {
  return errorMessageSchema.parse(JSON.parse(deadLetter.value))
}

const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)])

describe('the traceparent of a dead letter', () => {
  const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const carried = (traceparent: string | Buffer | null | Buffer[]) =>
    deadLetterFor({ ...sourceRecord('{'), headers: { traceparent } }).headers['traceparent']

  test('is that of the record', () => {
    expect(carried(trace)).toBe(trace)
    expect(carried(Buffer.from(trace))).toBe(trace)
  })

  test.each<[string, string | Buffer | null | Buffer[]]>([
    ['null', null],
    ['empty', ''],
    ['of another shape', 'x'.repeat(100_000)],
    ['in upper case', trace.toUpperCase().replace('0AF', 'ABC')],
    ['repeated', [Buffer.from(trace), Buffer.from(trace)]],
  ])('is absent if that of the record is %s', (_, header) => expect(carried(header)).toBeUndefined())

  test('is absent without one', () => {
    expect(deadLetterFor(sourceRecord('{')).headers).not.toHaveProperty('traceparent')
  })
})

describe('the message of a dead letter', () => {
  test('has the format of the platform', () => {
    const sent = validatedOutput()
    expect(JSON.parse(deadLetterFor(sourceRecord(sent)).value)).toEqual({
      request_id: 'b1946ac9-2492-4d23-8b3f-3a4c8d2f9f00',
      timestamp: '2025-06-08T18:27:20.000000+00:00',
      service: 'cache_service',
      error: 'bad_metadata: metadata.persist: no',
      original_message: sent,
    })
  })

  test('contains the record as parsed, with null for NaN', () => {
    const record = sourceRecord('{"device_id":7,"values":[NaN],"__proto__":{"a":1}}')
    expect(deadLetterFor(record).value).toContain(
      '"original_message":{"device_id":7,"values":[null],"__proto__":{"a":1}}',
    )
  })

  test.each<[string, SourceRecord, Partial<Rejection>]>([
    ['not JSON', sourceRecord('{'), { reason: 'not_json' }],
    ['not UTF-8', sourceRecord(Buffer.from([0xff])), { reason: 'not_utf8' }],
    ['an array', sourceRecord('[1]'), { reason: 'not_an_object' }],
    ['a string', sourceRecord('"x"'), { reason: 'not_an_object' }],
    ['the JSON null', sourceRecord('null'), { reason: 'not_an_object' }],
    ['empty', sourceRecord(''), { reason: 'empty_value' }],
    ['a tombstone', sourceRecord(null), { reason: 'bad_key' }],
    ['nested 65 levels deep', sourceRecord({ device_id: 'a', values: nested(64) }), { reason: 'too_deep' }],
    [
      'nested 100,000 levels deep',
      sourceRecord(`${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`),
      { reason: 'too_deep' },
    ],
    ['too large to be decoded', sourceRecord(validatedOutput()), { reason: 'value_too_large' }],
  ])('has no original_message if the record is %s', (_, record, rejection) => {
    expect(messageIn(deadLetterFor(record, rejection)).original_message).toBeNull()
  })

  test('has an original_message if the record is nested exactly 64 levels deep', () => {
    const sent = { device_id: 7, values: nested(63) }
    expect(messageIn(deadLetterFor(sourceRecord(sent))).original_message).toEqual(sent)
  })

  test('limits the length of the error, without splitting a character', () => {
    const { error } = messageIn(deadLetterFor(sourceRecord('{'), { detail: '🚪'.repeat(5_000) }))
    expect(error.length).toBe(4_096)
    expect(error.isWellFormed()).toBe(true)
  })
})

describe('the id of a dead letter', () => {
  test('is the request_id of the record, and also the message key', () => {
    const deadLetter = deadLetterFor(sourceRecord(validatedOutput({ request_id: 'r-1' })))
    expect(deadLetter.key).toBe('r-1')
    expect(messageIn(deadLetter).request_id).toBe('r-1')
  })

  test.each<[string, SourceRecord]>([
    ['null', sourceRecord(validatedOutput({ request_id: null }))],
    ['a number', sourceRecord(validatedOutput({ request_id: 7 }))],
    ['empty', sourceRecord(validatedOutput({ request_id: '' }))],
    ['in an unreadable record', sourceRecord('{"request_id":"r-1"')],
    ['missing, as in a tombstone', sourceRecord(null)],
  ])('is derived from the coordinates if the request_id is %s', (_, record) => {
    const deadLetter = deadLetterFor(record)
    expect(validate(deadLetter.key) && version(deadLetter.key)).toBe(5)
    expect(messageIn(deadLetter).request_id).toBe(deadLetter.key)
  })

  test('is always the same for the same record, in every release', () => {
    expect(deadLetterFor(sourceRecord('{', { offset: 42 })).key).toBe('a61a6fab-f4c6-5140-a263-e6ec89005802')
  })

  test('differs between records', () => {
    const ids = [
      deadLetterFor(sourceRecord('{', { offset: 1 })),
      deadLetterFor(sourceRecord('{', { offset: 2 })),
      buildDeadLetter(
        sourceRecord('{', { offset: 1 }),
        { ...ORIGIN, partition: 4 },
        rejection,
        NOW_MS,
        VERSION,
      ),
      buildDeadLetter(
        sourceRecord('{', { offset: 1 }),
        { ...ORIGIN, topic: 'other' },
        rejection,
        NOW_MS,
        VERSION,
      ),
    ].map(({ key }) => key)
    expect(new Set(ids).size).toBe(4)
  })

  const rejection: Rejection = { index: 0, reason: 'not_json', detail: '' }
})

describe('the headers of a dead letter', () => {
  test('contain the coordinates, the reason, the service version and the bytes of the record', () => {
    const bytes = Buffer.from('{"device_id":')
    const record = sourceRecord(bytes, { offset: 9007199254740991, key: Buffer.from('sensor-1') })
    expect(deadLetterFor(record, { reason: 'not_json' }).headers).toEqual({
      source_topic: 'iot_validated_data',
      source_partition: '3',
      source_offset: '9007199254740991',
      source_timestamp: String(RECORD_MS),
      source_key: Buffer.from('sensor-1'),
      reason: 'not_json',
      service_version: VERSION,
      original_value: bytes,
    })
  })

  test('contain binary bytes unchanged', () => {
    const bytes = Buffer.from([0x00, 0xff, 0xfe, 0x0a])
    expect(deadLetterFor(sourceRecord(bytes, { key: Buffer.from([0xff, 0x00]) })).headers).toMatchObject({
      original_value: bytes,
      source_key: Buffer.from([0xff, 0x00]),
    })
  })

  test('have no key and no value if the record has none', () => {
    const { headers } = deadLetterFor(sourceRecord(null), { reason: 'bad_key' })
    expect(headers).not.toHaveProperty('source_key')
    expect(headers).not.toHaveProperty('original_value')
    expect(headers).not.toHaveProperty('original_value_truncated')
  })

  test('have an empty value if the record has an empty value', () => {
    expect(deadLetterFor(sourceRecord('')).headers['original_value']).toEqual(Buffer.alloc(0))
  })

  test.each([
    [256 * KIB - 1, 256 * KIB - 1, undefined],
    [256 * KIB, 256 * KIB, undefined],
    [256 * KIB + 1, 256 * KIB, 'true'],
    [900 * KIB, 256 * KIB, 'true'],
  ])('contain of %d bytes the first %d, truncated: %s', (length, carried, truncated) => {
    const bytes = Buffer.alloc(length, 'abcdefg')
    const { headers } = deadLetterFor(sourceRecord(bytes), { reason: 'value_too_large' })
    expect(bytes.subarray(0, carried).equals(Buffer.from(headers['original_value'] ?? ''))).toBe(true)
    expect(headers['original_value_truncated']).toBe(truncated)
  })

  test('limit the length of the key', () => {
    const { headers } = deadLetterFor(sourceRecord('{', { key: Buffer.alloc(5_000, 'k') }))
    expect(headers['source_key']?.length).toBe(1_024)
  })

  test.each([
    ['text', '2', '2'],
    ['bytes, as Kafka delivers it', Buffer.from('2'), '2'],
    ['overlong text, which is cut', 'x'.repeat(1_000), 'x'.repeat(16)],
  ])('keep the replay_count given as %s', (_, given, expected) => {
    const record = sourceRecord('{', { headers: { replay_count: given, other: 'dropped' } })
    const { headers } = deadLetterFor(record)
    expect(headers['replay_count']).toBe(expected)
    expect(headers).not.toHaveProperty('other')
  })

  test('have no replay_count if the record was never replayed', () => {
    expect(deadLetterFor(sourceRecord('{')).headers).not.toHaveProperty('replay_count')
  })
})

describe('a dead letter without the original record', () => {
  test('keeps everything that is needed to find the record', () => {
    const deadLetter = deadLetterFor(sourceRecord(validatedOutput(), { key: Buffer.from('sensor-1') }))
    const shortened = withoutOriginal(deadLetter, ORIGIN)
    const { original_value: _gone, ...kept } = deadLetter.headers
    expect(shortened.headers).toEqual({ ...kept, original_value_truncated: 'true' })
    expect(shortened.key).toBe(deadLetter.key)
    expect(messageIn(shortened)).toEqual({ ...messageIn(deadLetter), original_message: null })
  })

  test('is small, however large the record, its id and its key are', () => {
    const record = sourceRecord(
      validatedOutput({ request_id: 'r'.repeat(300_000), values: 'x'.repeat(300_000) }),
      {
        key: Buffer.alloc(300_000, 'k'),
      },
    )
    const shortened = withoutOriginal(deadLetterFor(record), ORIGIN)
    const bytes =
      shortened.value.length +
      shortened.key.length +
      Object.values(shortened.headers).reduce((sum, header) => sum + header.length, 0)
    expect(bytes).toBeLessThan(10_000)
    expect(version(shortened.key)).toBe(5)
    expect(messageIn(shortened).request_id).toBe(shortened.key)
  })

  test('does not change when it is shortened again', () => {
    const once = withoutOriginal(deadLetterFor(sourceRecord(validatedOutput())), ORIGIN)
    expect(withoutOriginal(once, ORIGIN)).toEqual(once)
  })
})

test('a dead letter contains enough to parse the record again, with the same rejection', () => {
  for (const value of ['', '{', '[]', '{"device_id":7}', Buffer.from([0xff])]) {
    const record = sourceRecord(value)
    const rejection = parseRecord(record, NOW_MS, SETTINGS)
    const { headers } = deadLetterFor(record)
    const again = sourceRecord(Buffer.from(headers['original_value'] ?? 'none'), {
      timestampMs: Number(headers['source_timestamp']),
    })
    expect(parseRecord(again, NOW_MS, SETTINGS)).toEqual(rejection)
    expect(rejection.kind).toBe('rejected')
  }
})
