import { progressKey } from '../../../shared/contract/keys.ts'
import { rebuildProgress, type RebuildProgress } from '../../core/workers/rebuild.ts'
import { sleep } from '../../lifecycle/sleep.ts'
import { forgetProgress } from '../../redis/workers/progress-store.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { planRebuild, type PartitionPlan, type RebuildPlan } from './rebuild-plan.ts'
import type { Session } from '../session.ts'
import type { Column } from '../terminal/table.ts'

type RebuildOptions = { readonly yes?: true; readonly wait: boolean; readonly dryRun?: true }

const LOOK_EVERY_MS = 500
/** A worker that ends says nothing more; one that was killed is forgotten after twenty seconds. */
const WORKERS_LOOK_EVERY_MS = 5_000

export function registerRebuildCommand({ program, perform }: Cli): void {
  program
    .command('rebuild')
    .description(
      'fill the cache anew: the workers read the topic again from its first record; nothing is deleted',
    )
    .option('-y, --yes', 'do not ask')
    .option('--no-wait', 'do not wait until it is complete')
    .option('--dry-run', 'show the plan alone')
    .addHelpText(
      'after',
      examples(
        ['cache-cli rebuild', 'shows the plan, asks, and waits until the workers have caught up'],
        ['cache-cli rebuild --dry-run', 'what a rebuild could bring back'],
        ['cache-cli rebuild --yes --no-wait', 'for a script'],
      ),
    )
    .action((options: RebuildOptions) => perform((session) => rebuild(session, options)))
}

async function rebuild(session: Session, options: RebuildOptions): Promise<ExitCode> {
  const redis = await session.redis()
  const plan = await planRebuild(session, redis)
  const isText = session.output.format === 'table' || session.output.format === 'csv'
  if (isText) await printPlan(session, plan)
  if (options.dryRun === true) {
    if (!isText) await session.output.record(planRecord(plan))
    return EXIT.ok
  }
  const records = plan.partitions.reduce((sum, { from, until }) => sum + until - from, 0)
  await session.confirm(
    `Have the workers of ${plan.group} read ${records} records again?`,
    options.yes === true,
  )
  const hadProgress = await forgetProgress(redis, progressKey(plan.group))
  if (!hadProgress)
    session.say('there was no progress to forget: the workers read from the first record anyway')
  const ended = await watchIfWanted(session, plan, options)
  if (!isText) await session.output.record({ ...planRecord(plan), ...ended })
  return EXIT.ok
}

type Ended = { readonly complete: boolean; readonly devices_after: number | null }

async function watchIfWanted(session: Session, plan: RebuildPlan, { wait }: RebuildOptions): Promise<Ended> {
  const unknown = { complete: false, devices_after: null }
  if (plan.workers === 0) {
    session.warn('no worker reports to this Redis: the rebuild begins when one is started')
    return unknown
  }
  if (!wait) {
    session.say('the rebuild has begun: cache-cli lag and cache-cli info show how far it is')
    return unknown
  }
  const progress = await watch(session, plan)
  if (!progress.isComplete) {
    session.say(
      `not watching any more at ${progress.done} of ${progress.total} records: the rebuild goes on by itself`,
    )
    return unknown
  }
  const devices = await plan.index.count()
  session.say(`the cache is complete again: ${progress.total} records read, ${devices} devices`)
  return { complete: true, devices_after: devices }
}

/** Until it is complete, or we are told to stop. */
async function watch(
  session: Session,
  { partitions, reports, store }: RebuildPlan,
): Promise<RebuildProgress> {
  const { context, stop } = session
  const numbers = partitions.map(({ partition }) => partition)
  const nothing = rebuildProgress(partitions, new Map())
  const bar = session.progress('records read again', nothing.total)
  let progress = nothing
  let workersLookedMs = context.now()
  let isAlone = false
  try {
    while (!stop.aborted) {
      const stored = await store.load(numbers)
      progress = rebuildProgress(
        partitions,
        new Map([...stored].map(([partition, { next }]) => [partition, next])),
      )
      bar.set(progress.done)
      if (progress.isComplete) return progress
      if (context.now() - workersLookedMs > WORKERS_LOOK_EVERY_MS) {
        workersLookedMs = context.now()
        const isAloneNow = (await reports.read()).length === 0
        if (isAloneNow && !isAlone) session.warn('no worker reports any more: the rebuild waits for one')
        isAlone = isAloneNow
      }
      await sleep(LOOK_EVERY_MS, stop)
    }
    return { ...progress, isComplete: false }
  } finally {
    bar.end()
  }
}

async function printPlan(session: Session, plan: RebuildPlan): Promise<void> {
  await session.output.rows(COLUMNS, plan.partitions)
  session.say(`topic ${plan.topic}, read by the group ${plan.group}; ${workersText(plan.workers)}`)
  if (plan.isRetentionShort) session.warn(plan.retention)
  else session.say(plan.retention)
  session.say(reachText(plan))
}

function workersText(workers: number): string {
  if (workers === 0) return 'no worker reports to this Redis'
  return workers === 1 ? 'one worker reports' : `${workers} workers report`
}

function reachText({ devices, devicesOutOfReach, oldestRecord }: RebuildPlan): string {
  if (oldestRecord === undefined) return `the topic is empty: none of the ${devices} devices would come back`
  const oldest = `the oldest record that is left is from ${oldestRecord}`
  if (devicesOutOfReach === 0) return `${oldest}: each of the ${devices} devices has a record there`
  return (
    `${oldest}: of ${devices} devices ${devicesOutOfReach} have no record there any more. ` +
    'They stay as they are, and could not be brought back if they were lost'
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
