/**
 * The worker keeps its progress in Redis beside the data. If Redis comes back without some of the data (wiped,
 * restored from an older snapshot, failed over to a lagging replica), it comes back with older progress, too.
 *
 * Offsets are the *next* offset: everything before it is in this Redis.
 */
export type ProgressVerdict =
  | { readonly kind: 'in_step' }
  /** It stands behind, or is missing, but there is nothing left to read again: write down where we are. */
  | { readonly kind: 'behind_nothing' }
  /** Redis lost what Kafka still has: read again from here. */
  | { readonly kind: 'lost'; readonly rewindTo: number }
  /** It belongs to an earlier life of the topic (deleted and created again): write down where we are. */
  | { readonly kind: 'foreign' }

/**
 * @param stored what Redis holds for the partition.
 * @param position the offset up to which the worker, or its predecessor's commit, believes to have applied.
 * @param earliest the first offset that Kafka still has.
 * @param end the partition's end offset.
 */
export function judgeProgress(
  stored: number | undefined,
  position: number,
  earliest: number,
  end: number,
): ProgressVerdict {
  if (stored !== undefined && stored > Math.max(end, position)) return { kind: 'foreign' }
  if (stored !== undefined && stored >= position) return { kind: 'in_step' }
  const rewindTo = Math.max(stored ?? earliest, earliest)
  return rewindTo < position ? { kind: 'lost', rewindTo } : { kind: 'behind_nothing' }
}
