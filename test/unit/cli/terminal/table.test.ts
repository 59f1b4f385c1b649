import pc from 'picocolors'
import { describe, expect, test } from 'vitest'
import {
  printable,
  renderRecord,
  renderTable,
  Table,
  type Column,
} from '../../../../cache-service/cli/terminal/table.ts'

const plain = pc.createColors(false)
const colored = pc.createColors(true)

type Row = { readonly id: string; readonly count: number | null; readonly list?: readonly unknown[] }

const columns: readonly Column<Row>[] = [
  { name: 'id', cell: ({ id }) => id, tone: () => 'good' },
  { name: 'count', cell: ({ count }) => count, isNumber: true },
  { name: 'list', cell: ({ list }) => list },
]

const render = (rows: readonly Row[], width?: number) =>
  renderTable(columns, rows, { colors: plain, columns: width })

describe('a table', () => {
  test('has a header, columns as wide as their content, and right-aligned numbers', () => {
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

  test('without rows consists of its header', () => {
    expect(render([])).toBe('id  count  list\n')
  })

  test('keeps its columns aligned with wide and combining characters', () => {
    const [, first = '', second = ''] = render([
      { id: '漢字', count: 1 },
      { id: 'e\u0301', count: 2 },
    ]).split('\n')
    expect(first).toBe('漢字      1  -')
    expect(second).toBe('e\u0301         2  -')
  })

  test.each(['👨‍👩‍👧', '🇩🇪', '❤️', '漢', '한'])('treats %s as two cells wide', (id) => {
    expect(
      render([
        { id: `${id}|`, count: 1 },
        { id: 'abc', count: 1 },
      ]).split('\n')[1],
    ).toBe(`${id}|      1  -`)
  })

  test('truncates between characters, and pads what is left', () => {
    const [, line = ''] = render([{ id: '漢'.repeat(50), count: 1 }], 31).split('\n')
    expect(line).toBe(`${'漢'.repeat(8)}…       1  -`)
  })

  test('that is printed in blocks has one header, and columns that only become wider', () => {
    const table = new Table(columns)
    const style = { colors: plain, columns: undefined }
    const first = [{ id: 'abc', count: 1 }]
    expect(table.header(first, style)).toBe('id   count  list\n')
    expect(table.lines(first, style)).toBe('abc      1  -\n')
    expect(table.lines([{ id: 'abcdef', count: 2 }], style)).toBe('abcdef      2  -\n')
    expect(table.lines([{ id: 'a', count: 3 }], style)).toBe('a           3  -\n')
  })

  test('fits the width of the terminal by truncating the widest column', () => {
    const rows = [{ id: 'x'.repeat(200), count: 1, list: [1, 2] }]
    const [header = '', line = ''] = render(rows, 40).split('\n')
    expect(line).toHaveLength(40)
    expect(line).toContain('…')
    expect(line).toContain('[1,2]')
    expect(header).toContain('list')
  })

  test('is not truncated without a terminal', () => {
    const id = 'x'.repeat(2_000)
    expect(render([{ id, count: 1 }])).toContain(id)
  })

  test('escapes control characters', () => {
    const text = render([{ id: 'a\u001b[2Jb\nc\u009b31m\u202e', count: null }])
    expect(text).toContain(String.raw`a\u001b[2Jb\nc\u009b31m\u202e`)
    expect(text.split('\n')).toHaveLength(3)
  })

  test('has colors only if they are enabled', () => {
    const rows = [{ id: 'a', count: 1 }]
    expect(renderTable(columns, rows, { colors: colored, columns: undefined })).toContain(
      '\u001b[32ma\u001b[39m',
    )
    expect(render(rows)).not.toContain('\u001b')
  })
})

test('a record has one line per field, and is never truncated', () => {
  const value = 'v'.repeat(500)
  expect(renderRecord({ a: value, long: null, o: { b: 1 } }, plain)).toBe(
    `a     ${value}\nlong  -\no     {"b":1}\n`,
  )
})

test('printable text is not escaped', () => {
  expect(printable('Küche 1: 漢字 "x"')).toBe('Küche 1: 漢字 "x"')
})
