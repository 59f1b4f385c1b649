import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  compareUtf8,
  fieldText,
  metadataFields,
  type ExtraFields,
} from '../../../../cache-service/core/records/metadata-fields.ts'
import { metadataSchema } from '../../../../shared/contract/messages.ts'
import { anyCharacter, anyUnits } from '../../../support/records/arbitrary-text.ts'

/** The fields of a metadata object as it was sent. */
function fieldsOf(json: string, extra: ExtraFields = []): readonly string[] {
  const raw: unknown = JSON.parse(json)
  return metadataFields(metadataSchema.parse(raw), raw, extra)
}

function named(fields: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: fields.length / 2 }, (_, i) => [fields[2 * i] ?? '', fields[2 * i + 1] ?? '']),
  )
}

describe('a value in a hash', () => {
  test.each([
    ['a string as it is', 'état "x"', 'état "x"'],
    ['a string that looks like JSON', '["°C"]', '["°C"]'],
    ['an empty string', '', ''],
    ['true', true, 'true'],
    ['false', false, 'false'],
    ['a whole number', 3, '3'],
    ['a fraction', -40.25, '-40.25'],
    ['nought, whatever its sign', -0, '0'],
    ['a number that needs an exponent', 1e21, '1e+21'],
    ['a list, compact', ['°C', '%', null], '["°C","%",null]'],
    ['an empty list', [], '[]'],
    ['an object, compact', { a: [1, { b: null }] }, '{"a":[1,{"b":null}]}'],
    ['an infinity inside a list, as null', [1, JSON.parse('1e999')], '[1,null]'],
    ['lone surrogates, as they would be on the wire', 'a\ud800b', 'a\ufffdb'],
  ])('is %s', (_, value, expected) => {
    expect(fieldText(value)).toBe(expected)
  })

  test.each([
    ['null', null],
    ['an infinity', JSON.parse('1e999')],
    ['a minus infinity', JSON.parse('-1e999')],
    ['absent', undefined],
  ])('is not there for %s', (_, value) => {
    expect(fieldText(value)).toBeUndefined()
  })

  test('is the same bytes after the way to Redis and back', () => {
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

describe('the four fields', () => {
  test('are those of the origin, in the order of their names', () => {
    expect(
      fieldsOf('{"persist":false,"datatype_unit":"°C","datatype_name":"temperature","datatype_id":"7"}'),
    ).toEqual([
      ...['datatype_id', '7'],
      ...['datatype_name', 'temperature'],
      ...['datatype_unit', '°C'],
      ...['persist', 'false'],
    ])
  })

  test('of nothing are a persist of true', () => {
    expect(fieldsOf('{}')).toEqual(['persist', 'true'])
    expect(fieldsOf('{"persist":null}')).toEqual(['persist', 'true'])
  })

  test('are absent where they are null', () => {
    expect(fieldsOf('{"datatype_id":null,"datatype_name":"x","datatype_unit":null,"persist":true}')).toEqual([
      ...['datatype_name', 'x'],
      ...['persist', 'true'],
    ])
  })

  test('may be lists, and numbers where strings are meant', () => {
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

  test('are left out by default', () => {
    expect(named(fieldsOf(sent))).toEqual({ datatype_id: '7', persist: 'true' })
  })

  test('are all there with *, in the order of all names', () => {
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

  test('are those of the list, if they are there', () => {
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

  test('called __proto__ change no known field', () => {
    expect(fieldsOf('{"__proto__":{"datatype_id":"x","persist":false}}')).toEqual(['persist', 'true'])
  })

  test('may have an empty name, and a NUL in it', () => {
    expect(fieldsOf('{"":"e","\\u0000":"n"}', 'all')).toEqual(['', 'e', '\0', 'n', 'persist', 'true'])
  })

  test('whose name is no well-formed Unicode are left out', () => {
    expect(fieldsOf('{"a\\ud800":"lone","b":"\\udc00"}', 'all')).toEqual(['b', '\ufffd', 'persist', 'true'])
  })

  test('stand in the order of UTF-8 bytes: U+E000 before U+10000, unlike in UTF-16', () => {
    const fields = fieldsOf(
      '{"\\ud800\\udc00":"linear b","\\ue000":"private","\\uffff":"last of the plane"}',
      'all',
    )
    expect(fields.filter((_, i) => i % 2 === 0)).toEqual(['persist', '\ue000', '\uffff', '\u{10000}'])
  })

  test('stand in the order of the bytes whatever they are called', () => {
    const names = fc.uniqueArray(fc.string({ unit: anyCharacter, maxLength: 6 }), { maxLength: 12 })
    fc.assert(
      fc.property(names, (extra) => {
        const raw = Object.fromEntries(extra.map((name) => [name, 'x']))
        const found = metadataFields({}, raw, 'all').filter((_, i) => i % 2 === 0)
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

test('compareUtf8 compares as the bytes do', () => {
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
