/** A partition that is to be read again: from the first record that Kafka has, up to the end as it is now. */
export type RebuildTarget = { readonly partition: number; readonly from: number; readonly until: number }

export type RebuildProgress = {
  /** Records. */
  readonly done: number
  readonly total: number
  readonly isComplete: boolean
}

/** @param next what Redis holds of each partition: everything before it has been read. */
export function rebuildProgress(
  targets: readonly RebuildTarget[],
  next: ReadonlyMap<number, number | undefined>,
): RebuildProgress {
  let done = 0
  let total = 0
  for (const { partition, from, until } of targets) {
    const size = Math.max(0, until - from)
    total += size
    done += Math.min(size, Math.max(0, (next.get(partition) ?? from) - from))
  }
  return { done, total, isComplete: done === total }
}
