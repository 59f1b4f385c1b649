import type { ServiceError } from '../../../shared/errors.ts'
import type { DeadLetterFilter } from '../../core/dead-letters/filter.ts'
import type { StoredDeadLetter } from '../../core/dead-letters/stored-dead-letter.ts'
import {
  scanDeadLetters,
  type DeadLetterScanDependencies,
  type ScannedDeadLetters,
} from './dead-letter-scan.ts'
import type { Replay } from './replay.ts'
import { FAILED_RESULTS, type ReplayOutcome, type ReplayResult } from './replay-target.ts'

export type ReplayedDeadLetter = { readonly deadLetter: StoredDeadLetter; readonly outcome: ReplayOutcome }

export type ReplaySummary = {
  readonly scanned: ScannedDeadLetters
  readonly counts: Readonly<Record<ReplayResult, number>>
  readonly failed: number
  /** The outage that ended the run early; the remaining dead letters can be replayed later. */
  readonly endedBy: ServiceError | undefined
  /** True if the run was stopped: the batch in progress was finished, the rest was not replayed. */
  readonly isInterrupted: boolean
}

/** A batch is held in memory; its dead letters of different devices are replayed concurrently. */
const DEAD_LETTERS_PER_BATCH = 64
const BYTES_PER_BATCH = 8 * 1024 * 1024

/** Replays all dead letters that match the filter, and reports each. Rejects with a ServiceError. */
export async function runReplay(
  scan: DeadLetterScanDependencies,
  filter: DeadLetterFilter,
  replay: Replay,
  report: (replayed: ReplayedDeadLetter) => Promise<void> | void,
): Promise<ReplaySummary> {
  const counts = noResults()
  let batch: StoredDeadLetter[] = []
  let bytes = 0
  let failed = 0

  async function flush(): Promise<void> {
    const deadLetters = batch
    batch = []
    bytes = 0
    const outcomes = await replay(deadLetters)
    let outage: ServiceError | undefined
    for (const [i, outcome] of outcomes.entries()) {
      const deadLetter = deadLetters[i]
      if (deadLetter === undefined) continue
      counts[outcome.result]++
      if (FAILED_RESULTS.has(outcome.result)) failed++
      outage ??= outcome.outage
      await report({ deadLetter, outcome })
    }
    if (outage !== undefined) throw new EndedByOutage(outage)
  }

  let scanned: ScannedDeadLetters = { read: 0, matching: 0, foreign: 0, cut: [] }
  let endedBy: ServiceError | undefined
  let flushing = Promise.resolve()
  try {
    scanned = await scanDeadLetters(scan, filter, async (deadLetter) => {
      batch.push(deadLetter)
      bytes += deadLetter.original.bytes?.length ?? 0
      if (batch.length < DEAD_LETTERS_PER_BATCH && bytes < BYTES_PER_BATCH) return
      flushing = flush()
      await flushing
    })
    flushing = flush()
    await flushing
  } catch (error) {
    // Reading stops immediately, but the outcomes of the batch in progress must still be recorded.
    await flushing.catch(() => undefined)
    if (error instanceof EndedByOutage) endedBy = error.outage
    else if (!scan.stop.aborted) throw error
  }
  return { scanned, counts, failed, endedBy, isInterrupted: scan.stop.aborted }
}

function noResults(): Record<ReplayResult, number> {
  return {
    applied: 0,
    unchanged: 0,
    stale: 0,
    tombstone: 0,
    expired: 0,
    skipped: 0,
    sent: 0,
    already_replayed: 0,
    still_invalid: 0,
    replayed_too_often: 0,
    original_gone: 0,
    outcome_unknown: 0,
    failed: 0,
  }
}

class EndedByOutage extends Error {
  readonly outage: ServiceError

  constructor(outage: ServiceError) {
    super(outage.message)
    this.outage = outage
  }
}
