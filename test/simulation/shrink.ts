import type { Schedule, Step } from './schedule.ts'

const MOST_TRIES = 300

/**
 * Removes what a failure does not need: whole runs of steps first, then steps, then records.
 *
 * @param fails whether a schedule still fails.
 */
export async function shrink(
  schedule: Schedule,
  fails: (schedule: Schedule) => Promise<boolean>,
): Promise<Schedule> {
  let smallest = schedule
  let tries = 0
  const attempt = async (steps: readonly Step[]) => {
    if (tries++ >= MOST_TRIES) return false
    const candidate = { ...smallest, steps }
    if (!(await fails(candidate))) return false
    smallest = candidate
    return true
  }
  for (
    let size = Math.ceil(smallest.steps.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let from = 0; from < smallest.steps.length;) {
      const steps = smallest.steps.toSpliced(from, size)
      if (!(await attempt(steps))) from += size
    }
  }
  for (const [i, step] of smallest.steps.entries()) {
    if (!('records' in step)) continue
    for (let at = step.records.length - 1; at >= 0; at--) {
      const current = smallest.steps[i]
      if (current === undefined || !('records' in current) || current.records.length === 1) break
      const fewer = { ...current, records: current.records.toSpliced(at, 1) }
      await attempt(smallest.steps.with(i, fewer))
    }
  }
  return smallest
}
