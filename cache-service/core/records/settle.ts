import type { DeviceId } from '../../../shared/contract/device-id.ts'
import type { ServiceError } from '../../../shared/errors.ts'
import type { ChunkPlan, Rejection } from './plan.ts'
import type { WriteOutcome } from './write-outcome.ts'

/** What became of a record. A closed set; a process's sum over it is what the process consumed. */
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
  /** Those of the plan and those that Redis refused, in the order of the records. */
  readonly rejections: readonly Rejection[]
  /** Every id whose hash exists, whatever its status: a crash may have come between hash and index. */
  readonly indexed: readonly DeviceId[]
  readonly unindexed: readonly DeviceId[]
}

/** Plan and answers → counts, dead letters, and what the device index must learn. */
export function settle(plan: ChunkPlan, outcome: WriteOutcome): Settled {
  const refusals: Rejection[] = []
  const unindexed = new Set<DeviceId>()
  let tombstones = plan.tombstones
  for (const [i, { index, deviceId }] of plan.deletes.entries()) {
    const status = outcome.deletes[i] ?? 'absent'
    if (typeof status === 'object') {
      refusals.push(refusal(index, status.refused))
      tombstones--
    } else if (status !== 'kept') {
      unindexed.add(deviceId)
    }
  }
  const counts = { changed: 0, unchanged: 0, stale: 0 }
  const indexed: DeviceId[] = []
  for (const [i, { index, deviceId }] of plan.updates.entries()) {
    const status = outcome.updates[i]
    if (status === undefined) throw new Error('a device of the plan has no answer')
    if (typeof status === 'object') {
      refusals.push(refusal(index, status.refused))
    } else {
      counts[status]++
      indexed.push(deviceId)
      unindexed.delete(deviceId)
    }
  }
  const rejections = [...plan.rejections, ...refusals].toSorted((a, b) => a.index - b.index)
  return {
    counts: {
      applied: counts.changed,
      unchanged: counts.unchanged,
      stale: counts.stale,
      superseded: plan.superseded,
      expired: plan.expired,
      tombstone: tombstones,
      skipped: plan.skipped,
      dead_lettered: rejections.length,
    },
    rejections,
    indexed,
    unindexed: [...unindexed],
  }
}

function refusal(index: number, error: ServiceError): Rejection {
  return {
    index,
    reason: error.code === 'WRONGTYPE' ? 'wrong_type' : 'refused_by_redis',
    detail: error.message,
  }
}
