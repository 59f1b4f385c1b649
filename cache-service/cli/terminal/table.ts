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
  /** What rows are sorted by, if neither the field of this name nor the cell sorts correctly. */
  readonly order?: (row: Row) => number | string
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

/** A header and one line per row, without borders; ends with a line break. */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  style: TableStyle,
): string {
  const table = new Table(columns)
  return table.header(rows, style) + table.lines(rows, style)
}

/** A table that is printed block by block. Columns become wider, but never narrower, from block to block. */
export class Table<Row> {
  readonly #columns: readonly Column<Row>[]
  #natural: number[]

  constructor(columns: readonly Column<Row>[]) {
    this.#columns = columns
    this.#natural = columns.map(({ name }) => displayWidth(name))
  }

  /** @param rows the first ones, for the widths. */
  header(rows: readonly Row[], { colors, columns: available }: TableStyle): string {
    this.#widen(rows.map((row) => this.#texts(row)))
    const widths = fit(this.#natural, available)
    const cells = this.#columns.map(({ name }, i) => this.#cell(name, i, widths, colors.bold))
    return `${cells.join(GAP).trimEnd()}\n`
  }

  lines(rows: readonly Row[], { colors, columns: available }: TableStyle): string {
    const texts = rows.map((row) => this.#texts(row))
    this.#widen(texts)
    const widths = fit(this.#natural, available)
    const lines = rows.map((row, i) => {
      const cells = this.#columns.map(({ tone }, j) =>
        this.#cell(texts[i]?.[j] ?? '', j, widths, paint(colors, tone?.(row))),
      )
      return `${cells.join(GAP).trimEnd()}\n`
    })
    return lines.join('')
  }

  #texts(row: Row): string[] {
    return this.#columns.map(({ cell }) => cellText(cell(row)))
  }

  #widen(lines: readonly (readonly string[])[]): void {
    for (const line of lines) {
      this.#natural = this.#natural.map((width, i) => Math.max(width, displayWidth(line[i] ?? '')))
    }
  }

  #cell(text: string, at: number, widths: readonly number[], color: (text: string) => string): string {
    const width = widths[at] ?? 0
    const shown = truncate(text, width)
    const padding = ' '.repeat(Math.max(0, width - displayWidth(shown)))
    return this.#columns[at]?.isNumber === true ? padding + color(shown) : color(shown) + padding
  }
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

/** The cells of one row of an endless list, whose widths are not known. */
export function rowLine<Row>(row: Row, columns: readonly Column<Row>[]): string {
  return columns.map(({ cell }) => cellText(cell(row))).join(GAP)
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
  /[\p{Emoji_Presentation}\ufe0f\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u
const ZERO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u

const ASCII = /^[\x20-\x7e]*$/
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

/** Width in terminal cells. */
function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length
  let width = 0
  for (const { segment } of graphemes.segment(text)) width += graphemeWidth(segment)
  return width
}

/** What a reader sees as one character: a character with its accents, or an emoji of several code points. */
function graphemeWidth(grapheme: string): number {
  if (WIDE.test(grapheme)) return 2
  return [...grapheme].every((character) => ZERO_WIDTH.test(character)) ? 0 : 1
}

function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text
  let kept = ''
  let used = 0
  for (const { segment } of graphemes.segment(text)) {
    used += graphemeWidth(segment)
    if (used > width - 1) break
    kept += segment
  }
  return `${kept}…`
}
