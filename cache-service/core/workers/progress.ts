/**
 * The worker keeps its progress in Redis beside the data. If Redis comes back without some of the data (wiped,
 * restored from an older snapshot, failed over to a lagging replica), it also comes back with older progress.
 *
 * Offsets are the *next* offset: everything before it is in this Redis.
 */
/** What Redis holds for a partition. */
export type StoredProgress = {
  /** The next offset: everything before it is in this Redis. undefined: nothing is stored. */
  readonly next: number | undefined
  /**
   * False: if `next` is behind, what Redis lacks is not only what came after it (a master of a Cluster has got slots and lost
   * them again: progress-copies.ts).
   */
  readonly isWhole: boolean
  /** The offset at which the current rebuild of the partition is complete; undefined: there is no rebuild. */
  readonly rebuildUntil: number | undefined
  /** `cache-cli rebuild` has deleted the progress, and no worker has begun to read the partition again. */
  readonly isRebuildRequested: boolean
}

export type ProgressVerdict =
  | { readonly kind: 'in_step' }
  /** Stored progress is missing or behind, but Kafka has nothing left to read again: store the position. */
  | { readonly kind: 'nothing_to_reread' }
  /** Redis lost data that Kafka still has: read again from this offset. */
  | { readonly kind: 'lost'; readonly rewindTo: number }
  /** The progress belongs to an earlier topic of the same name, deleted since: store the position. */
  | { readonly kind: 'foreign' }

/**
 * @param progress what Redis holds for the partition.
 * @param position the offset up to which this worker, or the group's commit, claims to have applied records.
 * @param earliest the first offset that Kafka still has.
 * @param end the partition's end offset.
 */
export function judgeProgress(
  progress: Pick<StoredProgress, 'next' | 'isWhole'> | undefined,
  position: number,
  earliest: number,
  end: number,
): ProgressVerdict {
  const stored = progress?.next
  if (stored !== undefined && stored > Math.max(end, position)) return { kind: 'foreign' }
  if (stored !== undefined && stored >= position) return { kind: 'in_step' }
  const isUsable = progress?.isWhole === true
  const rewindTo = Math.max((isUsable ? stored : undefined) ?? earliest, earliest)
  return rewindTo < position ? { kind: 'lost', rewindTo } : { kind: 'nothing_to_reread' }
}
