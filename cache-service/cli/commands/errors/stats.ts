import type { Command } from 'commander'
import { DeadLetterCounter, type DeadLetterCount } from '../../../core/dead-letters/stats.ts'
import { examples, type Cli } from '../../command.ts'
import { wholeNumber } from '../../global-options.ts'
import { openDeadLetterTopic, readDeadLetters, reportForeignMessages } from './dead-letters.ts'
import { addDeadLetterOptions, deadLetterFilter, type DeadLetterOptions } from './filter-options.ts'
import { addRowOptions, choosesRows } from '../../row-options.ts'
import type { RowChoice } from '../../terminal/rows.ts'
import type { Session } from '../../session.ts'
import type { Column } from '../../terminal/table.ts'

type StatsRow = DeadLetterCount & { readonly by: string }
type StatsOptions = DeadLetterOptions & RowChoice<StatsRow> & { readonly top: number }

const DEFAULT_TOP = 10

const STATS_COLUMNS: readonly Column<StatsRow>[] = [
  { name: 'by', cell: ({ by }) => by },
  ...columnsOf<StatsRow>('name'),
]

export function registerErrorsStatsCommand(errors: Command, { perform }: Cli): void {
  addRowOptions(addDeadLetterOptions(errors.command('stats')), STATS_COLUMNS)
    .description('count dead letters by reason, device and hour')
    .option('--top <count>', 'maximum number of devices to show', wholeNumber(1, 10_000), DEFAULT_TOP)
    .addHelpText(
      'after',
      examples(
        ['cache-cli errors stats', 'count all dead letters in the topic'],
        [
          'cache-cli errors stats --since 24h --top 3',
          'count those of the last day, with the top three devices',
        ],
        ['cache-cli errors stats --sort -dead_letters', 'print one table, the most frequent first'],
      ),
    )
    .action((options: StatsOptions) => perform((session) => stats(session, options)))
}

async function stats(session: Session, options: StatsOptions): Promise<void> {
  const filter = deadLetterFilter(options, session.context.now())
  const deadLetterTopic = await openDeadLetterTopic(session)
  const counter = new DeadLetterCounter()
  const scanned = await readDeadLetters(deadLetterTopic, filter, (deadLetter) => counter.add(deadLetter))
  const found = counter.stats(options.top)
  const { output } = session
  const groups = [
    { by: 'reason', counts: found.byReason },
    { by: 'device_id', counts: found.byDevice },
    { by: 'hour', counts: found.byHour },
  ]
  if (output.format === 'csv' || choosesRows(options)) {
    const rows = groups.flatMap(({ by, counts }) => counts.map((count) => ({ by, ...count })))
    await output.rows(STATS_COLUMNS, rows, options)
  } else if (output.isWhole) {
    await output.record({
      dead_letters: found.deadLetters,
      first_written_at: isoTime(found.firstWrittenMs),
      last_written_at: isoTime(found.lastWrittenMs),
      by_reason: found.byReason,
      by_device: found.byDevice,
      by_hour: found.byHour,
    })
  } else {
    await output.text(
      found.deadLetters === 0
        ? 'no dead letters\n'
        : `${found.deadLetters} dead letters, from ${isoTime(found.firstWrittenMs)} to ${isoTime(found.lastWrittenMs)}\n`,
    )
    for (const { by, counts } of groups) {
      if (counts.length === 0) continue
      await output.text('\n')
      await output.rows(columnsOf(by), counts)
    }
  }
  if (found.uncountedDevices) session.warn('too many devices: some are not counted individually')
  reportForeignMessages(session, scanned)
}

function columnsOf<Row extends DeadLetterCount>(name: string): Column<Row>[] {
  return [
    { name, cell: (row) => row.name },
    { name: 'dead_letters', cell: ({ count }) => count, isNumber: true },
  ]
}

function isoTime(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}
