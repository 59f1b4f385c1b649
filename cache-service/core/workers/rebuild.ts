/** A partition that is to be read again: from its earliest record up to its current end. */
export type RebuildTarget = { readonly partition: number; readonly from: number; readonly until: number }

export type RebuildProgress = {
  /** Records. */
  readonly done: number
  readonly total: number
  readonly isComplete: boolean
}

/** @param next the progress of each partition in Redis: everything before it has been read. */
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
