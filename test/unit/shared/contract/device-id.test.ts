import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isDeviceId, parseDeviceId } from '../../../../shared/contract/device-id.ts'
import { deviceKey } from '../../../../shared/contract/keys.ts'
import { anyCharacter } from '../../../support/records/arbitrary-text.ts'
import { deviceId } from '../../../support/records/record-builder.ts'

test.each([
  ['one character', 'x'],
  ['256 bytes of ASCII', 'x'.repeat(256)],
  ['256 bytes, 128 characters', 'é'.repeat(128)],
  ['256 bytes, 64 characters', '🚪'.repeat(64)],
  ['colons', 'gw1:node:7'],
  ['only colons', ':::'],
  ['text that looks like one of our keys', 'device:x:metadata'],
  ['spaces', ' a b '],
  ['slashes, percents and braces', '../%2F/{a}'],
  ['other alphabets', 'Датчик-температуры-七'],
  ['a character beyond the first plane', '\u{10ffff}'],
  ['a no-break space, which is not a control character', 'a\u00a0b'],
  ['a name that is special in JavaScript', '__proto__'],
])('a device id can be %s', (_, text) => {
  expect(isDeviceId(text)).toBe(true)
  expect(parseDeviceId(text)).toBe(text)
})

test.each([
  ['an empty text', ''],
  ['257 bytes of ASCII', 'x'.repeat(257)],
  ['257 bytes, 129 characters', `${'é'.repeat(128)}x`],
  ['260 bytes, 65 characters', '🚪'.repeat(65)],
  ['256 characters in 512 bytes', 'é'.repeat(256)],
  ['a NUL', 'a\0b'],
  ['a line break', 'a\n'],
  ['a tab', 'a\tb'],
  ['a delete', 'a\x7f'],
  ['a control character of Latin-1', 'a\u0085b'],
  ['a lone high surrogate', 'a\ud83d'],
  ['a lone low surrogate', '\udeaaa'],
])('a device id cannot be %s', (_, text) => {
  expect(isDeviceId(text)).toBe(false)
  expect(parseDeviceId(text)).toBeUndefined()
})

test('a device id is any well-formed text of 1 to 256 bytes without control characters', () => {
  const text = fc.oneof(
    fc.string({ unit: anyCharacter, maxLength: 300 }),
    fc.string({ unit: 'grapheme-ascii', minLength: 250, maxLength: 260 }),
    fc
      .array(fc.integer({ min: 0xd7f0, max: 0xe010 }), { maxLength: 4 })
      .map((units) => String.fromCharCode(...units)),
  )
  fc.assert(
    fc.property(text, (given) => {
      const bytes = Buffer.from(given)
      const controls = [...given].filter((character) => {
        const code = character.codePointAt(0) ?? 0
        return code < 0x20 || (code >= 0x7f && code < 0xa0)
      })
      const isOne =
        bytes.length >= 1 && bytes.length <= 256 && controls.length === 0 && bytes.toString() === given
      expect(isDeviceId(given)).toBe(isOne)
    }),
    { numRuns: 500 },
  )
})

describe('the key of a device', () => {
  test('contains the id unchanged', () => {
    expect(deviceKey(deviceId('gw1:node:7'))).toBe('device:gw1:node:7:metadata')
  })

  test('is different for every id', () => {
    const id = fc.string({
      unit: fc.constantFrom(':', 'a', 'device', 'metadata'),
      minLength: 1,
      maxLength: 6,
    })
    fc.assert(
      fc.property(id, id, (a, b) => {
        expect(deviceKey(deviceId(a)) === deviceKey(deviceId(b))).toBe(a === b)
      }),
      { numRuns: 500 },
    )
  })
})
