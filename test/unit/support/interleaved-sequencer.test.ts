import { expect, test } from 'vitest'
import { interleave } from '../../support/interleaved-sequencer.ts'

const weighted = (...items: [item: string, weight: number][]) =>
  items.map(([item, weight]) => ({ item, weight }))

test('lists are merged by the share of their weight that has begun, and keep their order', () => {
  const long = weighted(['a', 60], ['b', 30], ['c', 10])
  const short = weighted(['1', 5], ['2', 4], ['3', 1])
  expect(interleave([long, short, weighted(['x', 1])])).toEqual(['a', '1', 'x', '2', 'b', 'c', '3'])
})

test('items without weight are kept', () => {
  expect(interleave([weighted(['a', 0], ['b', 0]), []])).toEqual(['a', 'b'])
})
