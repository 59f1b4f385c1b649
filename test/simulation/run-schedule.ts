import type { Schedule } from './schedule.ts'
import { useTimersOf } from './simulated-timers.ts'
import { World } from './world.ts'

export type Outcome =
  | { readonly kind: 'passed'; readonly events: number; readonly trace: () => readonly string[] }
  | { readonly kind: 'failed'; readonly why: string; readonly trace: () => readonly string[] }

/** Long enough for a check of the progress. */
const REST_MS = 3_500
const COMPARISON_INTERVAL_MS = 1_000
const LONGEST_WAY_TO_REST_MS = 300_000

/** Runs a schedule, ends all faults, waits until everything is at rest, and compares with the model. */
export async function runSchedule(schedule: Schedule): Promise<Outcome> {
  const world = new World(schedule)
  useTimersOf(world.scheduler)
  try {
    const why = await violationOf(schedule, world)
    const trace = () => world.trace()
    if (why !== undefined) return { kind: 'failed', why, trace }
    return { kind: 'passed', events: world.scheduler.events, trace }
  } finally {
    world.abandon()
    await world.scheduler.settled()
  }
}

async function violationOf(schedule: Schedule, world: World): Promise<string | undefined> {
  for (const step of schedule.steps) {
    await world.scheduler.runFor(step.atMs - world.elapsedMs)
    if (world.violation !== undefined) return world.violation
    world.take(step)
  }
  world.endFaults()
  const deadlineMs = world.elapsedMs + LONGEST_WAY_TO_REST_MS
  let restSinceMs: number | undefined
  let difference: string | undefined
  while (world.elapsedMs < deadlineMs) {
    await world.scheduler.runFor(COMPARISON_INTERVAL_MS)
    if (world.violation !== undefined) return world.violation
    difference = world.differenceAtRest()
    restSinceMs = difference === undefined ? (restSinceMs ?? world.elapsedMs) : undefined
    if (restSinceMs !== undefined && world.elapsedMs - restSinceMs >= REST_MS) return undefined
  }
  return `it has not come to rest: ${difference ?? 'it changes again and again'}`
}
