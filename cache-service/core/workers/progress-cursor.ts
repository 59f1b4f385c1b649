import type { ChunkOutcome } from '../records/chunk.ts'
import { judgeProgress, type ProgressVerdict, type StoredProgress } from './progress.ts'

/**
 * What the worker knows about one partition during one generation of the consumer group, as a state machine.
 * All offsets are the *next* offset.
 *
 * unknown (→ empty) → in_step ⇄ rebuilding. A loss leads from each of them to rewinding, and from there back.
 *
 * unknown     The partition has not been compared with Redis yet.
 *             Entered: by an assignment.
 *             Left: by the first comparison that has something to compare.
 * empty       The group has no commit and Kafka has no record: nothing can be lost.
 *             Entered: from unknown, by a comparison.
 *             Left: by the comparison before the first chunk, as from unknown; or for in_step, by a comparison that finds
 *             the mark of a rebuild, or the request for one: there is nothing to read.
 * in_step     Redis holds everything before `progress`, the offset that this worker has stored or found there.
 *             Entered: by a comparison that finds nothing lost; from rebuilding, by the chunk that reaches `until`;
 *             from every mode, by a comparison that finds progress of an earlier topic of the same name, which is
 *             overwritten, as the mark of its rebuild is removed. If the worker itself has read that topic further than
 *             the new one has records, it begins the new one at its earliest record.
 *             Left: by a comparison that finds a loss, or a cache that has yet to be filled.
 * rebuilding  As in_step, but the cache is complete again only at `until`: it is filled for the first time, or
 *             read again after a loss.
 *             Entered: by a comparison that finds this out, or finds the mark of an earlier worker in Redis.
 *             Left: by the chunk that reaches `until`; by a comparison that finds progress there, or that Kafka has
 *             deleted every record before it, so that no chunk comes; by a comparison that finds another loss.
 * rewinding   Redis lost data. The partition is to be read again from `to`, and no chunk from there has come yet. There
 *             is no `progress`, so that chunks fetched before the rewind advance nothing.
 *             Entered: by a comparison that finds a loss.
 *             Left: by the comparison before the first chunk from there, for rebuilding (or in_step, if another
 *             worker has completed the rebuild, or Kafka has deleted the records meanwhile: the chunk then has none).
 *
 * `until` is the end of the partition when the loss was found. The position is not enough: a rebuild commits lower
 * offsets than were committed before, and the mark of its end is in the Redis that may be lost a second time. For the
 * same reason, each step that finds the mark missing sets it again.
 *
 * A loss that `cache-cli rebuild` has requested leads to the same modes, and is reported as a request.
 */
export type ProgressCursor =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'empty' }
  | { readonly kind: 'in_step'; readonly progress: number }
  | { readonly kind: 'rebuilding'; readonly progress: number; readonly until: number }
  | { readonly kind: 'rewinding'; readonly to: number; readonly until: number }

type Comparison = {
  /** The offset up to which this worker, or the group's commit, claims to have applied records. */
  readonly position: number
  readonly storedProgress: number | undefined
  /** The mark of a rebuild in Redis: the offset at which the cache will be complete. */
  readonly storedUntil: number | undefined
  /** `cache-cli rebuild` has deleted the progress. */
  readonly isRequested: boolean
  readonly end: number
}

export type CursorInput =
  /** Compared: there is no commit, and no record. */
  | { readonly kind: 'no_records' }
  /** Compared: there are records but no commit, so the first chunk will begin at the earliest record. */
  | { readonly kind: 'no_commit' }
  /** Compared with the progress in Redis. */
  | (ProgressVerdict & Comparison)
  /** Compared: the position lies after the end, so what was read is of an earlier topic of the same name. */
  | ({ readonly kind: 'earlier_topic'; readonly earliest: number } & Comparison)
  /** A chunk that ends at `next` is written, and the progress in Redis was the cursor's. */
  | { readonly kind: 'advanced'; readonly next: number }
  /**
   * A chunk that ends at `next` is written, but Redis held the progress of another worker, which owns or owned the
   * partition and got further than this one had. It holds the greater of the two now.
   */
  | { readonly kind: 'overtaken'; readonly next: number; readonly storedProgress: number }

/** What the guard has to do, in the order of the list, to take a step. */
export type CursorEffect =
  /** Only if `stored` is still what Redis holds: a command may be executed late, after another one that was sent instead. */
  | { readonly kind: 'overwrite_progress'; readonly stored: number | undefined; readonly next: number }
  | { readonly kind: 'mark_rebuild'; readonly until: number }
  | { readonly kind: 'unmark_rebuild' }
  | { readonly kind: 'report_first_fill'; readonly until: number }
  | { readonly kind: 'report_rebuilt'; readonly next: number }
  | { readonly kind: 'report_overwritten'; readonly stored: number | undefined; readonly position: number }
  | {
      readonly kind: 'report_loss'
      readonly stored: number | undefined
      readonly position: number
      readonly rewindTo: number
    }
  | { readonly kind: 'report_requested'; readonly position: number; readonly rewindTo: number }

export type GuardVerdict =
  /** Nothing is lost: the chunk counts. */
  | { readonly kind: 'in_step' }
  /** Nothing of the chunk counts. */
  | Exclude<ChunkOutcome, { readonly kind: 'durable' }>

export type CursorStep = {
  readonly cursor: ProgressCursor
  readonly effects: readonly CursorEffect[]
  readonly verdict: GuardVerdict
}

export const UNKNOWN: ProgressCursor = { kind: 'unknown' }
export const IN_STEP: GuardVerdict = { kind: 'in_step' }
export const ABANDONED: GuardVerdict = { kind: 'abandoned' }

/** The progress that Redis should hold; undefined in the modes in which no chunk may advance it. */
export function progressOf(cursor: ProgressCursor): number | undefined {
  return cursor.kind === 'in_step' || cursor.kind === 'rebuilding' ? cursor.progress : undefined
}

/** Whether the periodic check has to ask Kafka about the partition, given what it has just loaded from Redis. */
export function needsComparison(cursor: ProgressCursor, stored: StoredProgress | undefined): boolean {
  switch (cursor.kind) {
    // The first chunk from there is compared.
    case 'rewinding':
      return false
    case 'unknown':
    // Kafka may delete the records that it is to read.
    case 'rebuilding':
      return true
    case 'empty':
      return isMarked(stored)
    case 'in_step':
      // A mark that is left was written late, by a process that no longer owns the partition, or is that of one that died.
      return isBehind(stored?.next, cursor.progress) || isMarked(stored)
  }
}

function isMarked(stored: StoredProgress | undefined): boolean {
  return stored?.rebuildUntil !== undefined || stored?.isRebuildRequested === true
}

function isBehind(storedProgress: number | undefined, progress: number): boolean {
  return storedProgress === undefined || storedProgress < progress
}

type KafkaBounds = { readonly earliest: number; readonly end: number }

/** @param claimed the offset up to which this worker, or the group's commit, claims to have applied records. */
export function compareProgress(
  claimed: number,
  { earliest, end }: KafkaBounds,
  stored: StoredProgress | undefined,
): CursorInput {
  // What Kafka has deleted can't be read again.
  const position = Math.max(claimed, earliest)
  const comparison = {
    position,
    storedProgress: stored?.next,
    storedUntil: stored?.rebuildUntil,
    isRequested: stored?.isRebuildRequested ?? false,
    end,
  }
  if (claimed > end) return { kind: 'earlier_topic', earliest, ...comparison }
  return { ...judgeProgress(stored, position, earliest, end), ...comparison }
}

/** In place of `compareProgress`, for a partition of which no record has been applied. */
export function compareNothing(kafka: KafkaBounds, stored: StoredProgress | undefined): CursorInput {
  if (kafka.end > kafka.earliest) return { kind: 'no_commit' }
  // A rebuild was begun or requested, and no record is left to read.
  return isMarked(stored) ? compareProgress(kafka.end, kafka, stored) : { kind: 'no_records' }
}

export function stepCursor(cursor: ProgressCursor, input: CursorInput): CursorStep {
  switch (input.kind) {
    case 'no_records':
      return { cursor: cursor.kind === 'unknown' ? { kind: 'empty' } : cursor, effects: [], verdict: IN_STEP }
    case 'no_commit':
      return { cursor, effects: [], verdict: IN_STEP }
    case 'in_step':
      return foundInStep(input, furthestUntil(cursor, input))
    case 'nothing_to_reread':
      return foundNothingToReread(input, furthestUntil(cursor, input))
    case 'foreign': {
      const { position, storedProgress } = input
      return {
        cursor: { kind: 'in_step', progress: position },
        effects: overwriteEarlier(storedProgress, position),
        verdict: IN_STEP,
      }
    }
    case 'earlier_topic': {
      const { earliest, storedProgress } = input
      return {
        cursor: { kind: 'in_step', progress: earliest },
        effects: overwriteEarlier(storedProgress, earliest),
        verdict: { kind: 'rewind', to: earliest },
      }
    }
    case 'lost': {
      const { end, isRequested, position, rewindTo, storedProgress } = input
      // The position may be newer than the end that was read before it.
      const until = Math.max(position, end)
      return {
        cursor: { kind: 'rewinding', to: rewindTo, until },
        effects: [
          { kind: 'mark_rebuild', until },
          // What is read again counts from there on, not from the progress that says too little.
          ...(storedProgress !== undefined && storedProgress > rewindTo
            ? [{ kind: 'overwrite_progress', stored: storedProgress, next: rewindTo } as const]
            : []),
          isRequested
            ? { kind: 'report_requested', position, rewindTo }
            : { kind: 'report_loss', stored: storedProgress, position, rewindTo },
        ],
        verdict: { kind: 'rewind', to: rewindTo },
      }
    }
    case 'advanced':
      return chunkWritten(cursor, input.next, undefined)
    case 'overtaken':
      return chunkWritten(cursor, input.next, input.storedProgress)
  }
}

/**
 * Whether the position, the stored progress, or the end of the rebuild lies after the end of the partition: they belong to an earlier
 * topic of the same name, unless the partition has grown since its end was read.
 */
export function isOfEarlierTopic(cursor: ProgressCursor, input: CursorInput): boolean {
  if (input.kind === 'foreign' || input.kind === 'earlier_topic') return true
  return 'end' in input && markedUntil(cursor, input) > Math.max(input.end, input.position)
}

/** The rebuild of an earlier topic is over as well. */
function overwriteEarlier(stored: number | undefined, position: number): CursorEffect[] {
  return [
    { kind: 'overwrite_progress', stored, next: position },
    { kind: 'unmark_rebuild' },
    { kind: 'report_overwritten', stored, position },
  ]
}

function markedUntil(cursor: ProgressCursor, { storedUntil = 0 }: Comparison): number {
  const ownUntil = cursor.kind === 'rebuilding' || cursor.kind === 'rewinding' ? cursor.until : 0
  return Math.max(ownUntil, storedUntil)
}

/** Where the rebuild ends that this worker or an earlier one has begun; 0: there is none. */
function furthestUntil(cursor: ProgressCursor, comparison: Comparison): number {
  return Math.min(markedUntil(cursor, comparison), Math.max(comparison.end, comparison.position))
}

function foundInStep(comparison: Comparison, until: number): CursorStep {
  const { isRequested, position, storedProgress, storedUntil } = comparison
  const progress = storedProgress ?? position
  if (until > progress)
    return {
      cursor: { kind: 'rebuilding', progress, until },
      effects: storedUntil === until && !isRequested ? [] : [{ kind: 'mark_rebuild', until }],
      verdict: IN_STEP,
    }
  return {
    cursor: { kind: 'in_step', progress },
    // The worker that completed the rebuild, or began the requested one, may have died before it removed the mark.
    effects: storedUntil === undefined && !isRequested ? [] : [{ kind: 'unmark_rebuild' }],
    verdict: IN_STEP,
  }
}

function foundNothingToReread(comparison: Comparison, until: number): CursorStep {
  const { end, position, storedProgress, storedUntil } = comparison
  const overwrite = { kind: 'overwrite_progress', stored: storedProgress, next: position } as const
  // The mark comes first: another worker that found only the progress would take the cache for complete.
  if (until > position)
    return {
      cursor: { kind: 'rebuilding', progress: position, until },
      effects: storedUntil === until ? [overwrite] : [{ kind: 'mark_rebuild', until }, overwrite],
      verdict: IN_STEP,
    }
  if (until > 0)
    return {
      cursor: { kind: 'in_step', progress: position },
      effects: [overwrite, { kind: 'unmark_rebuild' }, { kind: 'report_rebuilt', next: position }],
      verdict: IN_STEP,
    }
  if (storedProgress === undefined && end > position)
    return {
      cursor: { kind: 'rebuilding', progress: position, until: end },
      effects: [{ kind: 'mark_rebuild', until: end }, overwrite, { kind: 'report_first_fill', until: end }],
      verdict: IN_STEP,
    }
  return { cursor: { kind: 'in_step', progress: position }, effects: [overwrite], verdict: IN_STEP }
}

/** @param ahead the progress of another worker that Redis held instead of ours. */
function chunkWritten(cursor: ProgressCursor, next: number, ahead: number | undefined): CursorStep {
  if (cursor.kind !== 'in_step' && cursor.kind !== 'rebuilding')
    return { cursor, effects: [], verdict: ABANDONED }
  const progress = Math.max(ahead ?? cursor.progress, next)
  if (cursor.kind === 'rebuilding' && next >= cursor.until)
    return {
      cursor: { kind: 'in_step', progress },
      effects: [{ kind: 'unmark_rebuild' }, { kind: 'report_rebuilt', next }],
      verdict: IN_STEP,
    }
  // Progress that is not ours may come with an older Redis, which knows nothing of the rebuild.
  const isMarkUnknown = ahead !== undefined && cursor.kind === 'rebuilding'
  return {
    cursor: { ...cursor, progress },
    effects: isMarkUnknown ? [{ kind: 'mark_rebuild', until: cursor.until }] : [],
    verdict: IN_STEP,
  }
}
