import { InvalidArgumentError } from 'commander'
import { parseEventTime } from '../../core/event-time.ts'
import { changedDevice, explainChange, explainRecord } from '../../core/records/explain.ts'
import type { SourceRecord } from '../../core/records/source-record.ts'
import { readStoredHash } from '../../redis/devices/stored-hash.ts'
import { CliError, usageError } from '../cli-error.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { batchesOf } from './batches.ts'
import {
  explanationRow,
  isInvalid,
  renderExplanation,
  type ExplainedRecord,
  type ExplanationRow,
} from './explanation-view.ts'
import { splitRecords } from './record-file.ts'
import { wholeNumber } from '../global-options.ts'
import { addRowOptions, choosesRows } from '../row-options.ts'
import type { RowChoice } from '../terminal/rows.ts'
import type { Session } from '../session.ts'
import { findInputFile, readInput, type InputFile } from '../sources/input-file.ts'
import { openTopics } from '../sources/topic-access.ts'
import type { Output } from '../terminal/output.ts'
import type { Column } from '../terminal/table.ts'

type ExplainOptions = RowChoice<ExplanationRow> & {
  readonly partition?: number
  readonly offset?: number
  readonly key?: string
  readonly timestamp?: number
  readonly tombstone?: true
  /** false: `--no-redis`. */
  readonly redis: boolean
}

const MAIN_FIELDS = [
  ...(['record', 'verdict', 'reason', 'detail'] as const),
  ...(['device_id', 'last_updated', 'expires_at', 'outcome'] as const),
] as const
const OTHER_FIELDS = [
  ...(['timestamp', 'record_time', 'record_time_is_now', 'clamped', 'deletes_up_to'] as const),
  ...(['planned', 'present', 'present_expires_at'] as const),
] as const

const columnOf = (name: keyof ExplanationRow): Column<ExplanationRow> => ({ name, cell: (row) => row[name] })
const COLUMNS = MAIN_FIELDS.map(columnOf)
const ALL_COLUMNS = [...COLUMNS, ...OTHER_FIELDS.map(columnOf)]

export function registerExplainCommand({ program, perform }: Cli): void {
  addRowOptions(program.command('explain'), ALL_COLUMNS)
    .description(
      'explain what happens to a record and why: its verdict, its hash, and what would change in Redis',
    )
    .argument(
      '[file]',
      'records, one per line or as JSON over several lines; - for stdin (the default, unless --offset is given)',
    )
    .option('--partition <number>', 'partition of a record in the topic, with --offset', wholeNumber(0))
    .option('--offset <number>', 'offset of that record', wholeNumber(0))
    .option('--key <text>', 'Kafka key of the record in the file')
    .option(
      '--timestamp <time>',
      'Kafka timestamp of the record in the file: ISO 8601, or ms since 1970',
      parseMs,
    )
    .option('--tombstone', 'explain a tombstone (null value) for the device given by --key')
    .option('--no-redis', 'do not compare with Redis')
    .addHelpText(
      'after',
      examples(
        ['cache-cli explain --partition 3 --offset 1042', 'explain a record of the topic'],
        ['cache-cli explain record.json', 'explain a record in a file'],
        [
          'cache-cli errors show 0:17 --original | cache-cli explain -',
          'explain the record of a dead letter',
        ],
        ['cache-cli explain records.jsonl --no-redis -f csv', 'explain many records without Redis'],
      ),
    )
    .action((file: string | undefined, options: ExplainOptions) =>
      perform((session) => explain(session, file, options)),
    )
}

/** Records that are compared with Redis at the same time. */
const RECORDS_PER_READ = 500

async function explain(
  session: Session,
  file: string | undefined,
  options: ExplainOptions,
): Promise<ExitCode> {
  assertUsage(session, file, options)
  const input = isFromInput(options) ? await findInputFile(session, file ?? '-', 'the file name') : undefined
  const settings = session.config.cache
  const progress = session.progress('records explained')
  const counts = { all: 0, invalid: 0 }

  async function explainOne({ place, record }: PlacedRecord): Promise<ExplainedRecord> {
    const nowMs = session.context.now()
    const explanation = explainRecord(record, nowMs, settings)
    if (!options.redis) return { place, explanation, stored: undefined, change: undefined }
    const deviceId = changedDevice(explanation)
    // Only a record that could change a device needs Redis: an input without one is explained without it.
    const stored =
      deviceId === undefined
        ? ({ kind: 'absent' } as const)
        : await readStoredHash(await session.redis(), deviceId, nowMs)
    return { place, explanation, stored, change: explainChange(explanation, stored) }
  }
  async function* explained(): AsyncGenerator<ExplainedRecord> {
    for await (const records of batchesOf(readRecords(session, input, options), RECORDS_PER_READ)) {
      session.stop.throwIfAborted()
      for (const one of await Promise.all(records.map(explainOne))) {
        counts.all++
        if (isInvalid(one)) counts.invalid++
        yield one
      }
      progress.advance(records.length)
    }
  }
  await print(session.output, explained(), options)
  progress.end()
  if (counts.all === 0) throw usageError('no record to explain: the input is empty')
  if (counts.all > 1) session.info(`${counts.invalid} of ${counts.all} records are invalid`)
  return counts.invalid === 0 ? EXIT.ok : EXIT.invalid
}

function isFromInput({ offset, tombstone }: ExplainOptions): boolean {
  return offset === undefined && tombstone !== true
}

function assertUsage({ context }: Session, file: string | undefined, options: ExplainOptions): void {
  const { key, offset, partition, timestamp, tombstone } = options
  if ((offset === undefined) !== (partition === undefined)) {
    throw usageError('--partition and --offset must be used together')
  }
  if (offset !== undefined && file !== undefined) {
    throw usageError('use either a file or --partition and --offset, not both')
  }
  if (offset !== undefined && (key !== undefined || timestamp !== undefined || tombstone === true)) {
    throw usageError('--key, --timestamp and --tombstone are not for a record of the topic: omit them')
  }
  if (tombstone === true && file !== undefined) throw usageError('a tombstone has no value: omit the file')
  if (tombstone === true && key === undefined) {
    throw usageError('--tombstone needs --key: the key of a tombstone is the id of its device')
  }
  if (isFromInput(options) && file === undefined && context.stdin.isTerminal) {
    throw usageError(
      'name a file, or --partition and --offset; with - you can type a record and end it with Ctrl-D',
    )
  }
}

/** A single record is printed as one object, several as a list. */
async function print(
  output: Output,
  explained: AsyncGenerator<ExplainedRecord>,
  choice: RowChoice<ExplanationRow>,
): Promise<void> {
  if (choosesRows(choice)) return await output.rows(COLUMNS, rowsOf(explained), choice)
  if (output.format === 'table') {
    let isFirst = true
    for await (const one of explained) {
      await output.text(`${isFirst ? '' : '\n'}${renderExplanation(one, output.colors)}`)
      isFirst = false
    }
    return
  }
  const first = await explained.next()
  if (first.done === true) return
  const second = await explained.next()
  if (second.done === true && output.format !== 'csv') return await output.record(explanationRow(first.value))
  async function* rows() {
    yield explanationRow(first.value)
    if (second.done !== true) yield explanationRow(second.value)
    yield* rowsOf(explained)
  }
  await output.rows(COLUMNS, rows())
}

async function* rowsOf(explained: AsyncIterable<ExplainedRecord>): AsyncGenerator<ExplanationRow> {
  for await (const one of explained) yield explanationRow(one)
}

type PlacedRecord = { readonly place: string; readonly record: SourceRecord }

async function* readRecords(
  session: Session,
  input: InputFile | undefined,
  options: ExplainOptions,
): AsyncGenerator<PlacedRecord> {
  const { offset, partition } = options
  if (offset !== undefined && partition !== undefined) {
    yield await readFromTopic(session, partition, offset)
    return
  }
  const timestampMs = options.timestamp ?? session.context.now()
  const key = options.key === undefined ? null : Buffer.from(options.key)
  const recordOf = (value: Buffer | null, line: number): PlacedRecord => ({
    place: String(line),
    record: { offset: line, timestampMs, key, value },
  })
  if (input === undefined) {
    yield recordOf(null, 1)
    return
  }
  session.log.debug('reading the input')
  const hints = new Set<string>()
  for await (const { hint, line, value } of splitRecords(readInput(input, 'the file name'))) {
    // Each once: they are about the file.
    if (hint !== undefined && !hints.has(hint)) session.warn(`record ${line}: ${hint}`)
    if (hint !== undefined) hints.add(hint)
    yield recordOf(value, line)
  }
}

async function readFromTopic(session: Session, partition: number, offset: number): Promise<PlacedRecord> {
  const topic = session.config.kafka.validatedDataTopic
  const finder = (await openTopics(session)).finder(topic, 'record')
  const [found] = await finder.find([{ partition, offset }], session.stop)
  if (found?.kind !== 'found') throw new CliError(EXIT.notFound, found?.reason ?? 'the record was not found')
  return { place: `${partition}:${offset}`, record: found.record }
}

function parseMs(text: string): number {
  const ms = /^\d{1,15}$/.test(text) ? Number(text) : parseEventTime(text)?.ms
  if (ms === undefined) throw new InvalidArgumentError('It must be ISO 8601, or milliseconds since 1970.')
  return ms
}
