import type { ServerStats } from '../../core/server-stats.ts'
import type { WorkerReport } from '../../core/workers/worker-report.ts'
import { examples, type Cli } from '../command.ts'
import { addRowOptions, choosesRows } from '../row-options.ts'
import type { RowChoice } from '../terminal/rows.ts'
import { openDeviceSource } from '../sources/open-device-source.ts'
import type { Session } from '../session.ts'
import type { Column } from '../terminal/table.ts'

const WORKER_COLUMNS: readonly Column<WorkerReport>[] = [
  { name: 'worker', cell: (worker) => worker.id },
  { name: 'state', cell: (worker) => worker.state, tone: (worker) => (worker.ready ? 'good' : 'warn') },
  { name: 'lag', cell: (worker) => worker.lag_records, isNumber: true },
  { name: 'records/s', cell: (worker) => Math.round(worker.rates.records), isNumber: true },
  { name: 'dead_letters', cell: (worker) => worker.dead_letters_total, isNumber: true },
  { name: 'version', cell: (worker) => worker.version },
  { name: 'reasons', cell: (worker) => worker.reasons.join('; ') },
]

const NO_WORKER = 'No worker is reporting: either none uses this Redis, or none can reach it.'

export function registerInfoCommand({ program, perform }: Cli): void {
  addRowOptions(program.command('info'), WORKER_COLUMNS)
    .description(
      'show the number of devices, the hit rate and memory of Redis, and the state, lag and rates of the workers',
    )
    .addHelpText(
      'after',
      examples(
        ['cache-cli info', 'show an overview'],
        ['cache-cli info --sort -lag', 'list only the workers, those with the greatest lag first'],
        ['cache-cli info --format json | jq .lag_records', 'print one number, for a script'],
      ),
    )
    .action((options: RowChoice<WorkerReport>) => perform((session) => info(session, options), 'api'))
}

async function info(session: Session, choice: RowChoice<WorkerReport>): Promise<void> {
  const source = await openDeviceSource(session)
  if (choosesRows(choice)) {
    const reports = await source.workers()
    await session.output.rows(WORKER_COLUMNS, reports, choice)
    if (reports.length === 0) session.info(NO_WORKER)
    return
  }
  const [devices, stats, workers] = await Promise.all([
    source.countDevices(),
    source.stats(),
    source.workers(),
  ])
  const facts = factsOf(devices, stats, workers)
  const { format, isWhole, record, rows } = session.output
  if (isWhole) return await record({ ...facts, workers })
  if (format === 'csv') return await record(facts)
  await record(forDisplay(facts))
  if (workers.length === 0) return session.info(NO_WORKER)
  await session.output.text('\n')
  await rows(WORKER_COLUMNS, workers)
}

/** Values that no worker reports are null. */
function factsOf(devices: number | undefined, stats: ServerStats, workers: readonly WorkerReport[]) {
  const lags = workers.flatMap(({ lag_records }) => lag_records ?? [])
  const ages = workers.flatMap(({ lag }) => (lag ?? []).flatMap(({ seconds }) => seconds ?? []))
  return {
    devices: devices ?? null,
    hit_rate_percent: stats.hit_rate,
    memory: stats.used_memory_human,
    memory_bytes: stats.used_memory,
    keys: stats.total_keys,
    redis_version: stats.redis_version,
    redis_uptime_s: stats.uptime_in_seconds,
    consumer_state: workers.length === 0 ? null : [...new Set(workers.map(({ state }) => state))].join(),
    ready_workers: workers.filter(({ ready }) => ready).length,
    rebuilding: workers.some(({ rebuilding }) => rebuilding),
    lag_records: lags.length === 0 ? null : lags.reduce((sum, lag) => sum + lag, 0),
    lag_seconds: ages.length === 0 ? null : Math.max(...ages),
    records_per_second:
      workers.length === 0 ? null : workers.reduce((sum, { rates }) => sum + rates.records, 0),
  }
}

/** Rounded, and without a second unit for the same value. */
function forDisplay({ lag_seconds, records_per_second, ...facts }: ReturnType<typeof factsOf>) {
  const others = Object.entries(facts).filter(([name]) => name !== 'memory_bytes')
  return {
    ...Object.fromEntries(others),
    lag_seconds: lag_seconds?.toFixed(1),
    records_per_second: records_per_second?.toFixed(1),
  }
}
