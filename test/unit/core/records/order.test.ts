import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareStates, type DeviceState } from '../../../../cache-service/core/records/order.ts'
import { awkwardPair, awkwardState, literalOrder } from '../../../support/records/arbitrary-states.ts'

const EARLY = '2025-06-08T18:27:17.476622+00:00'
const LATE = '2025-06-08T18:27:17.476623+00:00'

const state = (lastUpdated: string, ...fields: string[]): DeviceState => ({ lastUpdated, fields })
const order = (a: DeviceState, b: DeviceState) => Math.sign(compareStates(a, b))

describe('of two states the greater is', () => {
  test.each<[why: string, less: DeviceState, greater: DeviceState]>([
    ['the later, by a microsecond', state(EARLY, 'persist', 'true'), state(LATE, 'persist', 'false')],
    ['the later, whatever it holds', state(EARLY, 'z', 'z'), state(LATE)],
    [
      'the later, at the end of a year',
      state('2024-12-31T23:59:59.999999+00:00'),
      state('2025-01-01T00:00:00.000000+00:00'),
    ],
    ['the one with the greater value', state(LATE, 'a', '1'), state(LATE, 'a', '2')],
    ['the one with the greater name', state(LATE, 'a', '2'), state(LATE, 'b', '1')],
    ['the one with more fields, if the rest is equal', state(LATE, 'a', '1'), state(LATE, 'a', '1', 'b', '')],
    ['the one with any field at all', state(LATE), state(LATE, '', '')],
    ['the longer value, if it begins alike', state(LATE, 'a', 'x'), state(LATE, 'a', 'xy')],
    [
      'the one whose first other byte is greater',
      state(LATE, 'a', 'xy', 'b', '9'),
      state(LATE, 'a', 'xz', 'b', '0'),
    ],
    ['by bytes, not by letters: Z before a', state(LATE, 'a', 'Z'), state(LATE, 'a', 'a')],
    ['by bytes, not by letters: z before é', state(LATE, 'a', 'z'), state(LATE, 'a', 'é')],
    [
      'by UTF-8, not UTF-16: U+E000 before U+10000',
      state(LATE, 'a', '\ue000'),
      state(LATE, 'a', '\u{10000}'),
    ],
    ['the one with a NUL, where the other ends', state(LATE, 'a', 'x'), state(LATE, 'a', 'x\0')],
    ['by text, if a NUL makes the bytes agree', state(LATE, 'a', '', 'b', ''), state(LATE, 'a', '\0b\0')],
  ])('%s', (_, less, greater) => {
    expect(order(less, greater)).toBe(-1)
    expect(order(greater, less)).toBe(1)
  })
})

test('no record is greater than itself', () => {
  expect(order(state(LATE, 'a', '1', 'b', '2'), state(LATE, 'a', '1', 'b', '2'))).toBe(0)
  expect(order(state(LATE), state(LATE))).toBe(0)
})

describe('for any states', () => {
  test('the order is the literal one', () => {
    fc.assert(
      fc.property(awkwardPair, ([a, b]) => {
        expect(order(a, b)).toBe(Math.sign(literalOrder(a, b)))
      }),
      { numRuns: 3_000 },
    )
  })

  test('what is less one way is greater the other way', () => {
    fc.assert(
      fc.property(awkwardPair, ([a, b]) => {
        expect(order(a, b) + order(b, a)).toBe(0)
      }),
      { numRuns: 2_000 },
    )
  })

  test('what compares as equal is equal: of two different ones, one is greater', () => {
    fc.assert(
      fc.property(awkwardPair, ([a, b]) => {
        const isSame = JSON.stringify(a) === JSON.stringify(b)
        expect(order(a, b) === 0).toBe(isSame)
      }),
      { numRuns: 2_000 },
    )
  })

  test('what is less than the less is less', () => {
    fc.assert(
      fc.property(awkwardPair, awkwardState, ([a, b], c) => {
        const [least, middle, greatest] = [a, b, c].sort(compareStates)
        if (least === undefined || middle === undefined || greatest === undefined) throw new Error('three')
        expect(order(least, middle)).toBeLessThanOrEqual(0)
        expect(order(middle, greatest)).toBeLessThanOrEqual(0)
        expect(order(least, greatest)).toBeLessThanOrEqual(0)
        // Equal ones are equal to the third in the same way.
        if (order(least, middle) === 0) expect(order(middle, greatest)).toBe(order(least, greatest))
      }),
      { numRuns: 2_000 },
    )
  })
})
