import type { ReplaySummary } from '../../../pipeline/replay/replay-run.ts'
import { FAILED_RESULTS, REPLAY_RESULTS, type ReplayResult } from '../../../pipeline/replay/replay-target.ts'
import type { Session } from '../../session.ts'
import type { Column } from '../../terminal/table.ts'

export type ReplayMode = { readonly to: 'cache' | 'topic'; readonly isDryRun: boolean }

type SummaryRow = { readonly result: ReplayResult; readonly deadLetters: number; readonly meaning: string }

/** In every format; nothing in a table if there was nothing to do. */
export async function printSummary(
  session: Session,
  { isDryRun, to }: ReplayMode,
  summary: ReplaySummary,
): Promise<void> {
  const { counts, failed, scanned } = summary
  const rows = REPLAY_RESULTS.filter((result) => counts[result] > 0).map((result): SummaryRow => ({
    result,
    deadLetters: counts[result],
    meaning: (isDryRun ? AFTER_REAL_RUN[result] : undefined) ?? MEANINGS[result],
  }))
  const { output } = session
  if (output.format === 'json' || output.format === 'yaml') {
    return await output.record({
      to,
      dry_run: isDryRun,
      dead_letters: scanned.matching,
      failed,
      results: Object.fromEntries(rows.map(({ result, deadLetters }) => [result, deadLetters])),
    })
  }
  if (rows.length === 0) return session.say('no dead letters to replay')
  await output.rows(COLUMNS, rows)
  if (isDryRun) session.say('a dry run: nothing was changed')
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
  applied: 'in Redis now',
  unchanged: 'Redis held the same already',
  stale: 'Redis holds something newer',
  tombstone: 'the device is deleted, or was not there',
  expired: 'too old: its device would have expired by now',
  skipped: 'without metadata: nothing to store',
  sent: 'in the topic again',
  already_replayed: 'by an earlier replay, or by another at the same time (--again does it again)',
  still_invalid: 'its cause is not gone: it stays a dead letter',
  replayed_too_often: 'it has come back from the topic too often',
  original_gone: 'its record is neither in the dead letter nor in the topic',
  outcome_unknown: 'it may be in the topic: look before you use --again',
  failed: 'not replayed',
}

/** In a dry run. */
const AFTER_REAL_RUN: Partial<Readonly<Record<ReplayResult, string>>> = {
  applied: 'it would be stored',
  tombstone: 'its device would be deleted, or is not there',
  sent: 'it would go into the topic again',
}

/** For who ended it early. */
export function doneText({ counts }: ReplaySummary): string {
  const done = REPLAY_RESULTS.filter((result) => counts[result] > 0).map(
    (result) => `${result} ${counts[result]}`,
  )
  return done.length === 0 ? 'before the first dead letter' : `with ${done.join(', ')}`
}
