import { parseJson } from '../../../shared/json.ts'
import { parse as parseCsv } from 'csv-parse'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { z } from 'zod'
import { messageOf } from '../../../shared/errors.ts'
import { usageError } from '../cli-error.ts'

export const ID_FORMATS = ['lines', 'csv', 'json'] as const
export type IdFormat = (typeof ID_FORMATS)[number]

const ID_FIELD = 'device_id'
const jsonId = z.union([z.string(), z.object({ device_id: z.string() }).transform((row) => row.device_id)])
const jsonIds = z.union([z.array(jsonId), z.object({ ids: z.array(z.string()) }).transform(({ ids }) => ids)])

/** The format according to the file extension; undefined: not known. */
export function formatOfName(path: string): IdFormat | undefined {
  const end = /\.(\w+)$/.exec(path)?.[1]?.toLowerCase()
  if (end === 'csv') return 'csv'
  if (end === 'json' || end === 'jsonl' || end === 'ndjson') return 'json'
  return end === 'txt' ? 'lines' : undefined
}

/**
 * Streams the ids in a file of any size (json is held in memory).
 *
 * lines  one id per line, trimmed
 * csv    the column with the header `device_id`, or the first column if there is no such header
 * json   a list of ids or of objects with a `device_id`, `{"ids": […]}`, or one id or object per line
 *
 * @param format undefined: detected from the beginning of the file.
 * @throws CliError (usage) if the file has another format
 */
export async function* readIds(input: Readable, format: IdFormat | undefined): AsyncGenerator<string> {
  const chunks: AsyncIterator<Buffer> = input[Symbol.asyncIterator]()
  const first = await chunks.next()
  if (first.done === true) return
  const text = Readable.from(chain(first.value, chunks))
  switch (format ?? formatOfStart(String(first.value))) {
    case 'lines':
      return yield* lineIds(text)
    case 'csv':
      return yield* csvIds(text)
    case 'json':
      return yield* jsonIdsOf(await readAll(text))
  }
}

function formatOfStart(start: string): IdFormat {
  const [firstLine = ''] = start.trimStart().split(/\r?\n/, 1)
  if (/^\uFEFF?[[{"]/.test(firstLine)) return 'json'
  return firstLine.split(/[,;]/).some((cell) => cell.trim() === ID_FIELD) ? 'csv' : 'lines'
}

async function* lineIds(input: Readable): AsyncGenerator<string> {
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    const id = withoutMark(line).trim()
    if (id !== '') yield id
  }
}

async function* csvIds(input: Readable): AsyncGenerator<string> {
  const parser = parseCsv({ bom: true, relax_column_count: true, skip_empty_lines: true, trim: true })
  input.once('error', (error) => parser.destroy(error))
  let column: number | undefined
  try {
    for await (const row of input.pipe(parser)) {
      const cells: string[] = Array.isArray(row) ? row.map(String) : []
      if (column === undefined) {
        column = Math.max(0, cells.indexOf(ID_FIELD))
        if (cells[column] === ID_FIELD) continue
      }
      const id = cells[column] ?? ''
      if (id !== '') yield id
    }
  } catch (error) {
    throw usageError(`the id file is not valid CSV (${messageOf(error)}): check --file, or set --input`)
  }
}

function jsonIdsOf(text: string): readonly string[] {
  const whole = jsonIds.safeParse(parseJson(withoutMark(text)))
  if (whole.success) return whole.data
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  return lines.map((line, i) => {
    const id = jsonId.safeParse(parseJson(withoutMark(line)))
    if (id.success) return id.data
    const where = lines.length === 1 ? '' : ` (line ${i + 1})`
    throw usageError(
      `the id file must be a JSON list of ids or of objects with a ${ID_FIELD}${where}: check --file, or set --input`,
    )
  })
}

/** Without a byte order mark. */
function withoutMark(text: string): string {
  return text.replace(/^\uFEFF/, '')
}

async function* chain(first: Buffer, others: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first
  for (let next = await others.next(); next.done !== true; next = await others.next()) yield next.value
}

async function readAll(input: Readable): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of input) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}
