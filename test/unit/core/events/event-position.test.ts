import { expect, test } from 'vitest'
import {
  compareEntryIds,
  formatPosition,
  furthest,
  hasReached,
  parsePosition,
} from '../../../../cache-service/core/events/event-position.ts'

test('a position survives formatting and parsing', () => {
  const position = { update: '1749407237476-0', device: '0-0' }
  expect(parsePosition(formatPosition(position))).toEqual(position)
})

test.each([
  '',
  '1-1',
  '1-1.',
  '.1-1',
  '1-1.1-1.1-1',
  '1-1.1-1\n',
  ' 1-1.1-1',
  '-1-1.1-1',
  '1-1.+',
  '1.1',
  '$.$',
  '1-1234567890123456.0-0',
])('%j is not a position', (text) => {
  expect(parsePosition(text)).toBeUndefined()
})

test('entry ids are compared numerically: first the milliseconds, then the sequence', () => {
  const inOrder = ['0-0', '0-1', '9-0', '9-2', '9-10', '10-0', '1749407237476-0']
  expect(inOrder.toReversed().toSorted(compareEntryIds)).toEqual(inOrder)
  expect(compareEntryIds('5-5', '5-5')).toBe(0)
})

test('a position has reached another if it has done so in each of the given streams', () => {
  const a = { update: '5-0', device: '1-0' }
  const b = { update: '4-0', device: '2-0' }
  expect(hasReached(a, b, ['update'])).toBe(true)
  expect(hasReached(a, b, ['device'])).toBe(false)
  expect(hasReached(a, b, ['update', 'device'])).toBe(false)
  expect(furthest(a, b)).toEqual({ update: '5-0', device: '2-0' })
})
