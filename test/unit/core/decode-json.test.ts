import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeJson,
  mayNestDeeper,
  nestsWithin,
  replaceNonFinite,
} from '../../../cache-service/core/decode-json.ts'

const decode = (text: string) => decodeJson(Buffer.from(text))
const json = (value: unknown) => ({ kind: 'json', json: value, text: expect.any(String) })
const arrays = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
const objects = (levels: number) => '{"a":'.repeat(levels) + 'null' + '}'.repeat(levels)

describe('NaN and infinities', () => {
  test.each([
    ['[NaN, Infinity, -Infinity]', [null, null, null]],
    ['NaN', null],
    ['{"a":NaN,"b":{"c":-Infinity}}', { a: null, b: { c: null } }],
    ['[1.5,NaN,-2]', [1.5, null, -2]],
    ['[NaN,NaN,NaN]', [null, null, null]],
  ])('are read as null in %s', (text, expected) => {
    expect(decode(text)).toEqual(json(expected))
  })

  test.each([
    ['{"a":"NaN","b":NaN}', { a: 'NaN', b: null }],
    ['{"NaN":NaN}', { NaN: null }],
    ['["-Infinity",-Infinity]', ['-Infinity', null]],
    ['["\\"NaN",NaN,"x\\\\"]', ['"NaN', null, 'x\\']],
    ['["\\\\",NaN,"\\\\\\"NaN"]', ['\\', null, '\\"NaN']],
    ['["it says: \\"NaN, NaN\\"", Infinity]', ['it says: "NaN, NaN"', null]],
    ['["\\u0022NaN",NaN]', ['"NaN', null]],
    ['["é NaN ü 🚪",NaN]', ['é NaN ü 🚪', null]],
  ])('are kept inside strings: %s', (text, expected) => {
    expect(decode(text)).toEqual(json(expected))
  })

  test.each(['{NaN:1}', '[-NaN]', '[+Infinity]', '[NaNa]', '[nan]', '[infinity]', '[Infinity1]', '[1NaN]'])(
    'do not make %s valid',
    (text) => {
      expect(decode(text)).toMatchObject({ kind: 'not_json' })
    },
  )

  test('are not replaced in a text without any, which is returned unchanged', () => {
    const text = '{"a":"NaN"}'
    expect(replaceNonFinite(text)).toBe(text)
  })

  test('are replaced in every position, and nothing else is changed', () => {
    const leaf = fc.oneof(
      fc.constantFrom('NaN', 'Infinity', '-Infinity').map((token) => ({ written: token, meant: null })),
      fc.jsonValue({ maxDepth: 1 }).map((value) => ({ written: JSON.stringify(value), meant: value })),
      fc
        .array(fc.constantFrom('NaN', 'Infinity', '-Infinity', '"', '\\', ',', 'N', '-', ' '))
        .map((parts) => ({ written: JSON.stringify(parts.join('')), meant: parts.join('') })),
    )
    fc.assert(
      fc.property(fc.array(leaf), (leaves) => {
        const text = `[${leaves.map(({ written }) => written).join(', ')}]`
        const meant = leaves.map(({ meant: value }) => value)
        expect(decode(text)).toEqual(json(JSON.parse(JSON.stringify(meant))))
      }),
      { numRuns: 500 },
    )
  })
})

describe('invalid JSON', () => {
  test.each([
    ['', 'empty'],
    ['{', 'an open brace'],
    ['["NaN', 'an open string'],
    ['[NaN,"\\', 'a string that ends in a backslash'],
    ["{'a':1}", 'single quotes'],
    ['{"a":1,}', 'a trailing comma'],
    ['{"a":1} x', 'trailing text'],
    ['\ufeff{"a":1}', 'a byte order mark'],
    ['\ufeff{"a":NaN}', 'a byte order mark before NaN'],
    ['{"a":01}', 'a leading zero'],
    ['"\u0001"', 'a control character'],
  ])('is refused: %j, %s', (text) => {
    expect(decode(text)).toEqual({ kind: 'not_json', detail: expect.stringMatching(/./) })
  })

  test('is reported as sent, with NaN', () => {
    expect(decode('{"a":NaN,}')).toMatchObject({ detail: expect.stringContaining('NaN') })
  })
})

test.each([
  ['an invalid byte', [0x22, 0xff, 0x22]],
  ['a truncated sequence', [0x22, 0xc3, 0x22]],
  ['an overlong slash', [0x22, 0xc0, 0xaf, 0x22]],
  ['an encoded surrogate', [0x22, 0xed, 0xa0, 0x80, 0x22]],
  ['a code point above U+10FFFF', [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]],
  ['UTF-16', [0xff, 0xfe, 0x22, 0x00, 0x22, 0x00]],
])('%s is refused as not UTF-8', (_, bytes) => {
  expect(decodeJson(Buffer.from(bytes))).toEqual({ kind: 'not_utf8' })
})

test('a replacement character that was sent is kept', () => {
  expect(decode('"\ufffd"')).toEqual(json('\ufffd'))
})

test('any valid JSON is decoded as JSON.parse decodes it', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(decode(text)).toEqual(json(JSON.parse(text)))
    }),
  )
})

test('decodeJson never throws for any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      expect(['json', 'not_utf8', 'not_json']).toContain(decodeJson(Buffer.from(bytes)).kind)
    }),
  )
})

describe('mayNestDeeper', () => {
  test('is false only for a text that is not nested deeper', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.integer({ min: 0, max: 6 }), (nested, limit) => {
        if (!nestsWithin(nested, limit)) expect(mayNestDeeper(JSON.stringify(nested), limit)).toBe(true)
      }),
      { numRuns: 1_000 },
    )
  })

  test('counts objects and arrays together, and brackets in strings', () => {
    expect(mayNestDeeper('[{"a":[1]}]', 3)).toBe(false)
    expect(mayNestDeeper('[{"a":[1]}]', 2)).toBe(true)
    expect(mayNestDeeper('["[[["]', 3)).toBe(true)
    expect(mayNestDeeper(arrays(64), 64)).toBe(false)
    expect(mayNestDeeper(`{"a":${arrays(64)}}`, 64)).toBe(true)
  })
})

describe('nestsWithin', () => {
  test.each([
    ['arrays', arrays],
    ['objects', objects],
  ])('accepts %s nested up to the limit and no deeper', (_, nested) => {
    expect(nestsWithin(JSON.parse(nested(64)), 64)).toBe(true)
    expect(nestsWithin(JSON.parse(nested(65)), 64)).toBe(false)
  })

  test('measures the deepest branch, wherever it is', () => {
    const value = JSON.parse(`{"a":[1,2,[]],"b":{"c":${arrays(3)}}}`)
    expect(nestsWithin(value, 5)).toBe(true)
    expect(nestsWithin(value, 4)).toBe(false)
  })

  test('treats a value that is not a container as level 0', () => {
    for (const value of ['text', 1, true, null]) expect(nestsWithin(value, 0)).toBe(true)
    expect(nestsWithin([], 0)).toBe(false)
  })

  test.each([
    ['arrays', arrays(100_000)],
    ['objects', objects(100_000)],
    ['arrays around NaN', `${'['.repeat(100_000)}NaN${']'.repeat(100_000)}`],
    ['unclosed arrays', '['.repeat(100_000)],
  ])('does not overflow the stack for 100,000 nested %s', (_, text) => {
    const decoded = decode(text)
    expect(decoded.kind === 'json' && nestsWithin(decoded.json, 64)).toBe(false)
  })
})
