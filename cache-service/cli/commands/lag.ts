import { recordsBehind } from '../../core/workers/records-behind.ts'
import { reportsOf, type WorkerReport } from '../../core/workers/worker-report.ts'
import { sleep } from '../../lifecycle/sleep.ts'
import { createWorkerReports } from '../../redis/workers/worker-reports.ts'
import { CliError } from '../cli-error.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { wholeNumber } from '../global-options.ts'
import { openDeviceSource } from '../sources/open-device-source.ts'
import { createOutage } from '../sources/outage.ts'
import type { Session } from '../session.ts'
import { renderTable, type Column } from '../terminal/table.ts'

type LagOptions = { readonly watch?: true; readonly interval: number }

type PartitionLag = {
  readonly partition: number
  /** null: the group has not committed an offset, or (with --api) not known. */
  readonly committed: number | null
  readonly end: number | null
  readonly lag: number
  /** Age of the first record that is not yet durable, as its worker reports it; null: not known. */
  readonly seconds: number | null
  readonly worker: string | null
  /** Only with --api: workers of other topics and groups may use the same Redis. */
  readonly topic?: string
  readonly group?: string
}

type ReadLag = () => Promise<readonly PartitionLag[]>

const COLUMNS: readonly Column<PartitionLag>[] = [
  { name: 'partition', cell: (row) => row.partition, isNumber: true },
  { name: 'committed', cell: (row) => row.committed, isNumber: true },
  { name: 'end', cell: (row) => row.end, isNumber: true },
  { name: 'lag', cell: (row) => row.lag, isNumber: true, tone: ({ lag }) => (lag > 0 ? 'warn' : 'good') },
  { name: 'seconds', cell: (row) => row.seconds?.toFixed(1), isNumber: true },
  { name: 'worker', cell: (row) => row.worker },
]

const REPORTED_COLUMNS: readonly Column<PartitionLag>[] = [
  ...COLUMNS,
  { name: 'topic', cell: (row) => row.topic },
  { name: 'group', cell: (row) => row.group },
]

export function registerLagCommand({ program, perform }: Cli): void {
  program
    .command('lag')
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

async function printLag(session: Session, { interval, watch }: LagOptions): Promise<void> {
  const read = session.api === undefined ? await openKafkaLag(session) : await openReportedLag(session)
  const columns = session.api === undefined ? COLUMNS : REPORTED_COLUMNS
  if (watch === true) return await watchLag(session, read, columns, interval * 1000)
  const partitions = await read()
  await session.output.rows(columns, partitions)
  session.info(lagText(totalOf(partitions)))
}

async function watchLag(
  session: Session,
  read: ReadLag,
  partitionColumns: readonly Column<PartitionLag>[],
  everyMs: number,
): Promise<void> {
  const outage = createOutage(session, session.api === undefined ? 'Kafka' : 'the API')
  let hasSucceeded = false
  async function readAgain() {
    try {
      const partitions = await read()
      hasSucceeded = true
      outage.ended()
      return partitions
    } catch (error) {
      // A watch continues through an outage, unless the first read fails.
      if (!hasSucceeded) throw error
      const { exitCode, message } = session.failureOf(error)
      if (exitCode === EXIT.notFound) session.info(message)
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
      yield { at, lag: totalOf(partitions), partitions }
      await sleep(everyMs, session.stop)
    }
  }
  const columns: Column<{ at: string; lag: number }>[] = [
    { name: 'at', cell: ({ at }) => at },
    { name: 'lag', cell: ({ lag }) => lag },
  ]
  const { stdout } = session.context
  const isScreen = session.output.isTerminal
  await session.output.stream(columns, samples(), (sample, colors) => {
    const table = renderTable(partitionColumns, sample.partitions, {
      colors,
      columns: isScreen ? stdout.columns : undefined,
    })
    return `${isScreen ? CLEAR_SCREEN : ''}${colors.dim(sample.at)}  ${lagText(sample.lag)}\n\n${table}`
  })
}

const CLEAR_SCREEN = '\u001b[H\u001b[2J'

async function openKafkaLag(session: Session): Promise<ReadLag> {
  const { groupId, validatedDataTopic: topic } = session.config.kafka
  const { createLagOffsets } = await import('../../kafka/partition-offsets.ts')
  const offsets = createLagOffsets(await session.kafka(), topic, groupId)
  session.releases.push('offsets', () => offsets.disconnect())
  const readReports = await openReports(session)
  return async () => {
    const positions = await offsets.read()
    const reports = reportsOf({ group: groupId, topic }, await readReports())
    const rows = [...positions].flatMap(([partition, position]) => {
      if (position === undefined) {
        session.info(`partition ${partition} has no leader: its lag is not known`)
        return []
      }
      const reported = reportOf(partition, reports)
      const records = recordsBehind(position)
      return {
        partition,
        committed: position.committed ?? null,
        end: position.end,
        lag: records,
        // A report is a few seconds old: an age of 0 in it does not apply to records that arrived since.
        seconds: records === 0 ? 0 : reported?.seconds || null,
        worker: reported?.worker ?? null,
      }
    })
    return rows.toSorted((a, b) => a.partition - b.partition)
  }
}

/** Redis only adds ages and workers: the lag is shown even if Redis can't be reached. */
async function openReports(session: Session): Promise<() => Promise<readonly WorkerReport[]>> {
  try {
    const reports = createWorkerReports(await session.redis())
    return () => reports.read().catch(() => [])
  } catch (error) {
    session.info(`ages and workers are not shown: ${session.failureOf(error).message}`)
    return async () => []
  }
}

async function openReportedLag(session: Session): Promise<ReadLag> {
  const source = await openDeviceSource(session)
  return async () => {
    const reports = await source.workers()
    if (!reports.some(({ lag }) => Array.isArray(lag))) throw lagUnknown(reports)
    const rows: PartitionLag[] = reports.flatMap((worker) =>
      (worker.lag ?? []).map(({ partition, records, seconds }) => ({
        partition,
        committed: null,
        end: null,
        lag: records,
        seconds,
        worker: worker.id,
        ...namesOf(worker),
      })),
    )
    const withoutWorker = reports.flatMap((worker) =>
      (worker.unread ?? [])
        .filter(({ reason }) => reason !== 'stuck')
        .map(({ partition, records }) => ({
          ...{ partition, committed: null, end: null, lag: records, seconds: null, worker: null },
          ...namesOf(worker),
        })),
    )
    // Every worker of the group reports them.
    for (const row of withoutWorker) if (!rows.some((known) => isSamePartition(known, row))) rows.push(row)
    return rows.toSorted((a, b) => compareNames(a, b) || a.partition - b.partition)
  }
}

function lagUnknown(reports: readonly WorkerReport[]): CliError {
  const states = [...new Set(reports.map(({ state }) => state))].join(', ')
  return new CliError(
    EXIT.notFound,
    reports.length === 0
      ? 'the lag is not known, because no worker reports to the Redis of this API: check that the workers are running and use this Redis'
      : `the lag is not known, because no worker has measured it yet (${states}): check info for their state`,
  )
}

function reportOf(partition: number, reports: readonly WorkerReport[]) {
  for (const { id, lag: lags } of reports) {
    const found = lags?.find((reported) => reported.partition === partition)
    if (found !== undefined) return { worker: id, seconds: found.seconds }
  }
  return undefined
}

function namesOf({ group, topic }: WorkerReport): Pick<PartitionLag, 'group' | 'topic'> {
  return { ...(topic !== undefined && { topic }), ...(group !== undefined && { group }) }
}

function isSamePartition(a: PartitionLag, b: PartitionLag): boolean {
  return a.partition === b.partition && compareNames(a, b) === 0
}

/** By topic and group. */
function compareNames(a: PartitionLag, b: PartitionLag): number {
  const nameOf = ({ group = '', topic = '' }: PartitionLag) => `${topic}\0${group}`
  return nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0
}

function lagText(records: number): string {
  return `${records} ${records === 1 ? 'record' : 'records'} behind`
}

function totalOf(partitions: readonly PartitionLag[]): number {
  return partitions.reduce((sum, row) => sum + row.lag, 0)
}
