import { recordsBehind } from '../../core/workers/records-behind.ts'
import type { LagReport } from '../../core/workers/lag-report.ts'
import { reportsOf, type WorkerReport } from '../../core/workers/worker-report.ts'
import { createWorkerReports } from '../../redis/workers/worker-reports.ts'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-codes.ts'
import { openDeviceSource } from '../sources/open-device-source.ts'
import type { Session } from '../session.ts'

export type PartitionLag = {
  readonly partition: number
  /** null: the group has not committed an offset, or (with --api) not known. */
  readonly committed: number | null
  readonly end: number | null
  /** null: not known, because the partition has no leader. */
  readonly lag: number | null
  /** Age of the first record that is not yet durable, as its worker reports it; null: not known. */
  readonly seconds: number | null
  /** Not with --all, which shows the `owner` of any program. */
  readonly worker?: string | null
  /** Only with --api and --all: workers of other topics and groups may use the same Redis. */
  readonly topic?: string
  readonly group?: string
  // Only with --all, as core/workers/lag-report.ts describes them:
  readonly state?: string
  readonly owner?: string | null
  readonly deleted_unread?: number
  readonly seconds_until_deleted?: number | null
}

export type LagReading = {
  readonly partitions: readonly PartitionLag[]
  /** What cannot be measured, and what is said when it can be again. */
  readonly remarks: ReadonlyMap<string, string>
}

/** Rejects with a ServiceError, or a CliError (not found) if the lag is not known. */
export type ReadLag = () => Promise<LagReading>

/** Reads the offsets from Kafka; ages and workers come from Redis, if it answers. */
export async function openKafkaLag(session: Session): Promise<ReadLag> {
  const { groupId, validatedDataTopic: topic } = session.config.kafka
  const { createLagOffsets } = await import('../../kafka/partition-offsets.ts')
  const offsets = createLagOffsets(await session.kafka(), topic, groupId)
  session.releases.push('offsets', () => offsets.disconnect())
  const readReports = await openReports(session)
  return async () => {
    const positions = await offsets.read()
    const reports = reportsOf({ group: groupId, topic }, await readReports())
    const rows = [...positions].map(([partition, position]): PartitionLag => {
      const reported = reportOf(partition, reports)
      const worker = reported?.worker ?? null
      if (position === undefined)
        return { partition, committed: null, end: null, lag: null, seconds: null, worker }
      const records = recordsBehind(position)
      return {
        partition,
        committed: position.committed ?? null,
        end: position.end,
        lag: records,
        // A report is a few seconds old: an age of 0 in it does not apply to records that arrived since.
        seconds: records === 0 ? 0 : reported?.seconds || null,
        worker,
      }
    })
    return withRemarks(rows.toSorted((a, b) => a.partition - b.partition))
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

/** The lag as the workers report it, through an API. */
export async function openReportedLag(session: Session): Promise<ReadLag> {
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
    return withRemarks(rows.toSorted((a, b) => compareNames(a, b) || a.partition - b.partition))
  }
}

/** The lag of the groups in LAG_GROUPS as the lag monitor reports it, from Redis or through an API. */
export async function openMonitoredLag(session: Session): Promise<ReadLag> {
  const source = await openDeviceSource(session)
  return async () => {
    const reports = await source.lagReports()
    if (reports.length === 0) throw new CliError(EXIT.notFound, NO_MONITOR)
    const partitions = reports.flatMap(({ group, topics }) =>
      topics.flatMap(({ partitions: found, topic }) =>
        found.map(({ earliest: _earliest, records: lag, ...partition }) => ({
          ...{ group, topic },
          ...partition,
          lag,
        })),
      ),
    )
    const { remarks } = withRemarks(partitions)
    return { partitions, remarks: new Map([...reports.flatMap(problemsOf), ...remarks]) }
  }
}

const NO_MONITOR =
  'no lag monitor reports to this Redis: start one (cache-service lag-monitor), or set LAG_GROUPS for the role all'

function problemsOf({ group, problem, topics }: LagReport): (readonly [string, string])[] {
  const all = [
    { name: group, problem },
    ...topics.map((one) => ({ ...one, name: `${group} on ${one.topic}` })),
  ]
  return all.flatMap(({ name, problem: text }) =>
    text === null
      ? []
      : [[`the lag of ${name} is not known: ${text}`, `the lag of ${name} is known again`] as const],
  )
}

function withRemarks(partitions: readonly PartitionLag[]): LagReading {
  const leaderless = partitions.filter(({ lag }) => lag === null)
  const remarks = leaderless.map(({ group, owner, partition, topic }) => {
    // Without --all, there is one topic, or the table shows it.
    const name =
      owner === undefined ? `partition ${partition}` : `partition ${partition} of ${topic}, group ${group},`
    return [`${name} has no leader: its lag is not known`, `${name} has a leader again`] as const
  })
  return { partitions, remarks: new Map(remarks) }
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
