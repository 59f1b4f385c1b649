import type { ResultCounts } from '../../../cache-service/core/records/settle.ts'

const NONE: ResultCounts = {
  applied: 0,
  unchanged: 0,
  stale: 0,
  superseded: 0,
  expired: 0,
  tombstone: 0,
  skipped: 0,
  dead_lettered: 0,
}

/** Zero, apart from the given counts. */
export function resultCounts(some: Partial<ResultCounts>): ResultCounts {
  return { ...NONE, ...some }
}
