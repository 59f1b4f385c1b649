import type { ReplaySummary } from '../../../pipeline/replay/replay-run.ts'
import { FAILED_RESULTS, REPLAY_RESULTS, type ReplayResult } from '../../../pipeline/replay/replay-target.ts'
import type { Session } from '../../session.ts'
import type { Column } from '../../terminal/table.ts'

export type ReplayMode = { readonly to: 'cache' | 'topic'; readonly isDryRun: boolean }

type SummaryRow = { readonly result: ReplayResult; readonly deadLetters: number; readonly meaning: string }

/** Prints the summary. As a table it is omitted if there was nothing to replay. */
export async function printSummary(
  session: Session,
  { isDryRun, to }: ReplayMode,
  summary: ReplaySummary,
): Promise<void> {
  const { counts, failed, scanned } = summary
  const rows = REPLAY_RESULTS.filter((result) => counts[result] > 0).map((result): SummaryRow => ({
    result,
    deadLetters: counts[result],
    meaning: (isDryRun ? DRY_RUN_MEANINGS[result] : undefined) ?? MEANINGS[result],
  }))
  const { output } = session
  if (output.isWhole) {
    return await output.record({
      to,
      dry_run: isDryRun,
      dead_letters: scanned.matching,
      failed,
      results: Object.fromEntries(rows.map(({ result, deadLetters }) => [result, deadLetters])),
    })
  }
  if (rows.length === 0) return session.info('no dead letters to replay')
  await output.rows(COLUMNS, rows)
  if (isDryRun) session.info('dry run: nothing was changed')
}

const COLUMNS: readonly Column<SummaryRow>[] = [
  {
    name: 'result',
    cell: ({ result }) => result,
    tone: ({ result }) => (FAILED_RESULTS.has(result) ? 'bad' : 'good'),
  },
  { name: 'dead_letters', cell: ({ deadLetters }) => deadLetters, isNumber: true },
  { name: 'meaning', cell: ({ meaning }) => meaning },
]

const MEANINGS: Readonly<Record<ReplayResult, string>> = {
  applied: 'stored in Redis',
  unchanged: 'Redis already holds the same',
  stale: 'Redis holds a newer record',
  tombstone: 'the device was deleted or did not exist',
  expired: 'too old: the device would have expired by now',
  skipped: 'no metadata: nothing to store',
  sent: 'sent to the topic',
  already_replayed: 'replayed before, or by another process at the same time (--again repeats it)',
  still_invalid: 'the cause is not fixed: it remains a dead letter',
  replayed_too_often: 'it has become a dead letter again too often',
  original_gone: 'the record is neither in the dead letter nor in the topic',
  outcome_unknown: 'it may be in the topic: check before you use --again',
  failed: 'not replayed',
}

/** For a dry run, where they differ. */
const DRY_RUN_MEANINGS: Partial<Readonly<Record<ReplayResult, string>>> = {
  applied: 'would be stored in Redis',
  tombstone: 'the device would be deleted or does not exist',
  sent: 'would be sent to the topic',
}

/** What an interrupted replay has done so far. */
export function progressText({ counts }: ReplaySummary): string {
  const done = REPLAY_RESULTS.filter((result) => counts[result] > 0).map(
    (result) => `${result} ${counts[result]}`,
  )
  return done.length === 0 ? 'before the first dead letter' : `after ${done.join(', ')}`
}
