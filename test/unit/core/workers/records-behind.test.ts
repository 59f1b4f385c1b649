import { expect, test } from 'vitest'
import { nextToRead, recordsBehind } from '../../../../cache-service/core/workers/records-behind.ts'

test.each([
  ['committed', { committed: 5, earliest: 2, end: 9 }, 5, 4],
  ['without a commit', { committed: undefined, earliest: 2, end: 9 }, 2, 7],
  ['whose committed records Kafka has deleted', { committed: 5, earliest: 7, end: 9 }, 7, 2],
  [
    'beyond the end, as when the offsets were read one after the other',
    { committed: 10, earliest: 2, end: 9 },
    10,
    0,
  ],
  ['of an empty partition', { committed: undefined, earliest: 9, end: 9 }, 9, 0],
])('a position %s', (_, position, next, records) => {
  expect(nextToRead(position)).toBe(next)
  expect(recordsBehind(position)).toBe(records)
})
