import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { eventTimeFromMs } from '../../../../cache-service/core/event-time.ts'
import {
  parseRecord,
  REJECT_REASONS,
  type ParsedRecord,
  type ParseSettings,
} from '../../../../cache-service/core/records/parse-record.ts'
import type { SourceRecord } from '../../../../cache-service/core/records/source-record.ts'
import {
  DAY_MS,
  NOW_MS,
  RECORD_MS,
  SETTINGS,
  sourceRecord,
  validatedOutput,
} from '../../../support/records/record-builder.ts'

function parse(
  value: unknown,
  overrides: Partial<SourceRecord> = {},
  settings: Partial<ParseSettings> = {},
): ParsedRecord {
  return parseRecord(sourceRecord(value, overrides), NOW_MS, { ...SETTINGS, ...settings })
}

function update(parsed: ParsedRecord) {
  if (parsed.kind !== 'update') throw new Error(`an update was expected: ${JSON.stringify(parsed)}`)
  return parsed
}

const without = (field: string) => {
  const { [field]: _gone, ...rest } = validatedOutput()
  return rest
}
const withMetadata = (metadata: unknown) => validatedOutput({ metadata })
const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)])
const fields = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, i]))

test('a record of the normalizer is parsed as an update of its device', () => {
  expect(parse(validatedOutput())).toEqual({
    kind: 'update',
    eventTimeMs: Date.UTC(2025, 5, 8, 18, 27, 17, 476),
    clamped: false,
    isLate: false,
    update: {
      deviceId: 'sensor-1',
      lastUpdated: '2025-06-08T18:27:17.476623+00:00',
      fields: [
        ...['datatype_id', '7'],
        ...['datatype_name', 'temperature'],
        ...['datatype_unit', '°C'],
        ...['persist', 'true'],
      ],
      expiresAtMs: RECORD_MS + DAY_MS,
    },
  })
})

describe('a record that can never be applied', () => {
  const cases: [what: string, value: unknown, reason: string][] = [
    ['that is empty', '', 'empty_value'],
    ['that is not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'not_utf8'],
    ['in Latin-1', Buffer.from('{"device_id":"é"}', 'latin1'), 'not_utf8'],
    ['that is not JSON', '{"device_id":', 'not_json'],
    ['that is not JSON and contains NaN', '{"values":[NaN],}', 'not_json'],
    ['with a byte order mark', '\ufeff{}', 'not_json'],
    ['that is an array', [validatedOutput()], 'not_an_object'],
    ['that is a string', '"text"', 'not_an_object'],
    ['that is a number', '1', 'not_an_object'],
    ['that is NaN', 'NaN', 'not_an_object'],
    ['that is the JSON null, not a tombstone', 'null', 'not_an_object'],
    ['nested 65 levels deep', validatedOutput({ values: nested(64) }), 'too_deep'],
    ['nested 65 levels deep in an unknown field', validatedOutput({ new: nested(64) }), 'too_deep'],
    ['nested 65 levels deep in the metadata', withMetadata({ extra: nested(63) }), 'too_deep'],
    [
      'that is an array nested 100,000 levels deep',
      '['.repeat(100_000) + ']'.repeat(100_000),
      'not_an_object',
    ],
    [
      'that is an object nested 100,000 levels deep',
      '{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000),
      'too_deep',
    ],
    ['with a number as request_id', validatedOutput({ request_id: 7 }), 'bad_request_id'],
    ['without device_id', without('device_id'), 'missing_device_id'],
    ['with a null device_id', validatedOutput({ device_id: null }), 'missing_device_id'],
    ['with a number as device_id', validatedOutput({ device_id: 7 }), 'bad_device_id'],
    ['with an empty device_id', validatedOutput({ device_id: '' }), 'bad_device_id'],
    ['with a device_id of 257 bytes', validatedOutput({ device_id: 'x'.repeat(257) }), 'bad_device_id'],
    [
      'with a device_id of 129 characters that has 258 bytes',
      validatedOutput({ device_id: 'é'.repeat(129) }),
      'bad_device_id',
    ],
    ['with a control character in device_id', validatedOutput({ device_id: 'a\u0000b' }), 'bad_device_id'],
    ['with a line break in device_id', validatedOutput({ device_id: 'a\n' }), 'bad_device_id'],
    [
      'with a lone surrogate in device_id',
      JSON.stringify(validatedOutput({ device_id: 'a\ud800' })),
      'bad_device_id',
    ],
    ['with words as timestamp', validatedOutput({ timestamp: 'yesterday' }), 'bad_timestamp'],
    ['with an empty timestamp', validatedOutput({ timestamp: '' }), 'bad_timestamp'],
    ['with a number as timestamp', validatedOutput({ timestamp: 1749407237 }), 'bad_timestamp'],
    ['with a timestamp in 1969', validatedOutput({ timestamp: '1969-12-31T23:59:59' }), 'bad_timestamp'],
    ['with an array as metadata', withMetadata([]), 'bad_metadata'],
    ['with a string as metadata', withMetadata('{}'), 'bad_metadata'],
    ['with an object as datatype_id', withMetadata({ datatype_id: { id: '7' } }), 'bad_metadata'],
    ['with a boolean as datatype_id', withMetadata({ datatype_id: true }), 'bad_metadata'],
    ['with an array as datatype_name', withMetadata({ datatype_name: ['temperature'] }), 'bad_metadata'],
    ['with an object as datatype_unit', withMetadata({ datatype_unit: { unit: '°C' } }), 'bad_metadata'],
    ['with a string as persist', withMetadata({ persist: 'true' }), 'bad_metadata'],
    ['with a number as persist', withMetadata({ persist: 1 }), 'bad_metadata'],
    ['with null in an array as persist', withMetadata({ persist: [true, null] }), 'bad_metadata'],
    ['with 257 metadata fields', withMetadata(fields(257)), 'too_many_fields'],
  ]

  test.each(cases)('%s is rejected', (_, value, reason) => {
    expect(parse(value)).toEqual({ kind: 'rejected', reason, detail: expect.stringMatching(/./) })
  })

  test('may be a tombstone without a valid device id as its key', () => {
    const keys = [null, '', 'a\tb', 'x'.repeat(257), Buffer.from([0xff])]
    for (const key of keys) {
      const given = key === null ? null : Buffer.from(key)
      expect(parse(null, { key: given })).toMatchObject({ kind: 'rejected', reason: 'bad_key' })
    }
  })

  test('may be larger than MAX_RECORD_BYTES, and is then not decoded', () => {
    const limit = { maxRecordBytes: 16 }
    expect(parse('x'.repeat(16), {}, limit)).toMatchObject({ reason: 'not_json' })
    expect(parse('x'.repeat(17), {}, limit)).toMatchObject({
      reason: 'value_too_large',
      detail: expect.stringMatching(/17 bytes.*MAX_RECORD_BYTES.*16/),
    })
  })

  test('is rejected with a reason of the closed set', () => {
    for (const [, , reason] of cases) expect(REJECT_REASONS).toContain(reason)
  })

  test('is rejected with the path, code and message of each schema violation', () => {
    const detail = (parsed: ParsedRecord) => (parsed.kind === 'rejected' ? parsed.detail : '')
    expect(detail(parse(withMetadata({ datatype_name: {}, persist: 1 })))).toMatch(
      /^metadata\.datatype_name \(\w+\): .+; metadata\.persist \(\w+\): ./,
    )
    const allWrong = { datatype_id: {}, datatype_name: {}, datatype_unit: {}, persist: {} }
    const everything = { request_id: 1, timestamp: 1, device_id: 1, metadata: allWrong }
    expect(detail(parse(validatedOutput(everything))).split('; ')).toHaveLength(7)
  })
})

describe('a record is accepted', () => {
  test.each([
    ['nested exactly 64 levels deep', validatedOutput({ values: nested(63) })],
    ['with 256 metadata fields', withMetadata(fields(256))],
    ['with unknown fields', validatedOutput({ upstream_grew: { a: 1 } })],
    ['with values of any type', validatedOutput({ values: 'x', labels: {}, display_names: 1, index: null })],
    ['without request_id', without('request_id')],
    ['with a null request_id', validatedOutput({ request_id: null })],
    ['with a device_id of 256 bytes', validatedOutput({ device_id: 'x'.repeat(256) })],
    ['with colons in its device_id', validatedOutput({ device_id: 'gw1:node:7' })],
    ['with empty metadata', withMetadata({})],
    ['with NaN among its values', '{"device_id":"a","values":[NaN,-Infinity],"metadata":{}}'],
    ['with NaN as datatype_id', '{"device_id":"a","metadata":{"datatype_id":NaN}}'],
    [
      'with a field called __proto__',
      '{"device_id":"a","__proto__":{"device_id":1},"metadata":{"__proto__":1}}',
    ],
  ])('%s', (_, value) => {
    expect(parse(value)).toMatchObject({ kind: 'update' })
  })

  test('with numbers in place of strings', () => {
    const { fields: found } = update(
      parse(withMetadata({ datatype_id: 7, datatype_name: 1.5, datatype_unit: 0 })),
    ).update
    expect(found).toEqual([
      'datatype_id',
      '7',
      'datatype_name',
      '1.5',
      'datatype_unit',
      '0',
      'persist',
      'true',
    ])
  })

  test('with the configured extra fields', () => {
    const sent = withMetadata({ battery_ok: true, other: 1 })
    expect(update(parse(sent, {}, { extraFields: ['battery_ok'] })).update.fields).toEqual([
      ...['battery_ok', 'true'],
      ...['persist', 'true'],
    ])
  })
})

describe('a record without metadata', () => {
  test.each([
    ['absent', without('metadata')],
    ['null', withMetadata(null)],
    ['NaN', '{"device_id":"a","metadata":NaN}'],
  ])('is skipped if metadata is %s', (_, value) => {
    expect(parse(value)).toEqual({ kind: 'skipped', reason: 'no_metadata' })
  })

  test('is rejected if it is invalid in another way', () => {
    expect(parse(validatedOutput({ metadata: null, timestamp: 'x' }))).toMatchObject({
      reason: 'bad_timestamp',
    })
  })
})

describe('the event time', () => {
  test.each([
    ['absent', without('timestamp')],
    ['null', validatedOutput({ timestamp: null })],
  ])('is the record time if the timestamp is %s', (_, value) => {
    expect(update(parse(value))).toMatchObject({
      clamped: false,
      update: { lastUpdated: eventTimeFromMs(RECORD_MS).text },
    })
  })

  test.each([
    [299_999, false],
    [300_000, false],
    [300_001, true],
    [86_400_000, true],
  ])('%d ms after the record time is clamped to it: %s', (aheadMs, clamped) => {
    const timestamp = eventTimeFromMs(RECORD_MS + aheadMs).text
    expect(update(parse(validatedOutput({ timestamp })))).toMatchObject({
      clamped,
      update: { lastUpdated: clamped ? eventTimeFromMs(RECORD_MS).text : timestamp },
    })
  })

  test('is limited relative to the record time, not to now, so that a replay gives the same result', () => {
    const value = validatedOutput({ timestamp: eventTimeFromMs(RECORD_MS + 400_000).text })
    const first = parseRecord(sourceRecord(value), NOW_MS, SETTINGS)
    const replayed = parseRecord(sourceRecord(value), NOW_MS + 3_600_000, SETTINGS)
    expect(replayed).toEqual(first)
  })

  test('is accepted however long ago it is', () => {
    expect(update(parse(validatedOutput({ timestamp: '1970-01-01T00:00:00' }))).update).toMatchObject({
      lastUpdated: '1970-01-01T00:00:00.000000+00:00',
      expiresAtMs: RECORD_MS + DAY_MS,
    })
  })
})

describe('an invalid or future record time', () => {
  test.each([-1, 0, Number.NaN, Number.MIN_SAFE_INTEGER, NOW_MS + 1, 2 ** 60])(
    '%d is read as now',
    (timestampMs) => {
      const { update: found } = update(parse(without('timestamp'), { timestampMs }))
      expect(found).toMatchObject({ lastUpdated: eventTimeFromMs(NOW_MS).text, expiresAtMs: NOW_MS + DAY_MS })
    },
  )
})

describe('expiry', () => {
  test('is counted from the record time', () => {
    const recordMs = NOW_MS - 3_600_000
    expect(update(parse(validatedOutput(), { timestampMs: recordMs })).update.expiresAtMs).toBe(
      recordMs + DAY_MS,
    )
  })

  test.each([
    [DAY_MS - 1, 'update'],
    [DAY_MS, 'expired'],
    [DAY_MS + 1, 'expired'],
  ])('makes a record that is %d ms old: %s', (ageMs, kind) => {
    expect(parse(validatedOutput(), { timestampMs: NOW_MS - ageMs }).kind).toBe(kind)
  })

  test('never happens without a TTL, however old the record is', () => {
    expect(
      update(parse(validatedOutput(), { timestampMs: 1 }, { metadataTtlMs: 0 })).update.expiresAtMs,
    ).toBe(0)
  })

  test('does not hide that a record is invalid', () => {
    expect(parse('{', { timestampMs: 1 })).toMatchObject({ kind: 'rejected' })
  })
})

describe('a tombstone', () => {
  test('deletes updates up to its record time plus the allowed skew', () => {
    expect(parse(null, { key: Buffer.from('gw1:é') })).toEqual({
      kind: 'tombstone',
      tombstone: { deviceId: 'gw1:é', deletesUpTo: eventTimeFromMs(RECORD_MS + 300_000).text },
    })
  })

  test('never expires', () => {
    expect(parse(null, { key: Buffer.from('a'), timestampMs: 1 })).toMatchObject({
      kind: 'tombstone',
      tombstone: { deletesUpTo: '1970-01-01T00:05:00.001000+00:00' },
    })
  })
})

test('parseRecord never throws, and always returns one of the five kinds', () => {
  const json = fc.oneof(
    fc.record(
      {
        device_id: fc.jsonValue({ maxDepth: 1 }),
        timestamp: fc.oneof(fc.string(), fc.constant('2025-06-08T18:27:17')),
        metadata: fc.oneof(fc.jsonValue(), fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 1 }))),
      },
      { requiredKeys: [] },
    ),
    fc.jsonValue(),
  )
  const value = fc.oneof(
    json.map((found) => Buffer.from(JSON.stringify(found))),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.constant(null),
  )
  const key = fc.option(fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)))
  fc.assert(
    fc.property(value, key, fc.maxSafeInteger(), (found, given, timestampMs) => {
      const record = { offset: 0, timestampMs, key: given, value: found }
      const { kind } = parseRecord(record, NOW_MS, { ...SETTINGS, extraFields: 'all' })
      expect(['update', 'tombstone', 'skipped', 'expired', 'rejected']).toContain(kind)
    }),
    { numRuns: 500 },
  )
})

describe('numbers in metadata', () => {
  const fieldsOf = (metadata: string, extraFields: ParseSettings['extraFields'] = 'all') => {
    const value = `{"device_id":"d","timestamp":"2025-06-08T18:27:17Z","values":[1.50],"metadata":${metadata}}`
    const parsed = parseRecord(sourceRecord(value), NOW_MS, { ...SETTINGS, extraFields })
    if (parsed.kind !== 'update') throw new Error(parsed.kind)
    const content = parsed.update.fields
    return Object.fromEntries(content.flatMap((name, i) => (i % 2 === 0 ? [[name, content[i + 1]]] : [])))
  }

  test('keep their digits, on every level', () => {
    expect(
      fieldsOf(
        '{"datatype_id":2882429806056571124,"datatype_unit":[1.0,"%"],"eui":18446744073709551615,"serial":9007199254740993,"nested":{"a":[12345678901234567890]},"f":1.0,"n":3}',
      ),
    ).toEqual({
      datatype_id: '2882429806056571124',
      datatype_unit: '[1.0,"%"]',
      persist: 'true',
      eui: '18446744073709551615',
      serial: '9007199254740993',
      nested: '{"a":[12345678901234567890]}',
      f: '1.0',
      n: '3',
    })
    expect(fieldsOf('{"datatype_id":9007199254740993,"eui":1.0}', [])).toEqual({
      datatype_id: '9007199254740993',
      persist: 'true',
    })
  })

  test('that differ beyond the precision of a double make different contents', () => {
    expect(fieldsOf('{"serial":9007199254740992}')).not.toEqual(fieldsOf('{"serial":9007199254740993}'))
  })
})
