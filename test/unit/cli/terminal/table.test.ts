import pc from 'picocolors'
import { describe, expect, test } from 'vitest'
import {
  printable,
  renderRecord,
  renderTable,
  type Column,
} from '../../../../cache-service/cli/terminal/table.ts'

const plain = pc.createColors(false)
const coloured = pc.createColors(true)

type Row = { readonly id: string; readonly count: number | null; readonly list?: readonly unknown[] }

const columns: readonly Column<Row>[] = [
  { name: 'id', cell: ({ id }) => id, tone: () => 'good' },
  { name: 'count', cell: ({ count }) => count, isNumber: true },
  { name: 'list', cell: ({ list }) => list },
]

const render = (rows: readonly Row[], width?: number) =>
  renderTable(columns, rows, { colors: plain, columns: width })

describe('a table', () => {
  test('has a header, and columns as wide as what they hold; numbers stand on the right', () => {
    const rows = [
      { id: 'a', count: 5, list: ['x', 1] },
      { id: 'longer', count: 12345 },
    ]
    expect(render(rows).split('\n')).toEqual([
      'id      count  list',
      'a           5  ["x",1]',
      'longer  12345  -',
      '',
    ])
  })

  test('without rows is its header', () => {
    expect(render([])).toBe('id  count  list\n')
  })

  test('keeps its columns straight beside wide and combining characters', () => {
    const [, first = '', second = ''] = render([
      { id: '漢字', count: 1 },
      { id: 'e\u0301', count: 2 },
    ]).split('\n')
    expect(first).toBe('漢字      1  -')
    expect(second).toBe('e\u0301         2  -')
  })

  test('is as wide as the terminal at most, and takes from the widest column', () => {
    const rows = [{ id: 'x'.repeat(200), count: 1, list: [1, 2] }]
    const [header = '', line = ''] = render(rows, 40).split('\n')
    expect(line).toHaveLength(40)
    expect(line).toContain('…')
    expect(line).toContain('[1,2]')
    expect(header).toContain('list')
  })

  test('is never truncated where there is no terminal', () => {
    const id = 'x'.repeat(2_000)
    expect(render([{ id, count: 1 }])).toContain(id)
  })

  test('shows what would move the cursor, and does not send it', () => {
    const text = render([{ id: 'a\u001b[2Jb\nc\u009b31m\u202e', count: null }])
    expect(text).toContain(String.raw`a\u001b[2Jb\nc\u009b31m\u202e`)
    expect(text.split('\n')).toHaveLength(3)
  })

  test('has colours only if it is given some', () => {
    const rows = [{ id: 'a', count: 1 }]
    expect(renderTable(columns, rows, { colors: coloured, columns: undefined })).toContain(
      '\u001b[32ma\u001b[39m',
    )
    expect(render(rows)).not.toContain('\u001b')
  })
})

test('one thing is a line a field, and never truncated', () => {
  const value = 'v'.repeat(500)
  expect(renderRecord({ a: value, long: null, o: { b: 1 } }, plain)).toBe(
    `a     ${value}\nlong  -\no     {"b":1}\n`,
  )
})

test('text that is printable stays as it is', () => {
  expect(printable('Küche 1: 漢字 "x"')).toBe('Küche 1: 漢字 "x"')
})
