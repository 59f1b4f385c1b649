import type { Command } from 'commander'
import { examples, type Cli } from './cli.ts'
import { wholeNumber } from './global-options.ts'
import { letterRow, openLetterBox, readLetters, sayForeign, type LetterRow } from './letter-box.ts'
import { addLetterOptions, letterFilter, type LetterOptions } from './letter-options.ts'
import type { Session } from './session.ts'
import type { Column } from './table.ts'

type ListOptions = LetterOptions & { readonly limit: number }

const DEFAULT_LIMIT = 50

export function registerErrorsListCommand(errors: Command, { perform }: Cli): void {
  addLetterOptions(errors.command('list'))
    .description('the newest dead letters, newest first')
    .option('-n, --limit <count>', 'at most so many', wholeNumber(1, 100_000), DEFAULT_LIMIT)
    .addHelpText(
      'after',
      examples(
        ['cache-cli errors list', 'the newest fifty'],
        ['cache-cli errors list --since 2h --reason wrong_type', 'of the last two hours, with this reason'],
        ['cache-cli errors list --device sensor-1 -f json', 'all that is known of one device'],
      ),
    )
    .action((options: ListOptions) => perform((session) => list(session, options)))
}

async function list(session: Session, options: ListOptions): Promise<void> {
  const filter = letterFilter(options, session.context.now())
  const box = await openLetterBox(session)
  const newest = new Newest(options.limit)
  const scanned = await readLetters(box, filter, (letter) => newest.add(letterRow(letter)))
  await session.output.rows(COLUMNS, newest.rows())
  sayForeign(session, scanned)
  if (scanned.matching > options.limit) {
    session.say(`the newest ${options.limit} of ${scanned.matching}: --limit shows more`)
  }
}

/** Keeps the newest rows, and never more than twice as many. */
class Newest {
  readonly #limit: number
  #rows: LetterRow[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  add(row: LetterRow): void {
    this.#rows.push(row)
    if (this.#rows.length >= 2 * this.#limit) this.#rows = this.rows()
  }

  rows(): LetterRow[] {
    return this.#rows
      .toSorted((a, b) => (a.written_at < b.written_at ? 1 : a.written_at > b.written_at ? -1 : 0))
      .slice(0, this.#limit)
  }
}

/** The reason has a column of its own. */
function withoutPrefix(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text
}

const COLUMNS: readonly Column<LetterRow>[] = [
  { name: 'letter', cell: (row) => row.letter },
  { name: 'written_at', cell: (row) => row.written_at },
  { name: 'reason', cell: (row) => row.reason, tone: () => 'bad' },
  { name: 'device_id', cell: (row) => row.device_id },
  { name: 'source', cell: (row) => `${row.source_partition}:${row.source_offset}` },
  { name: 'error', cell: ({ error, reason }) => withoutPrefix(error, `${reason}: `) },
]
