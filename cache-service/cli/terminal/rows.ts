import type { Column } from './table.ts'

export type RowSort<Row> = { readonly column: Column<Row>; readonly isDescending: boolean }

/** What `--columns` and `--sort` choose; undefined: as the command prints its rows by default. */
export type RowChoice<Row> = {
  readonly columns?: readonly Column<Row>[]
  readonly sort?: RowSort<Row>
}

/** The columns of a row as an object, for json, jsonl and yaml. */
export function pickColumns<Row extends object>(
  row: Row,
  columns: readonly Column<Row>[],
): Record<string, unknown> {
  return Object.fromEntries(columns.map((column) => [column.name, valueOf(row, column)]))
}

/** A single row that is printed as a record. */
export function chosenFields<Row extends object>(
  row: Row,
  { columns }: RowChoice<Row>,
): Record<string, unknown> {
  return columns === undefined ? Object.fromEntries(Object.entries(row)) : pickColumns(row, columns)
}

/** Collects all rows. Rows without a value come first, as in a search; equal rows keep their order. */
export async function sortRows<Row extends object>(
  rows: Iterable<Row> | AsyncIterable<Row>,
  { column, isDescending }: RowSort<Row>,
): Promise<Row[]> {
  const keyed: { row: Row; key: number | string }[] = []
  for await (const row of rows) keyed.push({ row, key: sortKey(row, column) })
  const sign = isDescending ? -1 : 1
  return keyed.toSorted((a, b) => sign * compareKeys(a.key, b.key)).map(({ row }) => row)
}

/** The field of this name, if there is one: a cell may be rounded, or a text for people. */
function valueOf<Row extends object>(row: Row, { cell, name }: Column<Row>): unknown {
  const value: unknown = Object.hasOwn(row, name) ? Reflect.get(row, name) : cell(row)
  return value ?? null
}

function sortKey<Row extends object>(row: Row, column: Column<Row>): number | string {
  const value = column.order === undefined ? valueOf(row, column) : column.order(row)
  if (value === null) return ''
  return typeof value === 'number' || typeof value === 'string' ? value : JSON.stringify(value)
}

/** Numbers precede texts, but what is missing precedes both. */
function compareKeys(a: number | string, b: number | string): number {
  if (a === b) return 0
  if (a === '' || b === '') return a === '' ? -1 : 1
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1
  return a < b ? -1 : 1
}
