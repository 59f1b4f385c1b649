import { expect, test } from 'vitest'
import { createHeldList } from '../../../cache-service/page/held-list.js'

test('a list follows the latest entries, except while one of them is open', () => {
  const list = createHeldList((entry: string) => entry)
  expect(list.show(['b', 'a'])).toEqual({ entries: ['b', 'a'], newer: 0 })
  list.toggle('a', true)
  expect(list.show(['d', 'c', 'b'])).toEqual({ entries: ['b', 'a'], newer: 2 })
  list.toggle('a', false)
  expect(list.show(['d', 'c', 'b'])).toEqual({ entries: ['d', 'c', 'b'], newer: 0 })
})

test('an entry that has left the list does not hold it, although it was opened at the last moment', () => {
  const list = createHeldList((entry: string) => entry)
  list.show(['b', 'a'])
  expect(list.show(['d', 'c'])).toEqual({ entries: ['d', 'c'], newer: 0 })
  list.toggle('a', true)
  expect(list.show(['e', 'd'])).toEqual({ entries: ['e', 'd'], newer: 0 })
  list.toggle('d', true)
  expect(list.isOpen('d')).toBe(true)
  expect(list.show([])).toEqual({ entries: ['e', 'd'], newer: 0 })
})
