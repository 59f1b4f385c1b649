import type { ServiceError } from '../../../shared/errors.ts'
import type { ChunkPlan, Rejection } from './plan.ts'
import type { WriteOutcome } from './write-outcome.ts'

/** What happened to a record. A closed set: the sum over all results is the number of records consumed. */
export const RECORD_RESULTS = [
  'applied',
  'unchanged',
  'stale',
  'superseded',
  'expired',
  'tombstone',
  'skipped',
  'dead_lettered',
] as const
export type RecordResult = (typeof RECORD_RESULTS)[number]
export type ResultCounts = Readonly<Record<RecordResult, number>>

export type Settled = {
  readonly counts: ResultCounts
  /** The plan's rejections and the records that Redis refused, in record order. */
  readonly rejections: readonly Rejection[]
}

/** Turns the plan and Redis's replies into counts and dead letters. */
export function settle(plan: ChunkPlan, outcome: WriteOutcome): Settled {
  const refusals: Rejection[] = []
  let tombstones = plan.tombstones
  for (const [i, { index }] of plan.deletes.entries()) {
    const status = outcome.deletes[i] ?? 'absent'
    if (typeof status !== 'object') continue
    refusals.push(refusal(index, status.refused))
    tombstones--
  }
  const counts = { changed: 0, unchanged: 0, stale: 0, expired: 0 }
  for (const [i, { index }] of plan.updates.entries()) {
    const status = outcome.updates[i]
    if (status === undefined) throw new Error('Redis returned no status for a planned update')
    if (typeof status === 'object') refusals.push(refusal(index, status.refused))
    else counts[status]++
  }
  const rejections = [...plan.rejections, ...refusals].toSorted((a, b) => a.index - b.index)
  return {
    counts: {
      applied: counts.changed,
      unchanged: counts.unchanged,
      stale: counts.stale,
      superseded: plan.superseded,
      expired: plan.expired + counts.expired,
      tombstone: tombstones,
      skipped: plan.skipped,
      dead_lettered: rejections.length,
    },
    rejections,
  }
}

function refusal(index: number, error: ServiceError): Rejection {
  return {
    index,
    reason: error.code === 'WRONGTYPE' ? 'wrong_type' : 'refused_by_redis',
    detail: error.message,
  }
}
