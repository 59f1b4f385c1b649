import { sleep } from '../../lifecycle/sleep.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { wholeNumber } from '../global-options.ts'
import { usageError } from '../cli-error.ts'
import { addRowOptions, choosesRows } from '../row-options.ts'
import { pickColumns, sortRows, type RowChoice } from '../terminal/rows.ts'
import { openKafkaLag, openReportedLag, type PartitionLag, type ReadLag } from './lag-readers.ts'
import { createConditions } from '../sources/conditions.ts'
import { createOutage } from '../sources/outage.ts'
import type { Session } from '../session.ts'
import { renderTable, type Column, type Tone } from '../terminal/table.ts'

type LagOptions = RowChoice<PartitionLag> & { readonly watch?: true; readonly interval: number }

const COLUMNS: readonly Column<PartitionLag>[] = [
  { name: 'partition', cell: (row) => row.partition, isNumber: true },
  { name: 'committed', cell: (row) => row.committed, isNumber: true },
  { name: 'end', cell: (row) => row.end, isNumber: true },
  { name: 'lag', cell: (row) => row.lag, isNumber: true, tone: lagTone },
  { name: 'seconds', cell: (row) => row.seconds?.toFixed(1), isNumber: true },
  { name: 'worker', cell: (row) => row.worker },
]

const REPORTED_COLUMNS: readonly Column<PartitionLag>[] = [
  ...COLUMNS,
  { name: 'topic', cell: (row) => row.topic },
  { name: 'group', cell: (row) => row.group },
]

export function registerLagCommand({ program, perform }: Cli): void {
  addRowOptions(program.command('lag'), REPORTED_COLUMNS)
    .description(
      'show the lag of the workers per partition, read from Kafka (with --api: as the workers report it)',
    )
    .option('-w, --watch', 'repeat until Ctrl-C')
    .option('--interval <seconds>', 'seconds between updates with --watch', wholeNumber(1, 3600), 2)
    .addHelpText(
      'after',
      examples(
        ['cache-cli lag', 'show the lag once'],
        ['cache-cli lag --watch', 'show a table that is updated continuously'],
        ['cache-cli lag --watch --format json', 'print one JSON object per update'],
      ),
    )
    .action((options: LagOptions) => perform((session) => printLag(session, options), 'api'))
}

async function printLag(session: Session, options: LagOptions): Promise<void> {
  const { watch } = options
  if (watch === true && session.output.format === 'csv' && choosesRows(options))
    throw usageError(
      '--watch --format csv prints the total lag: omit --columns and --sort, or use --format jsonl',
    )
  const read = session.api === undefined ? await openKafkaLag(session) : await openReportedLag(session)
  const columns = session.api === undefined ? COLUMNS : REPORTED_COLUMNS
  if (watch === true) return await watchLag(session, read, columns, options)
  const partitions = await read()
  await session.output.rows(columns, partitions, options)
  for (const text of leaderless(partitions).keys()) session.info(text)
  session.info(lagText(totalOf(partitions)))
}

async function watchLag(
  session: Session,
  read: ReadLag,
  partitionColumns: readonly Column<PartitionLag>[],
  { columns: chosen, interval, sort }: LagOptions,
): Promise<void> {
  const { stdout } = session.context
  const everyMs = interval * 1000
  const isScreen = session.output.isTerminal
  const outage = createOutage(session, session.api === undefined ? 'Kafka' : 'the API')
  const report = createConditions((line) => session.info(line))
  let hasSucceeded = false
  let latest: readonly PartitionLag[] = []
  async function readAgain() {
    try {
      const partitions = await read()
      hasSucceeded = true
      outage.ended()
      // A screen is cleared before each table, which then names them.
      report(session.output.format === 'table' && isScreen ? new Map() : leaderless(partitions))
      return partitions
    } catch (error) {
      // A watch continues through an outage, unless the first read fails.
      if (!hasSucceeded) throw error
      const { exitCode, message } = session.failureOf(error)
      if (exitCode === EXIT.notFound) report(new Map([[message, 'the lag is known again']]))
      else if (exitCode === EXIT.unreachable) outage.failed(error)
      else throw error
      return undefined
    }
  }
  async function* samples() {
    while (!session.stop.aborted) {
      const partitions = await readAgain()
      if (partitions === undefined) {
        await sleep(everyMs, session.stop)
        continue
      }
      const at = new Date(session.context.now()).toISOString()
      latest = sort === undefined ? partitions : await sortRows(partitions, sort)
      const lag = totalOf(partitions)
      yield {
        at,
        lag,
        partitions: chosen === undefined ? latest : latest.map((row) => pickColumns(row, chosen)),
      }
      await sleep(everyMs, session.stop)
    }
  }
  const columns: Column<{ at: string; lag: number }>[] = [
    { name: 'at', cell: ({ at }) => at },
    { name: 'lag', cell: ({ lag }) => lag },
  ]
  await session.output.stream(columns, samples(), (sample, colors) => {
    const table = renderTable(chosen ?? partitionColumns, latest, {
      colors,
      columns: isScreen ? stdout.columns : undefined,
    })
    const remarks = isScreen ? [...leaderless(latest).keys()].map((text) => `\n${text}`) : []
    const first = `${colors.dim(sample.at)}  ${lagText(sample.lag)}`
    return `${isScreen ? CLEAR_SCREEN : ''}${first}\n\n${table}${remarks.join('')}`
  })
}

const CLEAR_SCREEN = '\u001b[H\u001b[2J'

function lagTone({ lag }: PartitionLag): Tone | undefined {
  if (lag === null) return undefined
  return lag > 0 ? 'warn' : 'good'
}

/** What is said about each partition without a leader, and when it has one again. */
function leaderless(partitions: readonly PartitionLag[]): ReadonlyMap<string, string> {
  const without = partitions.filter(({ lag }) => lag === null)
  return new Map(
    without.map(({ partition }) => [
      `partition ${partition} has no leader: its lag is not known`,
      `partition ${partition} has a leader again`,
    ]),
  )
}

function lagText(records: number): string {
  return `${records} ${records === 1 ? 'record' : 'records'} behind`
}

function totalOf(partitions: readonly PartitionLag[]): number {
  return partitions.reduce((sum, { lag }) => sum + (lag ?? 0), 0)
}
