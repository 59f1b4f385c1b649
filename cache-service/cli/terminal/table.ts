import CliTable from 'cli-table3'
import type pc from 'picocolors'

export type Colors = ReturnType<typeof pc.createColors>
export type Tone = 'good' | 'warn' | 'bad' | 'dim'

/** Any JSON value. Objects and lists are shown as compact JSON; null and undefined as `-`. */
export type Cell = unknown

export type Column<Row> = {
  readonly name: string
  readonly cell: (row: Row) => Cell
  /** Numbers are right-aligned. */
  readonly isNumber?: boolean
  /** The color of the cell, if colors are enabled. */
  readonly tone?: (row: Row) => Tone | undefined
}

export type TableStyle = {
  readonly colors: Colors
  /** Width of the terminal, to which tables are truncated. undefined: tables are not truncated. */
  readonly columns: number | undefined
}

const GAP = '  '
const MIN_COLUMN_WIDTH = 8
const EMPTY_CELL = '-'

const BORDERLESS = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '' },
  ...{ bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' },
  ...{ left: '', 'left-mid': '', right: '', 'right-mid': '' },
  ...{ mid: '', 'mid-mid': '', middle: GAP },
} as const

/** A header and one line per row, without borders; ends with a line break. */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  { colors, columns: available }: TableStyle,
): string {
  const names = columns.map(({ name }) => name)
  const texts = rows.map((row) => columns.map(({ cell }) => cellText(cell(row))))
  const widths = fit(
    names.map((name, i) => Math.max(...[name, ...texts.map((line) => line[i] ?? '')].map(displayWidth))),
    available,
  )
  const table = newTable(columns, widths)
  table.push(names.map((name) => colors.bold(name)))
  for (const [i, line] of texts.entries()) {
    const row = rows[i]
    if (row === undefined) continue
    table.push(line.map((text, j) => paint(colors, columns[j]?.tone?.(row))(text)))
  }
  return `${withoutTrailingSpace(table.toString())}\n`
}

/** A single object, one line per field. Never truncated: half a token or half a reason is useless. */
export function renderRecord(fields: Readonly<Record<string, Cell>>, colors: Colors): string {
  const entries = Object.entries(fields)
  const width = Math.max(0, ...entries.map(([name]) => displayWidth(name)))
  const lines = entries.map(
    ([name, value]) =>
      `${colors.bold(name)}${' '.repeat(width - displayWidth(name))}${GAP}${cellText(value)}\n`,
  )
  return lines.join('')
}

/** Escapes control characters: foreign text must not move the cursor, ring the bell or fake a line of output. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    if (character === '\n') return '\\n'
    if (character === '\t') return '\\t'
    return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`
  })
}

export function paint(colors: Colors, tone: Tone | undefined): (text: string) => string {
  switch (tone) {
    case 'good':
      return colors.green
    case 'warn':
      return colors.yellow
    case 'bad':
      return colors.red
    case 'dim':
      return colors.dim
    case undefined:
      return (text) => text
  }
}

function cellText(cell: Cell): string {
  if (cell === null || cell === undefined || cell === '') return EMPTY_CELL
  return printable(typeof cell === 'object' ? JSON.stringify(cell) : String(cell))
}

function newTable<Row>(columns: readonly Column<Row>[], widths: readonly number[]): CliTable.Table {
  return new CliTable({
    chars: BORDERLESS,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
    colWidths: [...widths],
    colAligns: columns.map(({ isNumber }) => (isNumber === true ? 'right' : 'left')),
  })
}

/** Shrinks the widest columns until the line fits, or all columns have the minimum width. */
function fit(natural: readonly number[], available: number | undefined): number[] {
  const widths = [...natural]
  if (available === undefined) return widths
  const total = () => widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1)
  while (total() > available) {
    const widest = Math.max(...widths)
    if (widest <= MIN_COLUMN_WIDTH) break
    const second = Math.max(MIN_COLUMN_WIDTH, ...widths.filter((width) => width < widest))
    const over = total() - available
    widths[widths.indexOf(widest)] = Math.max(second - 1, widest - over, MIN_COLUMN_WIDTH)
  }
  return widths
}

const WIDE =
  /[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u
const ZERO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u

/** Width in terminal cells. */
function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let width = 0
  for (const character of text) width += WIDE.test(character) ? 2 : ZERO_WIDTH.test(character) ? 0 : 1
  return width
}

function withoutTrailingSpace(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}
