import { createSeededRandom, type SeededRandom } from '../simulator/seeded-random.ts'
import type { Schedule, Step, StepRecord } from './schedule.ts'
import { MOST_PARTITIONS, PARTITIONS } from './settings.ts'
import { withSeveralMasters } from './several-masters.ts'

const DEVICES_PER_PARTITION = 3
const LENGTH_MS = 5_000

type StepKind = Step['kind']
const FAULTS: readonly (readonly [StepKind, weight: number])[] = [
  ['start_worker', 6],
  ['stop_worker', 4],
  ['kill_worker', 5],
  ['freeze_worker', 6],
  ['cut_redis', 8],
  ['cut_redis_for_all', 3],
  ['kafka_down', 5],
  ['refuse_commits', 3],
  ['move_coordinator', 3],
  ['delete_records', 4],
  ['redis_full', 3],
  ['redis_readonly', 2],
  ['save_redis', 5],
  ['wipe_redis', 4],
  ['restore_redis', 5],
  ['fail_over_redis', 4],
  ['forget_scripts', 3],
  ['request_rebuild', 2],
  ['transaction', 5],
]
/** A further stream of random numbers: with this number, those that failed once keep their schedules. */
const MORE = 454
/** Likewise, for the recreated topic. */
const RECREATED = 1_771
const LONGEST_BETWEEN_MS = 60
const MORE_FAULTS = ['hang_redis', 'load_redis', 'add_partition', 'delete_records'] as const
/**
 * Not together with a topic that is created again: progress of the old topic that comes back, and is within the new one, is taken
 * for that of the new one; and a loss that is found by a chunk of the old topic is a rebuild up to the position in that topic.
 */
const LOSES_DATA = new Set<StepKind>([
  'wipe_redis',
  'restore_redis',
  'load_redis',
  'fail_over_redis',
  'request_rebuild',
])
const CAUSES_LATE_WRITES = new Set<StepKind>([
  'freeze_worker',
  'kill_worker',
  'start_worker',
  'cut_redis',
  'cut_redis_for_all',
  'fail_over_redis',
  'hang_redis',
])
const WEIGHTS = FAULTS.reduce((sum, [, weight]) => sum + weight, 0)

/** The schedule of a seed. */
export function createSchedule(seed: number): Schedule {
  const random = createSeededRandom(seed)
  // Compaction keeps the last record, not the greatest: then a device's records must be in order.
  const isCompacted = random.percent(20)
  // A tombstone leaves nothing behind that could tell a late write from a new one: a process that writes what it read before
  // another one took over may bring a device back, or take one away, until its next record. So with tombstones, no process
  // writes late.
  const hasTombstones = random.percent(30)
  const steps: Step[] = [{ kind: 'start_worker', atMs: 0, worker: 'w1' }]
  const workers = ['w1']
  const produces = 5 + random.below(10)
  for (let i = 0; i < produces; i++) {
    const partition = random.below(PARTITIONS)
    const records = recordsFor(random, partition, { isCompacted, hasTombstones })
    steps.push({ kind: 'produce', atMs: random.below(LENGTH_MS), partition, records })
  }
  if (isCompacted) {
    for (let i = 0; i <= random.below(3); i++)
      steps.push({ kind: 'compact', atMs: random.below(LENGTH_MS), partition: random.below(PARTITIONS) })
  }
  if (random.percent(15)) {
    const addedMs = random.below(LENGTH_MS)
    steps.push({ kind: 'add_partition', atMs: addedMs })
    for (let i = 0; i <= random.below(4); i++) {
      const records = recordsFor(random, PARTITIONS, { isCompacted, hasTombstones })
      const atMs = addedMs + random.below(LENGTH_MS - addedMs) + 1
      steps.push({ kind: 'produce', atMs, partition: PARTITIONS, records })
    }
  }
  const faults = random.below(9)
  for (let i = 0; i < faults; i++) {
    const kind = pickFault(random)
    if (hasTombstones && CAUSES_LATE_WRITES.has(kind)) continue
    const atMs = random.below(LENGTH_MS)
    const worker = random.pick(workers)
    switch (kind) {
      case 'start_worker':
        if (workers.length >= 3) break
        workers.push(`w${workers.length + 1}`)
        steps.push({ kind, atMs, worker: workers.at(-1) ?? '' })
        break
      case 'stop_worker':
      case 'kill_worker':
        steps.push({ kind, atMs, worker })
        break
      case 'freeze_worker':
        steps.push({ kind, atMs, worker, forMs: random.pick([50, 1_000, 3_000, 6_000]) })
        break
      case 'cut_redis':
        steps.push({ kind, atMs, worker, forMs: random.pick([0, 100, 2_000]) })
        break
      case 'cut_redis_for_all':
      case 'kafka_down':
      case 'refuse_commits':
      case 'move_coordinator':
      case 'fail_over_redis':
      case 'redis_full':
      case 'redis_readonly':
      case 'hang_redis':
      case 'load_redis':
        steps.push({ kind, atMs, forMs: random.pick([50, 500, 2_000, 6_000]) })
        break
      case 'transaction': {
        const partition = random.below(PARTITIONS)
        const records = recordsFor(random, partition, { isCompacted, hasTombstones })
        steps.push({ kind, atMs, partition, records, isCommitted: random.percent(50) })
        break
      }
      case 'save_redis':
      case 'wipe_redis':
      case 'restore_redis':
      case 'forget_scripts':
      case 'request_rebuild':
        steps.push({ kind, atMs })
        break
      case 'delete_records':
        // A tombstone that was deleted before it was read leaves its device as it was.
        if (hasTombstones) break
        steps.push({ kind, atMs, partition: random.below(PARTITIONS), percent: random.pick([30, 60, 100]) })
        break
      case 'compact':
      case 'add_partition':
      case 'recreate_topic':
      case 'produce':
      case 'move_slots':
      case 'add_master':
        break
    }
  }
  const all = withRecreation(withMore(steps, seed, hasTombstones), seed, { hasTombstones, isCompacted })
  const {
    masters,
    more,
    steps: planned,
  } = all.some(({ kind }) => kind === 'recreate_topic')
    ? { masters: 1, more: [], steps: all }
    : withSeveralMasters(all, seed, LENGTH_MS, (one, partition) =>
        recordsFor(one, partition, { hasTombstones, isCompacted }),
      )
  const ordered = [...planned, ...more.filter(({ kind }) => !hasTombstones || !isUnfitForTombstones(kind))]
  return { seed, partitions: PARTITIONS, masters, steps: ordered.toSorted((a, b) => a.atMs - b.atMs) }
}

/** To a few schedules, adds a topic that is deleted, created again, and filled again. */
function withRecreation(
  steps: readonly Step[],
  seed: number,
  records: { readonly hasTombstones: boolean; readonly isCompacted: boolean },
): readonly Step[] {
  const random = createSeededRandom(seed ^ RECREATED)
  // A tombstone that was deleted before it was read leaves its device as it was.
  if (records.hasTombstones || !random.percent(8)) return steps
  const atMs = random.below(LENGTH_MS)
  const produces = Array.from({ length: random.below(5) }, (): Step => {
    const partition = random.below(PARTITIONS)
    return {
      kind: 'produce',
      atMs: atMs + random.below(LENGTH_MS - atMs),
      partition,
      records: recordsFor(random, partition, records),
    }
  })
  return [
    ...steps.filter(({ kind }) => !LOSES_DATA.has(kind)),
    { kind: 'recreate_topic', atMs, forMs: random.pick([0, 5, 300, 4_000]) },
    ...produces,
  ]
}

/** To most schedules, adds faults, and lets several things happen within one reply of a server. */
function withMore(steps: readonly Step[], seed: number, hasTombstones: boolean): readonly Step[] {
  const random = createSeededRandom(seed ^ MORE)
  if (!random.percent(60)) return steps
  const more = Array.from({ length: random.below(4) }, (): Step => {
    const kind = random.pick(MORE_FAULTS)
    const atMs = random.below(LENGTH_MS)
    switch (kind) {
      case 'add_partition':
        return { kind, atMs }
      case 'delete_records':
        return { kind, atMs, partition: random.below(PARTITIONS), percent: 100 }
      case 'hang_redis':
      case 'load_redis':
        return { kind, atMs, forMs: random.pick([20, 500, 3_000, 9_000]) }
    }
  })
  const all = [...steps, ...more.filter(({ kind }) => !hasTombstones || !isUnfitForTombstones(kind))]
  return all.map((step, i) => {
    if (i === 0 || !random.percent(40)) return step
    const atMs = (all[random.below(all.length)]?.atMs ?? 0) + random.below(LONGEST_BETWEEN_MS)
    return { ...step, atMs: Math.min(LENGTH_MS - 1, atMs) }
  })
}

function isUnfitForTombstones(kind: StepKind): boolean {
  // A tombstone that was deleted before it was read leaves its device as it was.
  return kind === 'delete_records' || CAUSES_LATE_WRITES.has(kind)
}

function pickFault(random: SeededRandom): StepKind {
  let at = random.below(WEIGHTS)
  for (const [kind, weight] of FAULTS) {
    at -= weight
    if (at < 0) return kind
  }
  return 'kill_worker'
}

/** The devices of a partition: a device stays in one partition, as with a keyed producer. */
function recordsFor(
  random: SeededRandom,
  partition: number,
  { hasTombstones, isCompacted }: { readonly hasTombstones: boolean; readonly isCompacted: boolean },
): StepRecord[] {
  return Array.from({ length: 1 + random.below(5) }, (): StepRecord => {
    const device = random.below(DEVICES_PER_PARTITION) * MOST_PARTITIONS + partition
    if (hasTombstones && random.percent(8)) return { kind: 'tombstone', device }
    // Compaction would keep an invalid record instead of the update before it.
    if (!isCompacted && random.percent(10)) return { kind: 'invalid', device }
    const eventAgeMs = isCompacted || random.percent(70) ? 0 : random.below(8) * 1_000
    return {
      kind: 'update',
      device,
      eventAgeMs,
      name: random.pick(['a', 'b', 'c']),
      unit: random.pick(['', 'x', 'y']),
    }
  })
}
