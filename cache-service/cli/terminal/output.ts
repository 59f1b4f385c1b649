import { stringify as stringifyYaml } from 'yaml'
import { csvLines } from '../../http/csv.ts'
import { pickColumns, sortRows, type RowChoice } from './rows.ts'
import { renderRecord, rowLine, Table, type Cell, type Colors, type Column } from './table.ts'

export const FORMATS = ['table', 'json', 'jsonl', 'yaml', 'csv'] as const
export type Format = (typeof FORMATS)[number]

/** The first rows decide the widths of the columns, which later ones may only extend. */
const ROWS_PER_BLOCK = 1_000

type Rows<Row> = Iterable<Row> | AsyncIterable<Row>

/**
 * Prints the results of a command in the requested format, to stdout or to the file of `--output`. Calls resolve
 * when the destination has accepted the text. json, jsonl and yaml print whole rows, unless columns were chosen; table and
 * csv print the columns.
 */
export type Output = {
  readonly format: Format
  /** Whether rows and records are printed whole: json, jsonl or yaml. */
  readonly isWhole: boolean
  readonly isTerminal: boolean
  readonly colors: Colors
  /** Prints a list: one JSON document, one table, …; jsonl: one object per line. */
  rows<Row extends object>(
    columns: readonly Column<Row>[],
    rows: Rows<Row>,
    choice?: RowChoice<Row>,
  ): Promise<void>
  /** Prints a single object: as a table one line per field. */
  record(fields: Readonly<Record<string, Cell>>): Promise<void>
  /** Prints a record that other users must not read: a new file of `--output` belongs to its owner only. */
  secret(fields: Readonly<Record<string, Cell>>): Promise<void>
  /** Prints an endless list: each row is flushed. json and jsonl: one object per line; yaml: one document per row. */
  stream<Row extends object>(
    columns: readonly Column<Row>[],
    rows: Rows<Row>,
    line: (row: Row, colors: Colors) => string,
    choice?: Pick<RowChoice<Row>, 'columns'>,
  ): Promise<void>
  /** Prints text unchanged, in every format. */
  text(text: string | Uint8Array): Promise<void>
}

/** Where results go: stdout, or the file of `--output`. */
export type Destination = {
  readonly isTerminal: boolean
  readonly columns: number | undefined
  write(text: string | Uint8Array): Promise<void>
  /** Endless results follow. */
  writeDirectly(): void
  /** Secrets follow. */
  protect(): void
}

export type OutputOptions = {
  readonly format: Format
  readonly destination: Destination
  readonly colors: Colors
  readonly stop: AbortSignal
  /** Called before every write, to hide the progress bar. */
  readonly beforeWrite: () => void
}

export function createOutput({ format, destination, colors, stop, beforeWrite }: OutputOptions): Output {
  const tableStyle = () => ({ colors, columns: destination.isTerminal ? destination.columns : undefined })

  async function write(text: string | Uint8Array): Promise<void> {
    stop.throwIfAborted()
    beforeWrite()
    await destination.write(text)
  }

  async function writeTable<Row extends object>(columns: readonly Column<Row>[], rows: Rows<Row>) {
    const table = new Table(columns)
    let block: Row[] = []
    let isFirst = true
    async function writeBlock() {
      await write((isFirst ? table.header(block, tableStyle()) : '') + table.lines(block, tableStyle()))
      block = []
      isFirst = false
    }
    for await (const row of rows) {
      block.push(row)
      if (block.length >= ROWS_PER_BLOCK) await writeBlock()
    }
    if (isFirst || block.length > 0) await writeBlock()
  }

  async function writeJson<Row extends object>(rows: Rows<Row>) {
    let isFirst = true
    for await (const row of rows) {
      await write(`${isFirst ? '[' : ','}\n  ${JSON.stringify(row)}`)
      isFirst = false
    }
    await write(isFirst ? '[]\n' : '\n]\n')
  }

  async function writeJsonLines<Row extends object>(rows: Rows<Row>) {
    for await (const row of rows) await write(`${JSON.stringify(row)}\n`)
  }

  async function writeYaml<Row extends object>(rows: Rows<Row>) {
    let isFirst = true
    for await (const row of rows) {
      await write(stringifyYaml([row], YAML_OPTIONS))
      isFirst = false
    }
    if (isFirst) await write('[]\n')
  }

  async function writeCsv<Row extends object>(columns: readonly Column<Row>[], rows: Rows<Row>) {
    await write(csvLine(columns.map(({ name }) => name)))
    for await (const row of rows) await write(csvLine(columns.map(({ cell }) => cell(row))))
  }

  async function writeRecord(fields: Readonly<Record<string, Cell>>) {
    switch (format) {
      case 'table':
        return await write(renderRecord(fields, colors))
      case 'json':
        return await write(`${JSON.stringify(fields, null, 2)}\n`)
      case 'jsonl':
        return await write(`${JSON.stringify(fields)}\n`)
      case 'yaml':
        return await write(stringifyYaml(fields, YAML_OPTIONS))
      case 'csv':
        return await write(csvLine(Object.keys(fields)) + csvLine(Object.values(fields)))
    }
  }

  return {
    format,
    isWhole: format === 'json' || format === 'jsonl' || format === 'yaml',
    isTerminal: destination.isTerminal,
    colors,
    async rows(columns, given, { columns: chosen, sort } = {}) {
      const rows = sort === undefined ? given : await sortRows(given, sort)
      const whole = () => wholeRows(rows, chosen)
      switch (format) {
        case 'table':
          return await writeTable(chosen ?? columns, rows)
        case 'json':
          return await writeJson(whole())
        case 'jsonl':
          return await writeJsonLines(whole())
        case 'yaml':
          return await writeYaml(whole())
        case 'csv':
          return await writeCsv(chosen ?? columns, rows)
      }
    },
    record: writeRecord,
    async secret(fields) {
      destination.protect()
      await writeRecord(fields)
    },
    async stream(columns, rows, line, { columns: chosen } = {}) {
      destination.writeDirectly()
      const whole = () => wholeRows(rows, chosen)
      switch (format) {
        case 'table':
          for await (const row of rows)
            await write(`${chosen === undefined ? line(row, colors) : rowLine(row, chosen)}\n`)
          return
        case 'json':
        case 'jsonl':
          return await writeJsonLines(whole())
        case 'yaml':
          for await (const row of whole()) await write(`---\n${stringifyYaml(row, YAML_OPTIONS)}`)
          return
        case 'csv':
          return await writeCsv(chosen ?? columns, rows)
      }
    },
    text: write,
  }
}

/** @param columns undefined: the rows as they are. */
async function* wholeRows<Row extends object>(
  rows: Rows<Row>,
  columns: readonly Column<Row>[] | undefined,
): AsyncGenerator<object> {
  for await (const row of rows) yield columns === undefined ? row : pickColumns(row, columns)
}

const YAML_OPTIONS = { lineWidth: 0 } as const

function csvLine(cells: readonly Cell[]): string {
  return csvLines([cells])
}
