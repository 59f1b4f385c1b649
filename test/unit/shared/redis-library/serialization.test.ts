import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { enumName, isoDate } from '../../../../shared/redis-library/codecs.ts'
import {
  RedisDeserializationError,
  RedisSerializationError,
} from '../../../../shared/redis-library/errors.ts'
import { deserialize, serialize } from '../../../../shared/redis-library/serialization.ts'
import { anyUnits } from '../../../support/records/arbitrary-text.ts'

test('every value that JSON can represent survives a round trip', () => {
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
      expect(deserialize(serialize(value), z.unknown(), 'key')).toEqual(value)
    }),
  )
})

test('the text equals that of JSON.stringify for every value that JSON.stringify represents without loss', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value)
      expect(serialize(JSON.parse(text))).toBe(text)
    }),
  )
})

describe('serializing a value that JSON.stringify would change silently', () => {
  const cycle: Record<string, unknown> = {}
  cycle['deeper'] = [cycle]
  let deep: unknown = null
  for (let level = 0; level < 5_000; level++) deep = [deep]
  const place = new (class Place {
    floor = 1
  })()

  test.each<[string, unknown, string]>([
    ['NaN', { a: [1, NaN] }, '$.a[1]: JSON cannot represent NaN'],
    ['Infinity', -Infinity, '$: JSON cannot represent -Infinity'],
    ['undefined', { a: undefined }, '$.a: JSON cannot represent undefined'],
    ['a hole', Object.assign([], { length: 1 }), '$[0]: JSON cannot represent undefined'],
    ['a bigint', [1n], '$[0]: JSON cannot represent a bigint'],
    ['a function', { run: () => 1 }, '$.run: JSON cannot represent a function'],
    ['a symbol', Symbol('a'), '$: JSON cannot represent a symbol'],
    ['a cycle', cycle, '$.deeper[0]: the object contains itself'],
    ['a Map', { a: new Map([[1, 2]]) }, '$.a: a Map is not plain data'],
    ['an instance of a class', place, '$: a Place is not plain data'],
    ['an invalid Date', new Date(NaN), '$: invalid Date'],
    ['a value that is nested too deeply', deep, 'nested deeper than 500 levels'],
  ])('fails for %s and names the place', (_, value, message) => {
    expect(() => serialize(value)).toThrow(RedisSerializationError)
    expect(() => serialize(value)).toThrow(message)
  })

  test('does not take an object that occurs twice for a cycle', () => {
    const shared = { a: 1 }
    expect(serialize([shared, shared])).toBe('[{"a":1},{"a":1}]')
  })

  test('writes a Date as ISO 8601, and an object with toJSON as what the method returns', () => {
    expect(serialize([new Date(0), { toJSON: () => ({ at: new Date(1) }) }])).toBe(
      '["1970-01-01T00:00:00.000Z",{"at":"1970-01-01T00:00:00.001Z"}]',
    )
  })
})

describe('deserializing', () => {
  test('fails with the cause for text that is not JSON or does not match the schema', () => {
    const failure = (text: string) => {
      try {
        return deserialize(text, z.object({ n: z.number() }), 'the-key')
      } catch (error) {
        return error
      }
    }
    expect(failure('hello')).toBeInstanceOf(RedisDeserializationError)
    expect(failure('hello')).toMatchObject({
      message: 'the-key does not hold JSON',
      cause: expect.any(SyntaxError),
    })
    expect(failure('{"n":"1"}')).toMatchObject({
      message: expect.stringMatching(/the-key does not match the schema[^]*at n/),
      cause: expect.any(z.ZodError),
    })
  })

  test('never quotes the value in a message, because it may be a secret', () => {
    for (const text of ['hunter2', '{"n":"hunter2"}', '"hunter2"']) {
      expect(() => deserialize(text, z.object({ n: z.number() }), 'key')).toThrow(/^(?!.*hunter2)[^]*$/)
    }
  })
})

describe('an enum', () => {
  const Mode = { FAST: 1, VeryFast: 2 } as const
  // The runtime form of `enum Colour { Red, DarkRed = 5 }`.
  const Colour = { 0: 'Red', 5: 'DarkRed', Red: 0, DarkRed: 5 } as const

  test('is stored by its lower-case name at any place in a value, and read back', () => {
    const schema = z.object({ modes: z.array(enumName(Mode)), best: enumName(Mode).nullable().optional() })
    const text = serialize({ modes: [Mode.FAST, Mode.VeryFast], best: 2 }, schema)
    expect(text).toBe('{"modes":["fast","veryfast"],"best":"veryfast"}')
    expect(deserialize(text, schema, 'key')).toEqual({ modes: [1, 2], best: 2 })
  })

  test('of TypeScript with numbers has only its names as members', () => {
    const schema = enumName(Colour)
    expect(serialize(Colour.DarkRed, schema)).toBe('"darkred"')
    expect(deserialize('"red"', schema, 'key')).toBe(Colour.Red)
    expect(() => deserialize('"0"', schema, 'key')).toThrow('must be one of red, darkred')
  })

  test('is not read by value, because a value may be the name of another member', () => {
    const Swapped = { FAST: 'slow', SLOW: 'fast' } as const
    expect(deserialize('"slow"', enumName(Swapped), 'key')).toBe(Swapped.SLOW)
    expect(() => deserialize('2', enumName(Mode), 'key')).toThrow('expected string')
    expect(() => deserialize('"quick"', enumName({ FAST: 'quick' }), 'key')).toThrow('must be one of fast')
  })

  test('that Python stores by value is declared as z.enum, which reads and writes values', () => {
    for (const [members, value] of [
      [Mode, 2],
      [Colour, 5],
      [{ FAST: 'quick' }, 'quick'],
    ] as const) {
      const text = JSON.stringify(value)
      expect(deserialize(text, z.enum(members), 'key')).toBe(value)
      expect(serialize(value, z.enum(members))).toBe(text)
    }
  })

  test('rejects a value that is not a member, in both directions', () => {
    const schema: z.ZodType = enumName(Mode)
    expect(() => deserialize('"slow"', schema, 'key')).toThrow('must be one of fast, veryfast')
    expect(() => serialize(3, schema)).toThrow(RedisSerializationError)
  })

  test('is rejected at its definition if its names or values are not distinct', () => {
    expect(() => enumName({ Fast: 1, FAST: 2 })).toThrow('the lower-case name fast')
    expect(() => enumName({ FAST: 1, QUICK: 1 })).toThrow('the value 1')
  })
})

describe('a date', () => {
  test('survives a round trip to the millisecond', () => {
    const dates = fc.date({
      min: new Date(0),
      max: new Date('9999-12-31T23:59:59.999Z'),
      noInvalidDate: true,
    })
    fc.assert(
      fc.property(dates, (date) => {
        expect(deserialize(serialize(date, isoDate()), isoDate(), 'key')).toEqual(date)
        // The same date as Python's isoformat() writes it.
        for (const zone of ['', '+00:00']) {
          const text = JSON.stringify(date.toISOString().replace('Z', `456${zone}`))
          expect(deserialize(text, isoDate(), 'key')).toEqual(date)
        }
      }),
    )
  })

  test('with another offset is read as the same moment', () => {
    expect(deserialize('"2026-11-21T14:00:00+02:00"', isoDate(), 'key')).toEqual(
      new Date('2026-11-21T12:00:00Z'),
    )
  })
})
