import type { WorkerReport } from './worker-report.ts'

/** The progress that Redis holds for a topic and a group: the fields of the hash (see progressKey). */
export type ProgressFields = Readonly<Record<string, string>>

/**
 * Whether devices may be missing in Redis that Kafka still has: "not filled yet" is not "unknown".
 *
 * Workers report a rebuild, but the one that had begun it may have died, and a request may not have been noticed yet. The
 * progress in Redis shows both. If there is neither a worker, nor progress, nor any device, Redis has never been filled, or
 * has lost everything, and no one is there to notice. A live worker knows better: its topic may have no records. Devices
 * without progress were written by another program, which fills the cache instead of a worker.
 *
 * @param progress that of the configured topic and group, and of those that workers report.
 */
export function isRebuildPending(
  reports: readonly Pick<WorkerReport, 'rebuilding'>[],
  progress: readonly ProgressFields[],
  hasDevices: boolean,
): boolean {
  if (reports.some(({ rebuilding }) => rebuilding)) return true
  if (progress.some((fields) => Object.keys(fields).some((name) => isUnfinished(name, fields)))) return true
  return !hasDevices && reports.length === 0 && progress.every((fields) => Object.keys(fields).length === 0)
}

/** Whether the field is the mark of a rebuild that has not reached its end, or of one that has not begun. */
function isUnfinished(name: string, fields: ProgressFields): boolean {
  const [partition = '', mark] = name.split(':')
  if (mark === 'requested') return true
  if (mark !== 'until') return false
  const next = fields[partition]
  return next === undefined || Number(next) < Number(fields[name])
}

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
