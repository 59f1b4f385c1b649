import type { Command } from 'commander'
import { LetterCounter, type LetterCount } from '../../../core/dead-letters/stats.ts'
import { examples, type Cli } from '../../command.ts'
import { wholeNumber } from '../../global-options.ts'
import { openLetterBox, readLetters, sayForeign } from './dead-letters.ts'
import { addLetterOptions, letterFilter, type LetterOptions } from './filter-options.ts'
import type { Session } from '../../session.ts'
import type { Column } from '../../terminal/table.ts'

type StatsOptions = LetterOptions & { readonly top: number }

const DEFAULT_TOP = 10

export function registerErrorsStatsCommand(errors: Command, { perform }: Cli): void {
  addLetterOptions(errors.command('stats'))
    .description('how many dead letters there are, by reason, device and hour')
    .option('--top <count>', 'so many devices', wholeNumber(1, 10_000), DEFAULT_TOP)
    .addHelpText(
      'after',
      examples(
        ['cache-cli errors stats', 'of all that the topic holds'],
        ['cache-cli errors stats --since 24h --top 3', 'of the last day, and the three worst devices'],
      ),
    )
    .action((options: StatsOptions) => perform((session) => stats(session, options)))
}

async function stats(session: Session, options: StatsOptions): Promise<void> {
  const filter = letterFilter(options, session.context.now())
  const box = await openLetterBox(session)
  const counter = new LetterCounter()
  const scanned = await readLetters(box, filter, (letter) => counter.add(letter))
  const found = counter.stats(options.top)
  const { output } = session
  const groups = [
    { by: 'reason', counts: found.byReason },
    { by: 'device_id', counts: found.byDevice },
    { by: 'hour', counts: found.byHour },
  ]
  switch (output.format) {
    case 'json':
    case 'yaml':
      await output.record({
        letters: found.letters,
        first_written_at: isoTime(found.firstWrittenMs),
        last_written_at: isoTime(found.lastWrittenMs),
        by_reason: found.byReason,
        by_device: found.byDevice,
        by_hour: found.byHour,
      })
      break
    case 'csv':
      await output.rows(
        [{ name: 'by', cell: ({ by }) => by }, ...columnsOf<LetterCount & { by: string }>('name')],
        groups.flatMap(({ by, counts }) => counts.map((count) => ({ by, ...count }))),
      )
      break
    case 'table':
      await output.text(
        found.letters === 0
          ? 'no dead letters\n'
          : `${found.letters} dead letters, from ${isoTime(found.firstWrittenMs)} to ${isoTime(found.lastWrittenMs)}\n`,
      )
      for (const { by, counts } of groups) {
        if (counts.length === 0) continue
        await output.text('\n')
        await output.rows(columnsOf(by), counts)
      }
  }
  if (found.uncountedDevices) session.warn('there are more devices than can be counted one by one')
  sayForeign(session, scanned)
}

function columnsOf<Row extends LetterCount>(name: string): Column<Row>[] {
  return [
    { name, cell: (row) => row.name },
    { name: 'letters', cell: ({ count }) => count, isNumber: true },
  ]
}

function isoTime(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}
