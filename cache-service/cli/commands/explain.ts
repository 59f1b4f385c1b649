import { readFile } from 'node:fs/promises'
import { InvalidArgumentError } from 'commander'
import { messageOf } from '../../../shared/errors.ts'
import { decodeJson } from '../../core/decode-json.ts'
import { parseEventTime } from '../../core/event-time.ts'
import { changedDevice, explainChange, explainRecord } from '../../core/records/explain.ts'
import type { SourceRecord } from '../../core/records/source-record.ts'
import { readStoredHash } from '../../redis/devices/stored-hash.ts'
import { CliError, usageError } from '../cli-error.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { explanationRow, renderExplanation, type ExplainedRecord } from './explanation-view.ts'
import { wholeNumber } from '../global-options.ts'
import type { Session } from '../session.ts'
import { openTopics } from '../sources/topic-access.ts'

type ExplainOptions = {
  readonly partition?: number
  readonly offset?: number
  readonly key?: string
  readonly timestamp?: number
  readonly tombstone?: true
  /** false: `--no-redis`. */
  readonly redis: boolean
}

export function registerExplainCommand({ program, perform }: Cli): void {
  program
    .command('explain')
    .description(
      'explain what happens to a record and why: its verdict, its hash, and what would change in Redis',
    )
    .argument('[file]', 'one record, or one per line; - for stdin (the default, unless --offset is given)')
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

async function explain(session: Session, file: string | undefined, options: ExplainOptions): Promise<void> {
  const records = await readRecords(session, file, options)
  const redis = options.redis ? await session.redis() : undefined
  const settings = session.config.cache
  const explained = records.map(async ({ place, record }): Promise<ExplainedRecord> => {
    const nowMs = session.context.now()
    const explanation = explainRecord(record, nowMs, settings)
    const deviceId = changedDevice(explanation)
    if (redis === undefined) return { place, explanation, stored: undefined, change: undefined }
    const stored =
      deviceId === undefined ? ({ kind: 'absent' } as const) : await readStoredHash(redis, deviceId, nowMs)
    return { place, explanation, stored, change: explainChange(explanation, stored) }
  })
  const { output } = session
  const all = await Promise.all(explained)
  const [only] = all
  if (output.format === 'table') {
    for (const [i, one] of all.entries()) {
      if (i > 0) await output.text('\n')
      await output.text(renderExplanation(one, output.colors))
    }
  } else if (all.length === 1 && only !== undefined && output.format !== 'csv') {
    await output.record(explanationRow(only))
  } else {
    const rows = all.map(explanationRow)
    const names = [
      'record',
      'verdict',
      'reason',
      'detail',
      'device_id',
      'last_updated',
      'expires_at',
      'outcome',
    ] as const
    await output.rows(
      names.map((name) => ({ name, cell: (row: (typeof rows)[number]) => row[name] })),
      rows,
    )
  }
}

type PlacedRecord = { readonly place: string; readonly record: SourceRecord }

async function readRecords(
  session: Session,
  file: string | undefined,
  options: ExplainOptions,
): Promise<PlacedRecord[]> {
  const { offset, partition } = options
  if ((offset === undefined) !== (partition === undefined)) {
    throw usageError('--partition and --offset must be used together')
  }
  if (offset !== undefined && partition !== undefined) {
    if (file !== undefined) throw usageError('use either a file or --partition and --offset, not both')
    return [await readFromTopic(session, partition, offset)]
  }
  const timestampMs = options.timestamp ?? session.context.now()
  const key = options.key === undefined ? null : Buffer.from(options.key)
  const recordOf = (value: Buffer | null, line: number): PlacedRecord => ({
    place: String(line),
    record: { offset: line, timestampMs, key, value },
  })
  if (options.tombstone === true) return [recordOf(null, 1)]
  const bytes = await readBytes(session, file)
  const lines = splitRecords(bytes)
  if (lines.length === 0) throw usageError('no record to explain: the input is empty')
  return lines.map(({ line, value }) => recordOf(value, line))
}

async function readFromTopic(session: Session, partition: number, offset: number): Promise<PlacedRecord> {
  const topic = session.config.kafka.validatedDataTopic
  const finder = (await openTopics(session)).finder(topic, 'record')
  const [found] = await finder.find([{ partition, offset }], session.stop)
  if (found?.kind !== 'found') throw new CliError(EXIT.notFound, found?.reason ?? 'the record was not found')
  return { place: `${partition}:${offset}`, record: found.record }
}

async function readBytes({ context, stop }: Session, file: string | undefined): Promise<Buffer> {
  if (file !== undefined && file !== '-') {
    try {
      // Read as bytes: the record may not be UTF-8.
      return await readFile(file)
    } catch (error) {
      throw usageError(`the file can't be read: ${messageOf(error)}`)
    }
  }
  if (file === undefined && context.stdin.isTerminal) {
    throw usageError(
      'name a file, or --partition and --offset; with - you can type a record and end it with Ctrl-D',
    )
  }
  const chunks: Buffer[] = []
  for await (const chunk of context.stdin.stream) {
    stop.throwIfAborted()
    chunks.push(Buffer.from(chunk))
  }
  return Buffer.concat(chunks)
}

const NEWLINE = 0x0a
const CARRIAGE_RETURN = 0x0d

/** Input that is one JSON document is one record; otherwise each non-empty line is a record. */
function splitRecords(bytes: Buffer): { line: number; value: Buffer }[] {
  if (bytes.length > 0 && decodeJson(bytes).kind === 'json') return [{ line: 1, value: bytes }]
  const lines: { line: number; value: Buffer }[] = []
  for (let from = 0, line = 1; from < bytes.length; line++) {
    const found = bytes.indexOf(NEWLINE, from)
    const end = found === -1 ? bytes.length : found
    const value = bytes.subarray(from, bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end)
    if (value.length > 0) lines.push({ line, value })
    from = end + 1
  }
  return lines
}

function parseMs(text: string): number {
  const ms = /^\d{1,15}$/.test(text) ? Number(text) : parseEventTime(text)?.ms
  if (ms === undefined) throw new InvalidArgumentError('It must be ISO 8601, or milliseconds since 1970.')
  return ms
}
