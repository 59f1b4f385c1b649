import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoffMs } from '../../../cache-service/core/backoff.ts'

test.each([
  [1, 100],
  [2, 200],
  [3, 400],
  [9, 25_600],
  [10, 30_000],
  [11, 30_000],
  [5_000, 30_000],
])('the backoff after %d failures is at most %d ms', (attempt, longest) => {
  expect(backoffMs(attempt, 1)).toBe(longest)
  expect(backoffMs(attempt, 0.5)).toBe(longest / 2)
})

test('the backoff has full jitter: it can be as short as 0 ms', () => {
  for (const attempt of [1, 5, 20]) expect(backoffMs(attempt, 0)).toBe(0)
})

test('the backoff is never negative, always below 30 s, and does not decrease with the number of failures', () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000_000 }), random, (attempt, fraction) => {
      const ms = backoffMs(attempt, fraction)
      expect(ms).toBeGreaterThanOrEqual(0)
      expect(ms).toBeLessThan(30_000)
      expect(backoffMs(attempt + 1, fraction)).toBeGreaterThanOrEqual(ms)
    }),
  )
})
