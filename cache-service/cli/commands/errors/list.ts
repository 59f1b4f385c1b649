import type { Command } from 'commander'
import type { DeadLetterFilter } from '../../../core/dead-letters/filter.ts'
import type { StoredDeadLetter } from '../../../core/dead-letters/stored-dead-letter.ts'
import type { ScannedDeadLetters } from '../../../pipeline/replay/dead-letter-scan.ts'
import { examples, type Cli } from '../../command.ts'
import { wholeNumber } from '../../global-options.ts'
import {
  deadLetterRow,
  openDeadLetterTopic,
  readDeadLetters,
  reportForeignMessages,
  type DeadLetterTopic,
  type DeadLetterRow,
} from './dead-letters.ts'
import { addDeadLetterOptions, deadLetterFilter, type DeadLetterOptions } from './filter-options.ts'
import { addRowOptions } from '../../row-options.ts'
import type { RowChoice } from '../../terminal/rows.ts'
import type { Session } from '../../session.ts'
import type { Column } from '../../terminal/table.ts'

type ListOptions = DeadLetterOptions & RowChoice<DeadLetterRow> & { readonly limit: number }

const DEFAULT_LIMIT = 50

export function registerErrorsListCommand(errors: Command, { perform }: Cli): void {
  addRowOptions(addDeadLetterOptions(errors.command('list')), COLUMNS)
    .description('list dead letters, newest first')
    .option(
      '-n, --limit <count>',
      'maximum number of dead letters to show',
      wholeNumber(1, 100_000),
      DEFAULT_LIMIT,
    )
    .addHelpText(
      'after',
      examples(
        ['cache-cli errors list', 'list the newest fifty'],
        [
          'cache-cli errors list --since 2h --reason wrong_type',
          'list those of the last two hours with this reason',
        ],
        ['cache-cli errors list --device sensor-1 -f json', 'list those of one device, as JSON'],
      ),
    )
    .action((options: ListOptions) => perform((session) => list(session, options)))
}

async function list(session: Session, options: ListOptions): Promise<void> {
  const filter = deadLetterFilter(options, session.context.now())
  const deadLetterTopic = await openDeadLetterTopic(session)
  const { rows, scanned } = await readNewest(deadLetterTopic, filter, options.limit)
  await session.output.rows(COLUMNS, rows, options)
  reportForeignMessages(session, scanned)
  if (scanned.cut.length > 0) {
    session.info(`showing the newest ${options.limit}: use --limit for more, or errors stats to count all`)
  } else if (scanned.matching > options.limit) {
    session.info(`showing the newest ${options.limit} of ${scanned.matching}: use --limit for more`)
  }
}

const FIRST_OFFSETS = 256
const GROWTH = 8

/** Reads from the end of the topic, and only as far back as necessary: there may be millions. */
async function readNewest(
  deadLetterTopic: DeadLetterTopic,
  filter: DeadLetterFilter,
  limit: number,
): Promise<{ rows: DeadLetterRow[]; scanned: ScannedDeadLetters }> {
  for (let offsets = Math.max(FIRST_OFFSETS, 2 * limit); ; offsets *= GROWTH) {
    const newest = new Newest(limit)
    const oldest = new Map<number, string>()
    const visit = (deadLetter: StoredDeadLetter) => {
      const row = deadLetterRow(deadLetter)
      newest.add(row)
      if (!oldest.has(deadLetter.partition)) oldest.set(deadLetter.partition, row.written_at)
    }
    const scanned = await readDeadLetters(deadLetterTopic, filter, visit, offsets)
    const rows = newest.rows()
    const last = rows[limit - 1]?.written_at ?? ''
    // Unread dead letters of a partition are older than the oldest one that was read of it.
    const isOlder = (partition: number) => (oldest.get(partition) ?? '~') <= last
    if (scanned.cut.every(isOlder)) return { rows, scanned }
  }
}

/** Keeps the newest `limit` rows, and never holds more than twice as many. */
class Newest {
  readonly #limit: number
  #rows: DeadLetterRow[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  add(row: DeadLetterRow): void {
    this.#rows.push(row)
    if (this.#rows.length >= 2 * this.#limit) this.#rows = this.rows().toReversed()
  }

  /** Newest first; of two rows with the same time, the one that was added later. */
  rows(): DeadLetterRow[] {
    return this.#rows
      .toReversed()
      .toSorted((a, b) => (a.written_at < b.written_at ? 1 : a.written_at > b.written_at ? -1 : 0))
      .slice(0, this.#limit)
  }
}

/** The reason already has its own column. */
function withoutPrefix(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text
}

function sourceOf({ source_offset, source_partition }: DeadLetterRow): string {
  return `${source_partition}:${source_offset}`
}

/** Sorts 0:9 before 0:10. */
function placeOrder(place: string): string {
  return place
    .split(':')
    .map((number) => number.padStart(20, '0'))
    .join(':')
}

const COLUMNS: readonly Column<DeadLetterRow>[] = [
  { name: 'dead_letter', cell: (row) => row.dead_letter, order: (row) => placeOrder(row.dead_letter) },
  { name: 'written_at', cell: (row) => row.written_at },
  { name: 'reason', cell: (row) => row.reason, tone: () => 'bad' },
  { name: 'device_id', cell: (row) => row.device_id },
  { name: 'source', cell: sourceOf, order: (row) => placeOrder(sourceOf(row)) },
  { name: 'error', cell: ({ error, reason }) => withoutPrefix(error, `${reason}: `) },
]
