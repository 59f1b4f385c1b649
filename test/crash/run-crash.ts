import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { messageOf } from '../../shared/errors.ts'
import { SWEEPER_LEASE_KEY } from '../../shared/contract/keys.ts'
import { requestRebuild } from '../../cache-service/redis/workers/group-progress.ts'
import type { FleetOptions } from '../simulator/device-fleet.ts'
import { createSeededRandom, type SeededRandom } from '../simulator/seeded-random.ts'
import { eventually } from '../support/eventually.ts'
import { assertNone } from '../support/oracle/oracle.ts'
import { startPollingReader, type PollingReader } from '../support/oracle/polling-reader.ts'
import { withWorkerScenario } from '../support/processes/scenario-run.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'
import type { WorkerScenario } from '../support/processes/worker-scenario.ts'
import { readHash } from '../support/servers/redis-connection.ts'
import { CRASH_POINTS } from './crash-points.ts'

const GHOST = 'ghost-without-a-hash'
const SWEEPER_LEASE_MS = 30_000
const MOST_VISITS = 6
const REBALANCE_EVERY_MS = 10_000
const BURST_EVERY_MS = 2_000
const BURST_RECORDS = 300
/** Seconds at most on a machine that does nothing else. */
const LONGEST_STEP_MS = 180_000

/** Small steps, so that each point is reached often. */
const SETTINGS = {
  CHUNK_MAX_RECORDS: '60',
  KAFKA_FETCH_MAX_BYTES_PER_PARTITION: '20000',
  REDIS_SCRIPT_MAX_KEYS: '7',
  KAFKA_COMMIT_INTERVAL_S: '0.1',
  DEVICES_SWEEP_INTERVAL_S: '1',
  LOG_LEVEL: 'INFO',
}

/** Everything that a seed decides. */
export type CrashPlan = {
  readonly seed: number
  readonly point: string
  readonly visit: number
  /** Another worker shares the partitions from the beginning. */
  readonly hasPartner: boolean
  readonly backlog: number
  /** Afterwards everything is read again, which must change no hash. */
  readonly rereads: boolean
}

/** Consecutive seeds take turns at the points. */
export function planCrash(seed: number): CrashPlan {
  const names = Object.keys(CRASH_POINTS)
  const point = names[seed % names.length] ?? ''
  const { once, trigger } = CRASH_POINTS[point] ?? {}
  const random: SeededRandom = createSeededRandom(seed)
  return {
    seed,
    point,
    visit: once === true ? 1 : 1 + random.below(MOST_VISITS),
    hasPartner: trigger === 'load' && random.percent(30),
    backlog: 800 + random.below(1_200),
    rereads: random.percent(25),
  }
}

export function describePlan({ seed, point, visit, hasPartner, rereads }: CrashPlan): string {
  const details = [hasPartner ? 'two workers' : '', rereads ? 'rereads' : ''].filter((part) => part !== '')
  return `seed ${seed}: ${point} (visit ${visit}${details.map((detail) => `, ${detail}`).join('')})`
}

/** Rejects if the worker does not reach the point, or if anything is wrong afterwards. */
export async function runCrash(plan: CrashPlan, brokers: readonly string[]): Promise<void> {
  const options = { kafka: { brokers }, ownRedis: {}, env: SETTINGS }
  try {
    await withWorkerScenario(options, async (scenario) => {
      const reader = startPollingReader(scenario.redis, () => ids(scenario))
      try {
        await crashAndRecover(plan, scenario, reader)
      } finally {
        await reader.stop()
      }
    })
  } catch (error) {
    throw new Error(`${describePlan(plan)}: ${messageOf(error)}`, { cause: error })
  }
}

async function crashAndRecover(
  plan: CrashPlan,
  scenario: WorkerScenario,
  reader: PollingReader,
): Promise<void> {
  const { oracle, redis } = scenario
  const trigger = CRASH_POINTS[plan.point]?.trigger
  const fleet = { devices: 100, seed: plan.seed, awkwardPercent: 6, invalidPercent: 3, tombstonePercent: 3 }
  await scenario.sendFleet(plan.backlog, fleet)
  if (trigger === 'rebuild') await applyAndLose(scenario, reader)
  const load = scenario.startLoad({ ...fleet, seed: plan.seed + 1, perSecond: 50 })
  const partner = plan.hasPartner ? await scenario.startWorker() : undefined
  if (trigger === 'ghost') await redis.sadd('devices', GHOST)
  const victim = await scenario.startWorker({
    NODE_OPTIONS: '--import ./test/crash/arm.ts',
    CRASH_POINT: plan.point,
    CRASH_VISIT: String(plan.visit),
  })
  const other = await pull(trigger, scenario, victim, reader)
  const reaching = reachesThePoint(plan, victim)
  if (trigger === 'rebalance') await rebalanceUntil(reaching, scenario)
  // A partner may have read the backlog by now, and what comes after it comes in fetches of a few records.
  if (plan.hasPartner) await sendBurstsUntil(reaching, scenario, { ...fleet, seed: plan.seed + 2 })
  await reaching
  await load.stop()

  const survivor = partner ?? other
  const hasLost = trigger === 'loss' || trigger === 'rebuild'
  const committed = await oracle.committed()
  if (survivor === undefined && !hasLost) assertNone(await oracle.differencesBelowCommit())
  if (trigger === 'ghost') await endSweeperLease(scenario)
  const successor = survivor ?? (await scenario.startWorker())
  if (trigger === 'ghost') {
    await within(async () => {
      if ((await redis.sismember('devices', GHOST)) === 1) throw new Error('the ghost is still in the index')
    })
  }
  await oracle.assertCaughtUp({}, LONGEST_STEP_MS)
  await successor.ready(LONGEST_STEP_MS)
  if (survivor === undefined && !hasLost) await readsTheRest(scenario, successor, committed)
  if (plan.rereads) await rereadsWithoutChange(scenario, successor)
  assertNone(await reader.stop(deletedIds(scenario)))
  if (reader.polls === 0) throw new Error('the reader has read nothing')
  const code = await successor.stop()
  if (code !== 0) throw new Error(`the worker that took over exited with ${code}`)
  assertSilent(successor)
}

/** @returns the other worker, if the trigger is its start. */
async function pull(
  trigger: string | undefined,
  scenario: WorkerScenario,
  victim: WorkerProcess,
  reader: PollingReader,
): Promise<WorkerProcess | undefined> {
  if (trigger !== 'loss' && trigger !== 'sigterm' && trigger !== 'rebalance') return undefined
  await within(async () => {
    if ((await victim.consumed()) < 300) throw new Error('the worker has not consumed much yet')
  }, 10)
  if (trigger === 'rebalance') return await scenario.startWorker()
  if (trigger === 'loss') await reader.duringLoss(() => scenario.redis.flushall())
  else victim.kill('SIGTERM')
  return undefined
}

/**
 * A rebalance is noticed by whichever heartbeat comes next: that of a handler, or that of KafkaJS between two fetches. So
 * workers come and go until it happens where the point is.
 */
async function rebalanceUntil(reached: Promise<void>, { startWorker }: WorkerScenario): Promise<void> {
  await repeatUntil(reached, REBALANCE_EVERY_MS, async () => {
    const guest = await startWorker()
    await guest.ready(LONGEST_STEP_MS)
    await guest.stop()
  })
}

async function sendBurstsUntil(
  reached: Promise<void>,
  scenario: WorkerScenario,
  fleet: FleetOptions,
): Promise<void> {
  let seed = fleet.seed
  await repeatUntil(reached, BURST_EVERY_MS, () =>
    scenario.sendFleet(BURST_RECORDS, { ...fleet, seed: seed++ }),
  )
}

/** @param until an error ends it as well, and is left to those who wait for it. */
async function repeatUntil(
  until: Promise<void>,
  everyMs: number,
  action: () => Promise<void>,
): Promise<void> {
  let isOver = false
  const over = until.finally(() => (isOver = true)).catch(() => undefined)
  for (;;) {
    await Promise.race([over, sleep(everyMs)])
    if (isOver) return
    await action()
  }
}

async function reachesThePoint({ point }: CrashPlan, victim: WorkerProcess): Promise<void> {
  const overdue = Promise.withResolvers<'overdue'>()
  const timer = setTimeout(() => overdue.resolve('overdue'), LONGEST_STEP_MS)
  const outcome = await Promise.race([victim.exit, overdue.promise])
  clearTimeout(timer)
  if (outcome === 'SIGKILL' && victim.errors === `crash point reached: ${point}\n`) return
  throw new Error(`the crash point was never reached: the worker ended with ${outcome} ${victim.errors}`)
}

/** Everything is applied, and then lost, before the worker that is to crash starts. */
async function applyAndLose({ oracle, redis, startWorker }: WorkerScenario, reader: PollingReader) {
  const worker = await startWorker()
  await oracle.caughtUp(LONGEST_STEP_MS)
  await worker.stop()
  await reader.duringLoss(() => redis.flushall())
}

/** The lease of a dead sweeper expires; the run does not wait for that. */
async function endSweeperLease({ redis }: WorkerScenario): Promise<void> {
  const ttlMs = await redis.pttl(SWEEPER_LEASE_KEY)
  if (ttlMs === -1 || ttlMs > SWEEPER_LEASE_MS)
    throw new Error(`the lease of the sweeper expires in ${ttlMs} ms`)
  await redis.del(SWEEPER_LEASE_KEY)
}

/** The only worker consumed exactly what was not committed when it began. */
async function readsTheRest(
  { oracle }: WorkerScenario,
  worker: WorkerProcess,
  committed: ReadonlyMap<number, number>,
): Promise<void> {
  const sum = (offsets: ReadonlyMap<number, number>) =>
    [...offsets.values()].reduce((total, n) => total + n, 0)
  const [rest, consumed] = [sum(oracle.ends()) - sum(committed), await worker.consumed()]
  if (consumed !== rest)
    throw new Error(`the worker that took over consumed ${consumed} records, not ${rest}`)
}

async function rereadsWithoutChange(scenario: WorkerScenario, worker: WorkerProcess): Promise<void> {
  const { group, oracle, partitions, redis, topic } = scenario
  const hashes = () => Promise.all(ids(scenario).map((id) => readHash(redis, `device:${id}:metadata`)))
  const before = await hashes()
  const consumedBefore = await worker.consumed()
  await requestRebuild(
    redis,
    group,
    topic,
    Array.from({ length: partitions }, (_, i) => i),
  )
  await within(async () => {
    const again = (await worker.consumed()) - consumedBefore
    if (again < oracle.produced) throw new Error(`${again} of ${oracle.produced} records are read again`)
  })
  await worker.ready(LONGEST_STEP_MS)
  await oracle.assertCaughtUp({}, LONGEST_STEP_MS)
  if (!isDeepStrictEqual(await hashes(), before)) throw new Error('rereading changed a hash')
}

/** Nothing on stderr, and no bug in the log. */
function assertSilent(worker: WorkerProcess): void {
  const fatal = worker.logLines().filter(({ level }) => level === 'fatal')
  if (worker.errors !== '' || fatal.length > 0) {
    throw new Error(`the worker that took over wrote: ${worker.errors}${JSON.stringify(fatal)}`)
  }
}

function within(check: () => Promise<void>, everyMs?: number): Promise<void> {
  return eventually(check, { timeoutMs: LONGEST_STEP_MS, ...(everyMs !== undefined && { everyMs }) })
}

function ids({ oracle }: WorkerScenario): string[] {
  return [
    ...new Set(
      oracle.records.flatMap(({ expectation }) => ('deviceId' in expectation ? [expectation.deviceId] : [])),
    ),
  ]
}

function deletedIds({ oracle }: WorkerScenario): Set<string> {
  const tombstones = oracle.records.flatMap(({ expectation }) =>
    expectation.outcome === 'tombstone' ? [expectation.deviceId] : [],
  )
  return new Set(tombstones)
}
