import { describe, expect, test } from 'vitest'
import { judgeFlatness, type Point } from '../../soak/flatness.ts'

const ALLOWANCE = { absolute: 5, share: 0.1 }

function series(valueAt: (seconds: number) => number): Point[] {
  return Array.from({ length: 40 }, (_, i) => ({ seconds: 3 * i, value: valueAt(3 * i) }))
}

describe('a series of measurements', () => {
  test('that rises and falls around the same value is flat', () => {
    expect(
      judgeFlatness(
        series((at) => 100 + 8 * Math.sin(at)),
        60,
        ALLOWANCE,
      ),
    ).toMatchObject({ kind: 'flat' })
  })

  test('that grows only in the first half is flat', () => {
    expect(
      judgeFlatness(
        series((at) => Math.min(60, at)),
        60,
        ALLOWANCE,
      ),
    ).toMatchObject({ kind: 'flat', growth: 0 })
  })

  test('that has a few outliers is flat', () => {
    expect(
      judgeFlatness(
        series((at) => (at > 110 ? 900 : 100)),
        60,
        ALLOWANCE,
      ),
    ).toMatchObject({ kind: 'flat' })
  })

  test('that grows slowly in the second half as well is not', () => {
    expect(
      judgeFlatness(
        series((at) => 100 + at / 2),
        60,
        ALLOWANCE,
      ),
    ).toMatchObject({ kind: 'grows' })
  })

  test('that has hardly any points in the second half is not judged', () => {
    expect(
      judgeFlatness(
        series(() => 1),
        110,
        ALLOWANCE,
      ),
    ).toEqual({ kind: 'too_few', points: 3 })
  })
})
