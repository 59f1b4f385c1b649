import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareStates, type DeviceState } from '../../../../cache-service/core/records/order.ts'
import { awkwardPair, awkwardState, literalOrder } from '../../../support/records/arbitrary-states.ts'

const EARLY = '2025-06-08T18:27:17.476622+00:00'
const LATE = '2025-06-08T18:27:17.476623+00:00'

const state = (lastUpdated: string, ...fields: string[]): DeviceState => ({ lastUpdated, fields })
const order = (a: DeviceState, b: DeviceState) => Math.sign(compareStates(a, b))

describe('the greater of two states is', () => {
  test.each<[why: string, less: DeviceState, greater: DeviceState]>([
    ['the later by a microsecond', state(EARLY, 'persist', 'true'), state(LATE, 'persist', 'false')],
    ['the later, whatever its content', state(EARLY, 'z', 'z'), state(LATE)],
    [
      'the later at the turn of the year',
      state('2024-12-31T23:59:59.999999+00:00'),
      state('2025-01-01T00:00:00.000000+00:00'),
    ],
    ['the one with the greater value', state(LATE, 'a', '1'), state(LATE, 'a', '2')],
    ['the one with the greater name', state(LATE, 'a', '2'), state(LATE, 'b', '1')],
    [
      'the one with additional fields if the rest is equal',
      state(LATE, 'a', '1'),
      state(LATE, 'a', '1', 'b', ''),
    ],
    ['the one with any field at all', state(LATE), state(LATE, '', '')],
    [
      'the one with the longer value if the shorter is a prefix of it',
      state(LATE, 'a', 'x'),
      state(LATE, 'a', 'xy'),
    ],
    [
      'the one whose first different byte is greater',
      state(LATE, 'a', 'xy', 'b', '9'),
      state(LATE, 'a', 'xz', 'b', '0'),
    ],
    [
      'the one with the greater byte, not the later one in the alphabet: Z before a',
      state(LATE, 'a', 'Z'),
      state(LATE, 'a', 'a'),
    ],
    [
      'the one with the greater byte, not the later one in the alphabet: z before é',
      state(LATE, 'a', 'z'),
      state(LATE, 'a', 'é'),
    ],
    [
      'the one that is greater in UTF-8, not UTF-16: U+E000 before U+10000',
      state(LATE, 'a', '\ue000'),
      state(LATE, 'a', '\u{10000}'),
    ],
    ['the one with a NUL where the other ends', state(LATE, 'a', 'x'), state(LATE, 'a', 'x\0')],
    [
      'the one with the greater first field if a NUL makes the canonical bytes equal',
      state(LATE, 'a', '', 'b', ''),
      state(LATE, 'a', '\0b\0'),
    ],
  ])('%s', (_, less, greater) => {
    expect(order(less, greater)).toBe(-1)
    expect(order(greater, less)).toBe(1)
  })
})

test('a state equals itself', () => {
  expect(order(state(LATE, 'a', '1', 'b', '2'), state(LATE, 'a', '1', 'b', '2'))).toBe(0)
  expect(order(state(LATE), state(LATE))).toBe(0)
})

describe('the order of any states', () => {
  test('equals a literal implementation of the definition', () => {
    fc.assert(
      fc.property(awkwardPair, ([a, b]) => {
        expect(order(a, b)).toBe(Math.sign(literalOrder(a, b)))
      }),
      { numRuns: 3_000 },
    )
  })

  test('is antisymmetric', () => {
    fc.assert(
      fc.property(awkwardPair, ([a, b]) => {
        expect(order(a, b) + order(b, a)).toBe(0)
      }),
      { numRuns: 2_000 },
    )
  })

  test('is total: only identical states compare as equal', () => {
    fc.assert(
      fc.property(awkwardPair, ([a, b]) => {
        const isSame = JSON.stringify(a) === JSON.stringify(b)
        expect(order(a, b) === 0).toBe(isSame)
      }),
      { numRuns: 2_000 },
    )
  })

  test('is transitive', () => {
    fc.assert(
      fc.property(awkwardPair, awkwardState, ([a, b], c) => {
        const [least, middle, greatest] = [a, b, c].sort(compareStates)
        if (least === undefined || middle === undefined || greatest === undefined) throw new Error('three')
        expect(order(least, middle)).toBeLessThanOrEqual(0)
        expect(order(middle, greatest)).toBeLessThanOrEqual(0)
        expect(order(least, greatest)).toBeLessThanOrEqual(0)
        // Equal states compare to a third one in the same way.
        if (order(least, middle) === 0) expect(order(middle, greatest)).toBe(order(least, greatest))
      }),
      { numRuns: 2_000 },
    )
  })
})
