import { expect, test } from 'vitest'
import { partitionsText } from '../../../cache-service/core/partitions-text.ts'

test('partitions are named in ascending order', () => {
  expect(partitionsText([3])).toBe('partition 3')
  expect(partitionsText([1, 10, 2, 0])).toBe('partitions 0, 1, 2, 10')
})
