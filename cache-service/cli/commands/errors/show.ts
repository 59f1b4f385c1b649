import { Argument, InvalidArgumentError, type Command } from 'commander'
import { decodeJson } from '../../../core/decode-json.ts'
import { parseDeadLetter, type StoredDeadLetter } from '../../../core/dead-letters/stored-dead-letter.ts'
import { createReplayLedger } from '../../../redis/workers/replay-ledger.ts'
import { CliError } from '../../cli-error.ts'
import { examples, type Cli } from '../../command.ts'
import { EXIT } from '../../exit-codes.ts'
import { deadLetterRow, openDeadLetterTopic, type DeadLetterTopic } from './dead-letters.ts'
import type { Coordinates } from '../../../core/records/coordinates.ts'
import type { Session } from '../../session.ts'

type ShowOptions = { readonly original?: true }

const LINE_BREAK = Buffer.from('\n')

export function registerErrorsShowCommand(errors: Command, { perform }: Cli): void {
  errors
    .command('show')
    .description('show a dead letter and its record')
    .addArgument(
      new Argument(
        '<partition:offset>',
        'coordinates of the dead letter, as errors list shows them',
      ).argParser(parseCoordinates),
    )
    .option('--original', 'print only the record: its original bytes and a line break')
    .addHelpText(
      'after',
      examples(
        ['cache-cli errors show 0:17', 'show everything about this dead letter'],
        [
          'cache-cli errors show 0:17 --original | cache-cli explain -',
          'explain what would happen to its record now',
        ],
      ),
    )
    .action((coordinates: Coordinates, options: ShowOptions) =>
      perform((session) => show(session, coordinates, options)),
    )
}

async function show(session: Session, coordinates: Coordinates, options: ShowOptions): Promise<void> {
  const deadLetterTopic = await openDeadLetterTopic(session)
  const deadLetter = await findDeadLetter(session, deadLetterTopic, coordinates)
  const original = await readOriginal(session, deadLetterTopic, deadLetter)
  if (options.original === true) {
    if (original.value === undefined)
      throw new CliError(EXIT.notFound, `the record no longer exists: ${original.from}`)
    if (original.value === null)
      throw new CliError(EXIT.failure, 'the record is a tombstone: it has no value')
    // As bytes: the record may be a dead letter because it is not text.
    return await session.output.text(Buffer.concat([original.value, LINE_BREAK]))
  }
  const row = deadLetterRow(deadLetter)
  const { bytes, ...shown } = shownValue(original.value)
  await session.output.record({
    ...row,
    service_version: deadLetter.serviceVersion,
    source_time: timeOf(deadLetter.source.timestampMs),
    key: deadLetter.key?.toString('utf8') ?? null,
    replayed: await replayedState(session, deadLetterTopic, coordinates),
    original_from: original.from,
    original_bytes: bytes,
    ...shown,
  })
}

/** @throws CliError (not found) */
async function findDeadLetter(
  session: Session,
  { errorTopic, scan }: DeadLetterTopic,
  coordinates: Coordinates,
) {
  let found: StoredDeadLetter | undefined
  let isForeign = false
  const { partition, offset } = coordinates
  const bounds = (await scan.bounds.read(errorTopic)).find((one) => one.partition === partition)
  const where = `${errorTopic} ${partition}:${offset}`
  if (bounds === undefined) throw new CliError(EXIT.notFound, `${errorTopic} has no partition ${partition}`)
  if (offset < bounds.earliest || offset >= bounds.end) {
    const held =
      bounds.earliest === bounds.end
        ? 'the partition is empty'
        : `the partition holds ${bounds.earliest} to ${bounds.end - 1}`
    throw new CliError(EXIT.notFound, `there is no dead letter ${where}: ${held}`)
  }
  await scan.reader.read(
    [{ partition, from: offset, to: offset + 1 }],
    async (record) => {
      const parsed = parseDeadLetter(record, partition)
      if (parsed.kind === 'dead_letter') found = parsed.deadLetter
      else isForeign = true
    },
    { stop: session.stop },
  )
  if (isForeign)
    throw new CliError(EXIT.notFound, `the message ${where} is not a dead letter of this service`)
  if (found === undefined) throw new CliError(EXIT.notFound, `there is no dead letter ${where}`)
  return found
}

type Original = {
  /** null: a tombstone; undefined: it no longer exists. */
  readonly value: Buffer | null | undefined
  /** Where it was found, or why it was not found. */
  readonly from: string
}

async function readOriginal(
  session: Session,
  deadLetterTopic: DeadLetterTopic,
  deadLetter: StoredDeadLetter,
): Promise<Original> {
  const { original, source } = deadLetter
  if (original.kind === 'bytes') return { value: original.bytes, from: 'the dead letter' }
  if (original.kind === 'tombstone') return { value: null, from: 'the dead letter' }
  const [answer] = await deadLetterTopic.topics.finder(source.topic, 'record').find([source], session.stop)
  return answer?.kind === 'found'
    ? { value: answer.record.value, from: 'its topic, because it was too large for the dead letter' }
    : { value: undefined, from: answer?.reason ?? 'it was not found' }
}

function shownValue(value: Buffer | null | undefined) {
  if (value === undefined || value === null) return { bytes: null, original: null }
  const decoded = decodeJson(value)
  switch (decoded.kind) {
    case 'json':
      return {
        bytes: value.length,
        original: typeof decoded.json === 'object' ? decoded.json : value.toString('utf8'),
      }
    case 'not_json':
      return { bytes: value.length, original: value.toString('utf8') }
    case 'not_utf8':
      return { bytes: value.length, original_base64: value.toString('base64') }
  }
}

/** Does not fail if Redis can't be reached: the rest of the output does not need Redis. */
async function replayedState(
  session: Session,
  { errorTopic }: DeadLetterTopic,
  coordinates: Coordinates,
): Promise<string> {
  try {
    const [state] = await createReplayLedger(await session.redis(), errorTopic, undefined).look([coordinates])
    return state === 'confirmed' ? 'yes' : state === 'claimed' ? 'started, but not confirmed' : 'no'
  } catch {
    return 'unknown: Redis does not answer'
  }
}

/** The last instant that Date can hold. */
const LAST_DATE_MS = 8.64e15

/** null: the record had no timestamp. */
function timeOf(ms: number): string | null {
  return ms > 0 && ms <= LAST_DATE_MS ? new Date(ms).toISOString() : null
}

function parseCoordinates(text: string): Coordinates {
  const [, partition, offset] = /^(\d{1,9}):(\d{1,15})$/.exec(text) ?? []
  if (partition === undefined || offset === undefined) {
    throw new InvalidArgumentError('It must be a partition and an offset, such as 0:17.')
  }
  return { partition: Number(partition), offset: Number(offset) }
}
