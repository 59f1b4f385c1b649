import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  compareUtf8,
  fieldText,
  metadataFields,
  type ExtraFields,
  type Metadata,
} from '../../../../cache-service/core/records/metadata-fields.ts'
import { anyCharacter, anyUnits } from '../../../support/records/arbitrary-text.ts'

/** The fields of a metadata object, given as the JSON that was sent. */
function fieldsOf(json: string, extra: ExtraFields = []): readonly string[] {
  return metadataFields(JSON.parse(json), extra)
}

function named(fields: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: fields.length / 2 }, (_, i) => [fields[2 * i] ?? '', fields[2 * i + 1] ?? '']),
  )
}

describe('fieldText', () => {
  test.each([
    ['leaves a string unchanged', 'état "x"', 'état "x"'],
    ['leaves a string that looks like JSON unchanged', '["°C"]', '["°C"]'],
    ['leaves an empty string unchanged', '', ''],
    ['writes true', true, 'true'],
    ['writes false', false, 'false'],
    ['writes an integer', 3, '3'],
    ['writes a fraction', -40.25, '-40.25'],
    ['writes negative zero as 0', -0, '0'],
    ['writes a number that needs an exponent', 1e21, '1e+21'],
    ['writes an array as compact JSON', ['°C', '%', null], '["°C","%",null]'],
    ['writes an empty array', [], '[]'],
    ['writes an object as compact JSON', { a: [1, { b: null }] }, '{"a":[1,{"b":null}]}'],
    ['writes Infinity inside an array as null', [1, JSON.parse('1e999')], '[1,null]'],
    ['replaces lone surrogates with U+FFFD', 'a\ud800b', 'a\ufffdb'],
  ])('%s', (_, value, expected) => {
    expect(fieldText(value)).toBe(expected)
  })

  test.each([
    ['null', null],
    ['Infinity', JSON.parse('1e999')],
    ['-Infinity', JSON.parse('-1e999')],
    ['undefined', undefined],
  ])('returns undefined for %s', (_, value) => {
    expect(fieldText(value)).toBeUndefined()
  })

  test('returns text that survives encoding as UTF-8 unchanged', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: anyCharacter }), anyUnits, fc.jsonValue({ maxDepth: 2 })),
        (value) => {
          const text = fieldText(value)
          if (text !== undefined) expect(Buffer.from(text).toString()).toBe(text)
        },
      ),
    )
  })
})

describe('the known fields', () => {
  test('are copied and ordered by name', () => {
    expect(
      fieldsOf('{"persist":false,"datatype_unit":"°C","datatype_name":"temperature","datatype_id":"7"}'),
    ).toEqual([
      ...['datatype_id', '7'],
      ...['datatype_name', 'temperature'],
      ...['datatype_unit', '°C'],
      ...['persist', 'false'],
    ])
  })

  test('of empty metadata are only persist=true', () => {
    expect(fieldsOf('{}')).toEqual(['persist', 'true'])
    expect(fieldsOf('{"persist":null}')).toEqual(['persist', 'true'])
  })

  test('are omitted if they are null', () => {
    expect(fieldsOf('{"datatype_id":null,"datatype_name":"x","datatype_unit":null,"persist":true}')).toEqual([
      ...['datatype_name', 'x'],
      ...['persist', 'true'],
    ])
  })

  test('accept arrays, and numbers in place of strings', () => {
    expect(
      named(
        fieldsOf('{"datatype_id":7,"datatype_name":1.5,"datatype_unit":["°C","%"],"persist":[true,false]}'),
      ),
    ).toEqual({
      datatype_id: '7',
      datatype_name: '1.5',
      datatype_unit: '["°C","%"]',
      persist: '[true,false]',
    })
  })
})

describe('extra fields', () => {
  const sent = `{"battery_ok":true,"datatype_id":"7","channel_number":3,"gone":null,"parameter_names":["a","b"],
    "nested":{"a":[1]},"Zone":"north","persist":true}`

  test('are omitted by default', () => {
    expect(named(fieldsOf(sent))).toEqual({ datatype_id: '7', persist: 'true' })
  })

  test('are all included with "all", and ordered by name together with the known fields', () => {
    expect(fieldsOf(sent, 'all')).toEqual([
      ...['Zone', 'north'],
      ...['battery_ok', 'true'],
      ...['channel_number', '3'],
      ...['datatype_id', '7'],
      ...['nested', '{"a":[1]}'],
      ...['parameter_names', '["a","b"]'],
      ...['persist', 'true'],
    ])
  })

  test('are included if they are listed and present', () => {
    expect(named(fieldsOf(sent, ['battery_ok', 'gone', 'missing', 'persist']))).toEqual({
      battery_ok: 'true',
      datatype_id: '7',
      persist: 'true',
    })
  })

  test.each<ExtraFields>(['all', ['last_updated', 'battery_ok']])(
    'never replace last_updated: %j',
    (extra) => {
      const fields = named(
        fieldsOf('{"last_updated":"9999-12-31T23:59:59.999999+00:00","battery_ok":true}', extra),
      )
      expect(fields).toEqual({ battery_ok: 'true', persist: 'true' })
    },
  )

  test('may be called __proto__, constructor or toString', () => {
    const fields = fieldsOf('{"__proto__":{"persist":false},"constructor":"c","toString":"t"}', 'all')
    expect(fields).toEqual([
      ...['__proto__', '{"persist":false}'],
      ...['constructor', 'c'],
      ...['persist', 'true'],
      ...['toString', 't'],
    ])
  })

  test('called __proto__ do not change known fields', () => {
    expect(fieldsOf('{"__proto__":{"datatype_id":"x","persist":false}}')).toEqual(['persist', 'true'])
  })

  test('may have an empty name or a name that contains a NUL', () => {
    expect(fieldsOf('{"":"e","\\u0000":"n"}', 'all')).toEqual(['', 'e', '\0', 'n', 'persist', 'true'])
  })

  test('whose names are not well-formed Unicode are omitted', () => {
    expect(fieldsOf('{"a\\ud800":"lone","b":"\\udc00"}', 'all')).toEqual(['b', '\ufffd', 'persist', 'true'])
  })

  test('are ordered by UTF-8 bytes: U+E000 before U+10000, unlike in UTF-16', () => {
    const fields = fieldsOf(
      '{"\\ud800\\udc00":"linear b","\\ue000":"private","\\uffff":"last of the plane"}',
      'all',
    )
    expect(fields.filter((_, i) => i % 2 === 0)).toEqual(['persist', '\ue000', '\uffff', '\u{10000}'])
  })

  test('are ordered by UTF-8 bytes for any names', () => {
    const names = fc.uniqueArray(fc.string({ unit: anyCharacter, maxLength: 6 }), { maxLength: 12 })
    fc.assert(
      fc.property(names, (extra) => {
        const metadata: Metadata = Object.fromEntries(extra.map((name) => [name, 'x']))
        const found = metadataFields(metadata, 'all').filter((_, i) => i % 2 === 0)
        const bytes = found.map((name) => Buffer.from(name).toString('hex'))
        expect(bytes).toEqual([...bytes].sort())
        expect(new Set(found)).toEqual(
          new Set([...extra.filter((name) => name !== 'last_updated'), 'persist']),
        )
      }),
      { numRuns: 500 },
    )
  })
})

test('compareUtf8 orders any texts as their UTF-8 bytes', () => {
  const text = fc.oneof(
    fc.string({ unit: anyCharacter, maxLength: 4 }),
    fc.constantFrom('', 'a', 'a\0', '\ue000', '\u{10000}'),
  )
  fc.assert(
    fc.property(text, text, (a, b) => {
      const [hexA, hexB] = [Buffer.from(a).toString('hex'), Buffer.from(b).toString('hex')]
      expect(Math.sign(compareUtf8(a, b))).toBe(Number(hexA > hexB) - Number(hexA < hexB))
    }),
    { numRuns: 1_000 },
  )
})
