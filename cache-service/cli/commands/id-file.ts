import { parseJson } from '../../../shared/json.ts'
import { parse as parseCsv } from 'csv-parse'
import { Readable } from 'node:stream'
import { z } from 'zod'
import { messageOf } from '../../../shared/errors.ts'
import { CliError, usageError } from '../cli-error.ts'

export const ID_FORMATS = ['lines', 'csv', 'json'] as const
export type IdFormat = (typeof ID_FORMATS)[number]

const ID_FIELD = 'device_id'
const DELIMITERS = [',', ';', '\t'] as const
const MAX_LINE_CHARACTERS = 1_000_000
/** Enough to recognize the encoding. */
const BYTES_OF_MARK = 2
const jsonId = z.union([z.string(), z.object({ device_id: z.string() }).transform((row) => row.device_id)])
const jsonIds = z.union([z.array(jsonId), z.object({ ids: z.array(z.string()) }).transform(({ ids }) => ids)])

/** The format according to the file extension; undefined: the content decides. */
export function formatOfName(path: string): IdFormat | undefined {
  const end = /\.(\w+)$/.exec(path)?.[1]?.toLowerCase()
  if (end === 'csv' || end === 'tsv') return 'csv'
  return end === 'json' || end === 'jsonl' || end === 'ndjson' ? 'json' : undefined
}

/**
 * Streams the ids in a file of any size (json is held in memory). The file is UTF-8 or UTF-16.
 *
 * lines  one id per line, trimmed
 * csv    separated by comma, semicolon or tab: the column with the header `device_id`, or the first column if there
 *        is no such header
 * json   a list of ids or of objects with a `device_id`, `{"ids": […]}`, or one id or object per line
 *
 * @param format undefined: detected from the first line.
 * @throws CliError (usage) if the file has another format
 */
export async function* readIds(
  bytes: AsyncIterable<Buffer>,
  format: IdFormat | undefined,
): AsyncGenerator<string> {
  const pieces = textOf(bytes)
  const start = await readFirstLine(pieces)
  const [firstLine = ''] = start.trimStart().split(/[\r\n]/, 1)
  const text = chain(start, pieces)
  switch (format ?? formatOfLine(firstLine)) {
    case 'lines':
      return yield* lineIds(text)
    case 'csv':
      return yield* csvIds(text, delimiterOf(firstLine))
    case 'json':
      return yield* jsonIdsOf(await readAll(text))
  }
}

function formatOfLine(line: string): IdFormat {
  if (headerDelimiter(line) !== undefined) return 'csv'
  if (/^[[{]/.test(line)) return 'json'
  // A quoted cell, or a JSON string.
  if (line.startsWith('"')) return parseJson(line) === undefined ? 'csv' : 'json'
  return 'lines'
}

/** undefined: the line is no header with a `device_id`. */
function headerDelimiter(line: string): string | undefined {
  return DELIMITERS.find((delimiter) => line.split(delimiter).some((cell) => isIdHeader(cell)))
}

/** Spreadsheets of many countries write semicolons. Without a header, the most frequent one counts. */
function delimiterOf(line: string): string {
  const outsideQuotes = line.replaceAll(/"(?:[^"]|"")*"/g, '')
  const byCount = DELIMITERS.toSorted((a, b) => outsideQuotes.split(b).length - outsideQuotes.split(a).length)
  return headerDelimiter(line) ?? byCount[0] ?? ','
}

function isIdHeader(cell: string): boolean {
  return (
    cell
      .trim()
      .replace(/^"(.*)"$/, '$1')
      .toLowerCase() === ID_FIELD
  )
}

async function* lineIds(text: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = ''
  for await (const piece of text) {
    const lines = (rest + piece).split(/[\r\n]/)
    rest = lines.pop() ?? ''
    if (rest.length > MAX_LINE_CHARACTERS)
      throw usageError('the id file has a line of more than a million characters: check --file')
    for (const line of lines) if (line.trim() !== '') yield line.trim()
  }
  if (rest.trim() !== '') yield rest.trim()
}

async function* csvIds(text: AsyncIterable<string>, delimiter: string): AsyncGenerator<string> {
  const parser = parseCsv({
    delimiter,
    relax_column_count: true,
    skip_empty_lines: true,
    trim: true,
    max_record_size: MAX_LINE_CHARACTERS,
  })
  const input = Readable.from(text)
  input.once('error', (error) => parser.destroy(error))
  let column: number | undefined
  try {
    for await (const row of input.pipe(parser)) {
      const cells: string[] = Array.isArray(row) ? row.map(String) : []
      if (column === undefined) {
        const header = cells.findIndex((cell) => isIdHeader(cell))
        column = Math.max(0, header)
        if (header !== -1) continue
      }
      const id = cells[column] ?? ''
      if (id !== '') yield id
    }
  } catch (error) {
    if (error instanceof CliError) throw error
    throw usageError(`the id file is not valid CSV (${messageOf(error)}): check --file, or set --input`)
  }
}

function jsonIdsOf(text: string): readonly string[] {
  const whole = jsonIds.safeParse(parseJson(text))
  if (whole.success) return whole.data
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  return lines.map((line, i) => {
    const id = jsonId.safeParse(parseJson(line))
    if (id.success) return id.data
    const where = lines.length === 1 ? '' : ` (line ${i + 1})`
    throw usageError(
      `the id file must be a JSON list of ids or of objects with a ${ID_FIELD}${where}: check --file, or set --input`,
    )
  })
}

/** Decodes UTF-8, or UTF-16 as spreadsheets and PowerShell write it, and omits a byte order mark. */
async function* textOf(bytes: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let decoder: InstanceType<typeof TextDecoder> | undefined
  let start: Uint8Array = Buffer.alloc(0)
  try {
    for await (const chunk of bytes) {
      if (decoder !== undefined) {
        yield decoder.decode(chunk, { stream: true })
        continue
      }
      start = Buffer.concat([start, chunk])
      if (start.length < BYTES_OF_MARK) continue
      decoder = new TextDecoder(encodingOf(start), { fatal: true })
      yield decoder.decode(start, { stream: true })
    }
    yield decoder === undefined ? new TextDecoder('utf-8', { fatal: true }).decode(start) : decoder.decode()
  } catch (error) {
    if (error instanceof CliError) throw error
    throw usageError(
      'the id file is neither UTF-8 nor UTF-16: check --file, or convert it (iconv -f WINDOWS-1252 -t UTF-8)',
    )
  }
}

function encodingOf([first, second]: Uint8Array): string {
  const isLittle = (first === 0xff && second === 0xfe) || (first !== 0 && second === 0)
  if (isLittle) return 'utf-16le'
  return (first === 0xfe && second === 0xff) || (first === 0 && second !== 0) ? 'utf-16be' : 'utf-8'
}

/** @returns at least the first line that is not empty, if there is one. */
async function readFirstLine(pieces: AsyncGenerator<string>): Promise<string> {
  let start = ''
  while (start.length < MAX_LINE_CHARACTERS && !/\S.*[\r\n]/.test(start)) {
    const next = await pieces.next()
    if (next.done === true) break
    start += next.value
  }
  return start
}

async function readAll(text: AsyncIterable<string>): Promise<string> {
  const pieces: string[] = []
  for await (const piece of text) pieces.push(piece)
  return pieces.join('')
}

async function* chain(start: string, others: AsyncIterable<string>): AsyncGenerator<string> {
  yield start
  yield* others
}
