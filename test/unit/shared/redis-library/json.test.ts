import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { enumName, isoDate } from '../../../../shared/redis-library/codecs.ts'
import { decodeStoredJson, encodeStoredJson } from '../../../../shared/redis-library/json.ts'
import {
  RedisDeserializationError,
  RedisSerializationError,
} from '../../../../shared/redis-library/errors.ts'
import { anyUnits } from '../../../support/records/arbitrary-text.ts'

test('whatever JSON has a form for comes back as it was', () => {
  const anyJson = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      anyUnits,
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value')),
      fc.dictionary(anyUnits, tie('value')),
    ),
  })).value
  fc.assert(
    fc.property(anyJson, (value) => {
      expect(decodeStoredJson(encodeStoredJson(value), z.unknown(), 'key')).toEqual(value)
    }),
  )
})

test('the text is that of JSON.stringify, wherever that loses nothing', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value)
      expect(encodeStoredJson(JSON.parse(text))).toBe(text)
    }),
  )
})

describe('what JSON would lose in silence', () => {
  const cycle: Record<string, unknown> = {}
  cycle['deeper'] = [cycle]
  let deep: unknown = null
  for (let level = 0; level < 5_000; level++) deep = [deep]
  const place = new (class Place {
    floor = 1
  })()

  test.each<[string, unknown, string]>([
    ['NaN', { a: [1, NaN] }, '$.a[1]: NaN'],
    ['Infinity', -Infinity, '$: -Infinity'],
    ['undefined', { a: undefined }, '$.a: undefined'],
    ['a hole', Object.assign([], { length: 1 }), '$[0]: undefined'],
    ['a bigint', [1n], '$[0]: a bigint'],
    ['a function', { run: () => 1 }, '$.run: a function'],
    ['a symbol', Symbol('a'), '$: a symbol'],
    ['a cycle', cycle, '$.deeper[0]: it contains itself'],
    ['a Map', { a: new Map([[1, 2]]) }, '$.a: a Map is no plain data'],
    ['an instance of a class', place, '$: a Place is no plain data'],
    ['an invalid Date', new Date(NaN), '$: an invalid Date'],
    ['too deep a value', deep, 'nested deeper than 500'],
  ])('%s is refused, and where it is said', (_, value, message) => {
    expect(() => encodeStoredJson(value)).toThrow(RedisSerializationError)
    expect(() => encodeStoredJson(value)).toThrow(message)
  })

  test('the same object twice is no cycle', () => {
    const shared = { a: 1 }
    expect(encodeStoredJson([shared, shared])).toBe('[{"a":1},{"a":1}]')
  })

  test('a Date is ISO 8601, and an object may say itself what it is', () => {
    expect(encodeStoredJson([new Date(0), { toJSON: () => ({ at: new Date(1) }) }])).toBe(
      '["1970-01-01T00:00:00.000Z",{"at":"1970-01-01T00:00:00.001Z"}]',
    )
  })
})

describe('reading', () => {
  test('what is no JSON, or something else, is refused, with its cause', () => {
    const failure = (text: string) => {
      try {
        return decodeStoredJson(text, z.object({ n: z.number() }), 'the-key')
      } catch (error) {
        return error
      }
    }
    expect(failure('hello')).toBeInstanceOf(RedisDeserializationError)
    expect(failure('hello')).toMatchObject({
      message: 'the-key holds no JSON',
      cause: expect.any(SyntaxError),
    })
    expect(failure('{"n":"1"}')).toMatchObject({
      message: expect.stringMatching(/the-key holds something else[^]*at n/),
      cause: expect.any(z.ZodError),
    })
  })

  test('no message quotes a value: it may be a secret', () => {
    for (const text of ['hunter2', '{"n":"hunter2"}', '"hunter2"']) {
      expect(() => decodeStoredJson(text, z.object({ n: z.number() }), 'key')).toThrow(/^(?!.*hunter2)[^]*$/)
    }
  })
})

describe('an enum', () => {
  const Mode = { FAST: 1, VeryFast: 2 } as const
  // What `enum Colour { Red, DarkRed = 5 }` is at run time.
  const Colour = { 0: 'Red', 5: 'DarkRed', Red: 0, DarkRed: 5 } as const

  test('is stored by its name in lower case, wherever it is, and read back', () => {
    const schema = z.object({ modes: z.array(enumName(Mode)), best: enumName(Mode).nullable().optional() })
    const text = encodeStoredJson({ modes: [Mode.FAST, Mode.VeryFast], best: 2 }, schema)
    expect(text).toBe('{"modes":["fast","veryfast"],"best":"veryfast"}')
    expect(decodeStoredJson(text, schema, 'key')).toEqual({ modes: [1, 2], best: 2 })
  })

  test('of TypeScript with numbers knows its names only', () => {
    const schema = enumName(Colour)
    expect(encodeStoredJson(Colour.DarkRed, schema)).toBe('"darkred"')
    expect(decodeStoredJson('"red"', schema, 'key')).toBe(Colour.Red)
    expect(() => decodeStoredJson('"0"', schema, 'key')).toThrow('must be one of red, darkred')
  })

  test('is read by value as well, as Python writes int and str enums', () => {
    expect(decodeStoredJson('2', enumName(Mode), 'key')).toBe(Mode.VeryFast)
    expect(decodeStoredJson('"quick"', enumName({ FAST: 'quick' }), 'key')).toBe('quick')
  })

  test('that it is not is refused, both ways', () => {
    const schema: z.ZodType = enumName(Mode)
    expect(() => decodeStoredJson('"slow"', schema, 'key')).toThrow('must be one of fast, veryfast')
    expect(() => encodeStoredJson(3, schema)).toThrow(RedisSerializationError)
  })

  test('whose names or values are not distinct is refused at once', () => {
    expect(() => enumName({ Fast: 1, FAST: 2 })).toThrow('called fast')
    expect(() => enumName({ FAST: 1, QUICK: 1 })).toThrow('the value 1')
  })
})

describe('a date', () => {
  test('comes back to the millisecond', () => {
    const dates = fc.date({
      min: new Date(0),
      max: new Date('9999-12-31T23:59:59.999Z'),
      noInvalidDate: true,
    })
    fc.assert(
      fc.property(dates, (date) => {
        expect(decodeStoredJson(encodeStoredJson(date, isoDate()), isoDate(), 'key')).toEqual(date)
        // Whatever Python's isoformat() makes of it.
        for (const zone of ['', '+00:00']) {
          const text = JSON.stringify(date.toISOString().replace('Z', `456${zone}`))
          expect(decodeStoredJson(text, isoDate(), 'key')).toEqual(date)
        }
      }),
    )
  })

  test('of another zone is the same moment', () => {
    expect(decodeStoredJson('"2026-11-21T14:00:00+02:00"', isoDate(), 'key')).toEqual(
      new Date('2026-11-21T12:00:00Z'),
    )
  })
})
