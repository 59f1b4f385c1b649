import type { WorkerReport } from '../../core/workers/worker-report.ts'
import { sleep } from '../../lifecycle/sleep.ts'
import { createWorkerReports } from '../../redis/workers/worker-reports.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { wholeNumber } from '../global-options.ts'
import { openSource } from '../sources/open-source.ts'
import { createOutage } from '../sources/outage.ts'
import type { Session } from '../session.ts'
import { renderTable, type Column } from '../terminal/table.ts'

type LagOptions = { readonly watch?: true; readonly interval: number }

type PartitionLag = {
  readonly partition: number
  /** null: the group has committed nothing there, or (with --api) nobody reports it. */
  readonly committed: number | null
  readonly end: number | null
  readonly lag: number
  /** Age of the first record that is not durable, as its worker reports it; null: not known. */
  readonly seconds: number | null
  readonly worker: string | null
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

export function registerLagCommand({ program, perform }: Cli): void {
  program
    .command('lag')
    .description(
      'how far the workers are behind, by partition, from Kafka itself (with --api: as they report it)',
    )
    .option('-w, --watch', 'again and again, until Ctrl-C')
    .option('--interval <seconds>', 'between two looks with --watch', wholeNumber(1, 3600), 2)
    .addHelpText(
      'after',
      examples(
        ['cache-cli lag', 'now'],
        ['cache-cli lag --watch', 'a table that keeps itself up to date'],
        ['cache-cli lag --watch --format json', 'one object a look'],
      ),
    )
    .action((options: LagOptions) => perform((session) => printLag(session, options)))
}

async function printLag(session: Session, { interval, watch }: LagOptions): Promise<void> {
  const read =
    session.options.api === undefined ? await openKafkaLag(session) : await openReportedLag(session)
  if (watch === true) return await watchLag(session, read, interval * 1000)
  const partitions = await read()
  await session.output.rows(COLUMNS, partitions)
  session.say(behind(totalOf(partitions)))
}

async function watchLag(session: Session, read: ReadLag, everyMs: number): Promise<void> {
  const outage = createOutage(session, session.options.api === undefined ? 'Kafka' : 'the API')
  let hasWorked = false
  async function readAgain() {
    try {
      const partitions = await read()
      hasWorked = true
      outage.ended()
      return partitions
    } catch (error) {
      // Who watches wants to see the end of an outage as well.
      if (!hasWorked || session.failureOf(error).exitCode !== EXIT.unreachable) throw error
      outage.failed(error)
      return undefined
    }
  }
  async function* looks() {
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
    { name: 'lag', cell: (look) => look.lag },
  ]
  const { stdout } = session.context
  const isScreen = stdout.isTerminal && session.options.output === undefined
  await session.output.stream(columns, looks(), (look, colors) => {
    const table = renderTable(COLUMNS, look.partitions, {
      colors,
      columns: isScreen ? stdout.columns : undefined,
    })
    return `${isScreen ? CLEAR_SCREEN : ''}${colors.dim(look.at)}  ${behind(look.lag)}\n\n${table}`
  })
}

const CLEAR_SCREEN = '\u001b[H\u001b[2J'

async function openKafkaLag(session: Session): Promise<ReadLag> {
  const { groupId, validatedDataTopic: topic } = session.config.kafka
  const { createPartitionOffsets } = await import('../../kafka/partition-offsets.ts')
  const offsets = createPartitionOffsets(await session.kafka(), topic, groupId)
  session.releases.push('offsets', () => offsets.disconnect())
  const readReports = await openReports(session)
  return async () => {
    const ranges = await offsets.read()
    const reports = await readReports()
    const rows = [...ranges].map(([partition, { committed, earliest, end }]) => {
      const reported = reportOf(partition, reports)
      const records = Math.max(0, end - Math.max(committed ?? earliest, earliest))
      return {
        partition,
        committed: committed ?? null,
        end,
        lag: records,
        // A report is a few seconds old: that nothing was behind then says nothing of now.
        seconds: records === 0 ? 0 : reported?.seconds || null,
        worker: reported?.worker ?? null,
      }
    })
    return rows.toSorted((a, b) => a.partition - b.partition)
  }
}

/** Redis only tells more: without it the lag is told all the same. */
async function openReports(session: Session): Promise<() => Promise<readonly WorkerReport[]>> {
  try {
    const reports = createWorkerReports(await session.redis(), session.context.now)
    return () => reports.read().catch(() => [])
  } catch (error) {
    session.say(`no seconds and no workers: ${session.failureOf(error).message}`)
    return async () => []
  }
}

async function openReportedLag(session: Session): Promise<ReadLag> {
  const source = await openSource(session)
  return async () => {
    const reports = await source.workers()
    const rows = reports.flatMap((worker) =>
      (worker.lag ?? []).map(({ partition, records, seconds }) => ({
        partition,
        committed: null,
        end: null,
        lag: records,
        seconds,
        worker: worker.id,
      })),
    )
    return rows.toSorted((a, b) => a.partition - b.partition)
  }
}

function reportOf(partition: number, reports: readonly WorkerReport[]) {
  for (const { id, lag: lags } of reports) {
    const found = lags?.find((reported) => reported.partition === partition)
    if (found !== undefined) return { worker: id, seconds: found.seconds }
  }
  return undefined
}

function behind(records: number): string {
  return `${records} ${records === 1 ? 'record' : 'records'} behind`
}

function totalOf(partitions: readonly PartitionLag[]): number {
  return partitions.reduce((sum, row) => sum + row.lag, 0)
}
