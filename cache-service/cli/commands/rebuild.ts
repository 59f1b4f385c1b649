import { rebuildProgress, type RebuildProgress } from '../../core/workers/rebuild.ts'
import { sleep } from '../../lifecycle/sleep.ts'
import { requestRebuild } from '../../redis/workers/group-progress.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { planRebuild, type PartitionPlan, type RebuildPlan } from './rebuild-plan.ts'
import type { Session } from '../session.ts'
import type { Column } from '../terminal/table.ts'

type RebuildOptions = { readonly yes?: true; readonly wait: boolean; readonly dryRun?: true }

const POLL_INTERVAL_MS = 500
/** The report of a worker that was killed expires after twenty seconds. */
const WORKERS_POLL_INTERVAL_MS = 5_000

export function registerRebuildCommand({ program, perform }: Cli): void {
  program
    .command('rebuild')
    .description('fill the cache again: the workers read the topic from its first record; deletes nothing')
    .option('-y, --yes', 'do not ask for confirmation')
    .option('--no-wait', 'do not wait for completion')
    .option('--dry-run', 'show the plan and change nothing')
    .addHelpText(
      'after',
      examples(
        ['cache-cli rebuild', 'show the plan, ask, and wait until the workers have caught up'],
        ['cache-cli rebuild --dry-run', 'show what a rebuild could restore'],
        ['cache-cli rebuild --yes --no-wait', 'start a rebuild from a script'],
      ),
    )
    .action((options: RebuildOptions) => perform((session) => rebuild(session, options)))
}

async function rebuild(session: Session, options: RebuildOptions): Promise<ExitCode> {
  const redis = await session.redis()
  const plan = await planRebuild(session, redis)
  const { isWhole } = session.output
  if (!isWhole) await printPlan(session, plan)
  if (options.dryRun === true) {
    if (isWhole) await session.output.record(planRecord(plan))
    return EXIT.ok
  }
  const records = plan.partitions.reduce((sum, { from, until }) => sum + until - from, 0)
  await session.confirm(
    `Make the workers of group ${plan.group} read ${records} records again?`,
    options.yes === true,
  )
  const partitions = plan.partitions.map(({ partition }) => partition)
  await requestRebuild(redis, plan.group, plan.topic, partitions)
  const hadProgress = plan.partitions.some(({ progress }) => progress !== undefined)
  if (!hadProgress) session.info('no progress was stored: the workers start at the first record anyway')
  const result = await waitIfWanted(session, plan, options)
  if (isWhole) await session.output.record({ ...planRecord(plan), ...result })
  return EXIT.ok
}

type RebuildResult = { readonly complete: boolean; readonly devices_after: number | null }

async function waitIfWanted(
  session: Session,
  plan: RebuildPlan,
  { wait }: RebuildOptions,
): Promise<RebuildResult> {
  const unknown = { complete: false, devices_after: null }
  if (plan.workers === 0) {
    session.warn('no worker of this group is reporting to this Redis: the rebuild starts when one does')
    return unknown
  }
  if (!wait) {
    session.info('the rebuild has started: cache-cli lag and cache-cli info show its progress')
    return unknown
  }
  const progress = await waitUntilComplete(session, plan)
  if (!progress.isComplete) {
    session.info(
      `stopped waiting at ${progress.done} of ${progress.total} records: the rebuild continues without cache-cli`,
    )
    return unknown
  }
  const devices = await plan.index.count()
  session.info(`the cache is complete again: ${progress.total} records read, ${devices} devices`)
  return { complete: true, devices_after: devices }
}

/** Resolves when the rebuild is complete or the command is stopped. */
async function waitUntilComplete(
  session: Session,
  { partitions, readReports, store }: RebuildPlan,
): Promise<RebuildProgress> {
  const { context, stop } = session
  const numbers = partitions.map(({ partition }) => partition)
  const nothing = rebuildProgress(partitions, new Map())
  const bar = session.progress('records read', nothing.total)
  let progress = nothing
  let workersPolledMs = context.monotonicNow()
  let isWithoutWorker = false
  try {
    while (!stop.aborted) {
      const stored = await store.peek(numbers)
      progress = rebuildProgress(
        partitions,
        new Map([...stored].map(([partition, { next }]) => [partition, next])),
      )
      bar.set(progress.done)
      if (progress.isComplete) return progress
      if (context.monotonicNow() - workersPolledMs > WORKERS_POLL_INTERVAL_MS) {
        workersPolledMs = context.monotonicNow()
        const hasNone = (await readReports()).length === 0
        if (hasNone && !isWithoutWorker)
          session.warn('no worker of this group has reported recently: waiting for one to start')
        isWithoutWorker = hasNone
      }
      await sleep(POLL_INTERVAL_MS, stop)
    }
    return { ...progress, isComplete: false }
  } finally {
    bar.end()
  }
}

async function printPlan(session: Session, plan: RebuildPlan): Promise<void> {
  await session.output.rows(COLUMNS, plan.partitions)
  session.info(`topic ${plan.topic}, read by the group ${plan.group}; ${workersText(plan.workers)}`)
  if (plan.isRetentionShort) session.warn(plan.retention)
  else session.info(plan.retention)
  session.info(reachText(plan))
}

function workersText(workers: number): string {
  if (workers === 0) return 'no worker of this group is reporting to this Redis'
  return workers === 1 ? 'one worker is reporting' : `${workers} workers are reporting`
}

function reachText({ devices, devicesOutOfReach, oldestRecord }: RebuildPlan): string {
  if (oldestRecord === undefined)
    return `the topic is empty: a rebuild would restore none of the ${devices} devices`
  const oldest = `the oldest record in the topic is from ${oldestRecord}`
  if (devicesOutOfReach === 0) return `${oldest}: each of the ${devices} devices still has a record`
  return (
    `${oldest}: ${devicesOutOfReach} of ${devices} devices no longer have a record. ` +
    'They stay as they are, but a rebuild could not restore them if they were lost'
  )
}

function planRecord(plan: RebuildPlan) {
  return {
    group: plan.group,
    topic: plan.topic,
    workers: plan.workers,
    retention: plan.retention,
    oldest_record: plan.oldestRecord ?? null,
    devices: plan.devices,
    devices_out_of_reach: plan.devicesOutOfReach,
    partitions: plan.partitions.map(({ from, oldestRecord, partition, progress, until }) => ({
      partition,
      progress: progress ?? null,
      earliest: from,
      end: until,
      oldest_record: oldestRecord ?? null,
    })),
  }
}

const COLUMNS: readonly Column<PartitionPlan>[] = [
  { name: 'partition', cell: ({ partition }) => partition, isNumber: true },
  { name: 'progress', cell: ({ progress }) => progress, isNumber: true },
  { name: 'earliest', cell: ({ from }) => from, isNumber: true },
  { name: 'end', cell: ({ until }) => until, isNumber: true },
  { name: 'records', cell: ({ from, until }) => until - from, isNumber: true },
  { name: 'oldest_record', cell: ({ oldestRecord }) => oldestRecord },
]
