import { sleep } from '../../lifecycle/sleep.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { wholeNumber } from '../global-options.ts'
import { usageError } from '../cli-error.ts'
import { addRowOptions, choosesRows } from '../row-options.ts'
import { pickColumns, sortRows, type RowChoice } from '../terminal/rows.ts'
import {
  openKafkaLag,
  openMonitoredLag,
  openReportedLag,
  type LagReading,
  type PartitionLag,
  type ReadLag,
} from './lag-readers.ts'
import { createConditions } from '../sources/conditions.ts'
import { createOutage } from '../sources/outage.ts'
import type { Session } from '../session.ts'
import { renderTable, type Column, type Tone } from '../terminal/table.ts'

type LagOptions = RowChoice<PartitionLag> & {
  readonly all?: true
  readonly watch?: true
  readonly interval: number
}

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

const MONITORED_COLUMNS: readonly Column<PartitionLag>[] = [
  { name: 'group', cell: (row) => row.group },
  { name: 'topic', cell: (row) => row.topic },
  { name: 'partition', cell: (row) => row.partition, isNumber: true },
  { name: 'state', cell: (row) => row.state, tone: stateTone },
  { name: 'lag', cell: (row) => row.lag, isNumber: true },
  { name: 'seconds', cell: (row) => row.seconds?.toFixed(1), isNumber: true },
  { name: 'owner', cell: (row) => row.owner },
]

const FURTHER_COLUMNS: readonly Column<PartitionLag>[] = [
  { name: 'deleted_unread', cell: (row) => row.deleted_unread, isNumber: true },
  { name: 'seconds_until_deleted', cell: (row) => row.seconds_until_deleted?.toFixed(0), isNumber: true },
]

/** Every column that may be chosen, each once. */
const ALL_COLUMNS = [
  ...REPORTED_COLUMNS,
  ...MONITORED_COLUMNS.filter(({ name }) => !REPORTED_COLUMNS.some((column) => column.name === name)),
  ...FURTHER_COLUMNS,
]

export function registerLagCommand({ program, perform }: Cli): void {
  addRowOptions(program.command('lag'), ALL_COLUMNS)
    .description(
      'show the lag of the workers per partition, read from Kafka (with --api: as the workers report it)',
    )
    .option('-a, --all', 'show the lag of all groups that a lag monitor measures, as it reports it')
    .option('-w, --watch', 'repeat until Ctrl-C')
    .option('--interval <seconds>', 'seconds between updates with --watch', wholeNumber(1, 3600), 2)
    .addHelpText(
      'after',
      examples(
        ['cache-cli lag', 'show the lag once'],
        ['cache-cli lag --all --sort -lag', 'show the groups of LAG_GROUPS, the largest lag first'],
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
  const { columns, read } = await openLag(session, options)
  if (watch === true) return await watchLag(session, read, columns, options)
  const { partitions, remarks } = await read()
  await session.output.rows(columns, partitions, options)
  for (const text of remarks.keys()) session.info(text)
  session.info(lagText(totalOf(partitions)))
}

async function openLag(session: Session, { all }: LagOptions) {
  if (all === true) return { read: await openMonitoredLag(session), columns: MONITORED_COLUMNS }
  return session.api === undefined
    ? { read: await openKafkaLag(session), columns: COLUMNS }
    : { read: await openReportedLag(session), columns: REPORTED_COLUMNS }
}

async function watchLag(
  session: Session,
  read: ReadLag,
  partitionColumns: readonly Column<PartitionLag>[],
  { all, columns: chosen, interval, sort }: LagOptions,
): Promise<void> {
  const { stdout } = session.context
  const everyMs = interval * 1000
  const isScreen = session.output.isTerminal
  const server = session.api !== undefined ? 'the API' : all === true ? 'Redis' : 'Kafka'
  const outage = createOutage(session, server)
  const report = createConditions((line) => session.info(line))
  let hasSucceeded = false
  let latest: LagReading = { partitions: [], remarks: new Map() }
  async function readAgain() {
    try {
      const reading = await read()
      hasSucceeded = true
      outage.ended()
      // A screen is cleared before each table, which then names them.
      report(session.output.format === 'table' && isScreen ? new Map() : reading.remarks)
      return reading
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
      const reading = await readAgain()
      if (reading === undefined) {
        await sleep(everyMs, session.stop)
        continue
      }
      const at = new Date(session.context.now()).toISOString()
      const partitions = sort === undefined ? reading.partitions : await sortRows(reading.partitions, sort)
      latest = { ...reading, partitions }
      yield {
        at,
        lag: totalOf(partitions),
        partitions: chosen === undefined ? partitions : partitions.map((row) => pickColumns(row, chosen)),
      }
      await sleep(everyMs, session.stop)
    }
  }
  const columns: Column<{ at: string; lag: number }>[] = [
    { name: 'at', cell: ({ at }) => at },
    { name: 'lag', cell: ({ lag }) => lag },
  ]
  await session.output.stream(columns, samples(), (sample, colors) => {
    const table = renderTable(chosen ?? partitionColumns, latest.partitions, {
      colors,
      columns: isScreen ? stdout.columns : undefined,
    })
    const remarks = isScreen ? [...latest.remarks.keys()].map((text) => `\n${text}`) : []
    const first = `${colors.dim(sample.at)}  ${lagText(sample.lag)}`
    return `${isScreen ? CLEAR_SCREEN : ''}${first}\n\n${table}${remarks.join('')}`
  })
}

const CLEAR_SCREEN = '\u001b[H\u001b[2J'

function lagTone({ lag }: PartitionLag): Tone | undefined {
  if (lag === null) return undefined
  return lag > 0 ? 'warn' : 'good'
}

function stateTone({ state }: PartitionLag): Tone | undefined {
  if (state === undefined || state === 'unknown') return undefined
  return state === 'ok' ? 'good' : 'bad'
}

function lagText(records: number): string {
  return `${records} ${records === 1 ? 'record' : 'records'} behind`
}

function totalOf(partitions: readonly PartitionLag[]): number {
  return partitions.reduce((sum, { lag }) => sum + (lag ?? 0), 0)
}
