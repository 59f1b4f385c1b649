import { Option } from 'commander'
import { isDeviceId } from '../../../shared/contract/device-id.ts'
import { MAX_LOOKUP_IDS, type Device } from '../../../shared/contract/api-schemas.ts'
import { examples, type Cli } from '../command.ts'
import { addRowOptions } from '../row-options.ts'
import type { RowChoice } from '../terminal/rows.ts'
import { batchesOf } from './batches.ts'
import { DEVICE_COLUMNS } from './device-columns.ts'
import type { Lookup } from '../sources/device-source.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { formatOfName, ID_FORMATS, readIds, type IdFormat } from './id-file.ts'
import { findInputFile, readInput, type InputFile } from '../sources/input-file.ts'
import { openDeviceSource } from '../sources/open-device-source.ts'
import type { Session } from '../session.ts'
import type { Column, Tone } from '../terminal/table.ts'
import { unavailableText } from './unavailable-devices.ts'

type BatchOptions = RowChoice<Row> & { readonly file: string; readonly input?: IdFormat }

/** `unknown`: missing, but the cache is still being filled. `unavailable`: a master of a Redis Cluster fails. */
type Status = 'found' | 'missing' | 'unknown' | 'unavailable' | 'corrupt' | 'invalid'
type Row = { readonly device_id: string; readonly status: Status } & Partial<Device>

const TONES: Readonly<Record<Status, Tone>> = {
  found: 'good',
  missing: 'warn',
  unknown: 'warn',
  unavailable: 'bad',
  corrupt: 'bad',
  invalid: 'bad',
}

const COLUMNS: readonly Column<Row>[] = [
  { name: 'device_id', cell: (row) => row.device_id },
  { name: 'status', cell: (row) => row.status, tone: (row) => TONES[row.status] },
  ...DEVICE_COLUMNS.slice(1).map(({ cell, isNumber = false, name }) => ({
    ...{ name, isNumber },
    cell: (row: Row) => (isDevice(row) ? cell(row) : null),
    tone: () => undefined,
  })),
]

export function registerBatchCommand({ program, perform }: Cli): void {
  addRowOptions(program.command('batch'), COLUMNS)
    .description('look up all ids in a file and print a row with the status of each')
    .requiredOption(
      '--file <file>',
      'file with ids: one per line, CSV (column device_id, or else the first) or JSON; - for stdin',
    )
    .addOption(
      new Option('--input <format>', 'format of the file, if it is not detected correctly').choices(
        ID_FORMATS,
      ),
    )
    .addHelpText(
      'after',
      `
Status: found, missing, unknown (missing while the cache is being filled), unavailable (a master of the Redis Cluster
fails), corrupt (the stored hash is invalid), invalid (not a valid device id).
${examples(
  ['cache-cli batch --file ids.txt', 'print a table'],
  ['cache-cli batch --file ids.csv --format csv --output devices.csv', 'read and write CSV'],
  ['cache-cli batch --file ids.txt --sort status', 'print the rows by their status'],
  ['cat ids.txt | cache-cli batch --file - --format json', 'read from a pipe'],
)}`,
    )
    .action((options: BatchOptions) => perform((session) => batch(session, options), 'api'))
}

async function batch(session: Session, options: BatchOptions): Promise<ExitCode> {
  const { file, input } = options
  const format = input ?? formatOfName(file)
  const idFile = await findInputFile(session, file, '--file')
  const total = await countIds(session, idFile, format)
  const batches = batchesOf(readIds(readInput(idFile, '--file'), format), MAX_LOOKUP_IDS)
  // What is wrong with a file is reported without a server. From a pipe the first ids may come much later.
  const first = idFile.isRegular ? await batches.next() : undefined
  const source = await openDeviceSource(session)
  const progress = session.progress('ids looked up', total)
  const counts = { total: 0, found: 0, unavailable: 0 }
  const reasons = new Set<string>()

  async function* rowsOf(ids: readonly string[]): AsyncGenerator<Row> {
    session.stop.throwIfAborted()
    const lookup = await source.lookup(ids)
    for (const reason of lookup.unavailable.values()) reasons.add(reason)
    for (const id of ids) {
      const row = rowOf(id, lookup)
      counts.total++
      if (row.status === 'found') counts.found++
      if (row.status === 'unavailable') counts.unavailable++
      yield row
    }
    progress.advance(ids.length)
  }
  async function* rows(): AsyncGenerator<Row> {
    if (first?.done === false) yield* rowsOf(first.value)
    for await (const ids of batches) yield* rowsOf(ids)
  }
  await session.output.rows(COLUMNS, rows(), options)
  progress.end()
  session.info(`${counts.found} of ${counts.total} found`)
  if (counts.unavailable > 0) {
    session.error(unavailableText(counts.unavailable, reasons))
    return EXIT.unreachable
  }
  return counts.found === counts.total ? EXIT.ok : EXIT.notFound
}

function rowOf(id: string, { corrupt, found, isComplete, unavailable }: Lookup): Row {
  const device = found.get(id)
  if (device !== undefined) {
    const { device_id, ...fields } = device
    return { device_id, status: 'found', ...fields }
  }
  if (!isDeviceId(id)) return { device_id: id, status: 'invalid' }
  if (unavailable.has(id)) return { device_id: id, status: 'unavailable' }
  if (corrupt.has(id)) return { device_id: id, status: 'corrupt' }
  return { device_id: id, status: isComplete ? 'missing' : 'unknown' }
}

function isDevice(row: Row): row is Row & Device {
  return row.status === 'found'
}

/** Counts the ids if a progress bar is shown. Reading a file twice is cheap compared to the lookups. */
async function countIds(
  session: Session,
  input: InputFile,
  format: IdFormat | undefined,
): Promise<number | undefined> {
  if (!input.isRegular || session.options.quiet === true || !session.context.stderr.isTerminal)
    return undefined
  let count = 0
  for await (const _ of readIds(readInput(input, '--file'), format)) count++
  return count
}
