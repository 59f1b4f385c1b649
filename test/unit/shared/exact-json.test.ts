import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mayLoseDigits, parseExactJson, parseJsonKeepingDigits } from '../../../shared/exact-json.ts'

describe('a number', () => {
  test.each([
    '18446744073709551615',
    '2882429806056571124',
    '9007199254740993',
    '1.0',
    '0.10',
    '1e5',
    '1E-7',
    '1e999',
    '-0',
    '-0.0',
    '100000000000000000000000',
    '0.30000000000000004441',
  ])('that a double would change keeps its digits: %s', (source) => {
    const text = `{"a":[${source}],"b":${source}}`
    expect(mayLoseDigits(text)).toBe(true)
    expect(JSON.stringify(parseExactJson(text))).toBe(text)
    expect(JSON.stringify(parseJsonKeepingDigits(text))).toBe(text)
  })

  test.each(['0', '3', '-17', '21.5', '9007199254740991'])(
    'that a double holds stays a number: %s',
    (source) => {
      expect(parseExactJson(source)).toBe(Number(source))
    },
  )

  test('of any spelling keeps it, and is found to need it', () => {
    const digits = fc.stringMatching(/^[0-9]{1,25}$/)
    const number = fc
      .tuple(fc.boolean(), digits, fc.option(digits), fc.option(fc.integer({ min: -400, max: 400 })))
      .map(([isNegative, whole, fraction, exponent]) =>
        [
          isNegative ? '-' : '',
          whole.replace(/^0+(?=\d)/, ''),
          fraction === null ? '' : `.${fraction}`,
          exponent === null ? '' : `e${exponent}`,
        ].join(''),
      )
    fc.assert(
      fc.property(number, (source) => {
        const text = `[${source}]`
        expect(JSON.stringify(parseJsonKeepingDigits(text))).toBe(text)
        if (String(Number(source)) !== source) expect(mayLoseDigits(text)).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  }, 30_000)
})

test('everything else is what JSON.parse makes of it', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const compact = JSON.stringify(JSON.parse(text))
      expect(JSON.stringify(parseExactJson(compact))).toBe(compact)
    }),
  )
  expect(() => parseExactJson('{')).toThrow(SyntaxError)
}, 30_000)
