import { createSeededRandom, type SeededRandom } from '../simulator/seeded-random.ts'
import type { Step, StepRecord } from './schedule.ts'
import { PARTITIONS } from './settings.ts'

/** One seed in three is of a Redis Cluster; the others keep their schedules. */
const EVERY = 3
const REST = 2
/** A further stream of random numbers. */
const MASTERS = 7_919
/** Likewise: those that failed once keep their schedules. */
const IMPORTS = 2_203

const KINDS = [
  'move_slots',
  'move_slots',
  'move_slots',
  'add_master',
  'save_redis',
  'save_redis',
  'wipe_redis',
  'restore_redis',
  'fail_over_redis',
  'fail_over_redis',
  'cut_redis',
  'cut_redis_for_all',
  'kill_worker',
  'start_worker',
] as const
/** How long after what happened before it. */
const SOON_MS = 700

type WithMasters = {
  readonly masters: number
  readonly steps: readonly Step[]
  /** Further faults. */
  readonly more: readonly Step[]
}

/** Of a Cluster, each step on Redis happens to one of its masters or to all, and slots move. */
export function withSeveralMasters(
  steps: readonly Step[],
  seed: number,
  lengthMs: number,
  recordsFor: (random: SeededRandom, partition: number) => StepRecord[],
): WithMasters {
  if (seed % EVERY !== REST) return { masters: 1, steps, more: [] }
  const random = createSeededRandom(seed ^ MASTERS)
  const masters = 2 + random.below(3)
  const onOne = steps.map((step) => {
    const isOnOne = random.percent(80)
    return isOnOne && step.kind.includes('redis') ? { ...step, master: random.below(8) } : step
  })
  const more: Step[] = random.percent(60) ? lossAndMove(random, lengthMs) : []
  let atMs = random.below(lengthMs)
  for (let count = (more.length > 0 ? 0 : 2) + random.below(6); count > 0; count--) {
    // What follows soon is what goes wrong.
    atMs = random.percent(60) ? Math.min(lengthMs - 1, atMs + random.below(SOON_MS)) : random.below(lengthMs)
    more.push(stepOf(random, atMs))
  }
  const imports = createSeededRandom(seed ^ IMPORTS)
  if (imports.percent(40)) more.push(...importAndLoss(imports, recordsFor))
  return { masters, steps: onOne, more }
}

/** A master loses what came after a moment, and slots move to it or from it, before or soon after that. */
function lossAndMove(random: SeededRandom, lengthMs: number): Step[] {
  const a = random.below(4)
  const b = a + 1
  const savedMs = random.below(lengthMs / 2)
  const lostMs = savedMs + 100 + random.below(lengthMs / 2 - 100)
  const kind = random.pick(['fail_over_redis', 'restore_redis', 'wipe_redis'] as const)
  const isImport = random.percent(70)
  const [percent, parts] = [random.pick([50, 100, 100]), 1 + random.below(2)]
  return [
    { kind: 'save_redis', atMs: savedMs, master: b },
    kind === 'fail_over_redis'
      ? { kind, atMs: lostMs, master: b, forMs: random.pick([0, 50]) }
      : { kind, atMs: lostMs, master: b },
    {
      kind: 'move_slots',
      atMs: Math.max(savedMs, lostMs - SOON_MS + random.below(2 * SOON_MS)),
      master: isImport ? a : b,
      to: isImport ? b : a,
      percent,
      parts,
      forMs: 20,
    },
  ]
}

/**
 * A master gets slots, and soon falls back to a time before that: its copy of the progress tells how far, but not that it also lacks
 * what came with the slots.
 */
function importAndLoss(
  random: SeededRandom,
  recordsFor: (random: SeededRandom, partition: number) => StepRecord[],
): Step[] {
  const from = random.below(4)
  const master = from + 1
  const movedMs = 1_500 + random.below(1_000)
  // When the worker knows of the new owners, and before it has written their copies.
  const lostMs = movedMs + 1_550 + random.below(900)
  const savedMs = movedMs - 700 - random.below(700)
  const produced = Array.from({ length: PARTITIONS }, (_, partition): Step => {
    const atMs = savedMs + 50 + random.below(300)
    // What is read again must not bring back what came with the slots.
    return { kind: 'produce', atMs, partition, records: recordsFor(random, partition).slice(0, 1) }
  })
  return [
    { kind: 'save_redis', atMs: savedMs, master },
    ...produced,
    // Not all, so that the copy of the progress is not among them: the loss of that would be noticed.
    { kind: 'move_slots', atMs: movedMs, master: from, to: master, percent: 60, parts: 1, forMs: 20 },
    random.percent(70)
      ? { kind: 'restore_redis', atMs: lostMs, master }
      : { kind: 'fail_over_redis', atMs: lostMs, master, forMs: 0 },
  ]
}

function stepOf(random: SeededRandom, atMs: number): Step {
  const kind = random.pick(KINDS)
  const master = random.below(8)
  const worker = `w${1 + random.below(2)}`
  switch (kind) {
    case 'move_slots': {
      const percent = random.pick([10, 50, 90, 100])
      const forMs = random.pick([20, 300, 2_000])
      return { kind, atMs, master, to: random.below(8), percent, parts: 1 + random.below(3), forMs }
    }
    case 'fail_over_redis':
      return { kind, atMs, master, forMs: random.pick([0, 50, 500, 3_000]), isInSync: random.percent(40) }
    case 'cut_redis':
      return { kind, atMs, master, worker, forMs: random.pick([0, 100, 2_000]) }
    case 'cut_redis_for_all':
      return { kind, atMs, master, forMs: random.pick([100, 1_000, 6_000]) }
    case 'kill_worker':
    case 'start_worker':
      return { kind, atMs, worker }
    case 'add_master':
    case 'save_redis':
    case 'wipe_redis':
    case 'restore_redis':
      return { kind, atMs, master }
  }
}
