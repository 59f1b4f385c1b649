import { stringify } from 'csv-stringify/sync'

/** Lines of CSV. A cell that a spreadsheet would interpret as a formula is prefixed with an apostrophe. */
export function csvLines(rows: readonly (readonly unknown[])[]): string {
  const texts = rows.map((cells) =>
    cells.map((cell) => (typeof cell === 'object' && cell !== null ? JSON.stringify(cell) : cell)),
  )
  return stringify(texts, { escape_formulas: true, cast: { boolean: String } })
}
