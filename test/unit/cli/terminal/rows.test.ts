import { expect, test } from 'vitest'
import { sortRows } from '../../../../cache-service/cli/terminal/rows.ts'
import type { Column } from '../../../../cache-service/cli/terminal/table.ts'

type Row = { readonly id: string; readonly value?: unknown }

const VALUE: Column<Row> = { name: 'value', cell: ({ value }) => value }

const sorted = async (values: readonly unknown[], isDescending = false, column = VALUE) => {
  const rows = values.map((value, i) => ({ id: String(i), value }))
  return (await sortRows(rows, { column, isDescending })).map(({ value }) => value)
}

test('rows are sorted by numbers as numbers and by texts as texts; what is missing comes first', async () => {
  expect(await sorted([10, null, 9, undefined, -1])).toEqual([null, undefined, -1, 9, 10])
  expect(await sorted(['b', '', 'B', 'a'])).toEqual(['', 'B', 'a', 'b'])
  expect(await sorted([['b'], ['a'], 3])).toEqual([3, ['a'], ['b']])
  expect(await sorted([1, null, 2], true)).toEqual([2, 1, null])
})

test('equal rows keep their order, in both directions', async () => {
  const rows = ['a', 'b', 'c'].map((id) => ({ id, value: 1 }))
  for (const isDescending of [false, true]) {
    const ids = (await sortRows(rows, { column: VALUE, isDescending })).map(({ id }) => id)
    expect(ids).toEqual(['a', 'b', 'c'])
  }
})

test('a column may define its own order', async () => {
  const column = { ...VALUE, order: ({ value }: Row) => String(value).padStart(5, '0') }
  expect(await sorted(['0:10', '0:9'], false, column)).toEqual(['0:9', '0:10'])
})
