import { eventTimeFromMs } from '../../core/event-time.ts'
import {
  changedDevice,
  plannedHash,
  type ChangeExplanation,
  type Explanation,
  type FieldDifference,
  type Outcome,
  type StoredHash,
} from '../../core/records/explain.ts'
import { printable, type Colors } from '../terminal/table.ts'

/** Longer values are truncated; --format json shows all of it. */
const MAX_VALUE_CHARACTERS = 200

/** A record with everything that is known about it. */
export type ExplainedRecord = {
  /** The line of the record in its file, or its partition and offset. */
  readonly place: string
  readonly explanation: Explanation
  /** undefined: not compared with Redis. */
  readonly stored: StoredHash | undefined
  readonly change: ChangeExplanation | undefined
}

export function explanationRow({ change, explanation, place, stored }: ExplainedRecord) {
  const { verdict } = explanation
  return {
    record: place,
    verdict: verdict.kind,
    reason: verdict.kind === 'rejected' || verdict.kind === 'skipped' ? verdict.reason : null,
    detail: verdict.kind === 'rejected' ? verdict.detail : null,
    device_id: changedDevice(explanation) ?? explanation.namedDevice ?? null,
    timestamp: explanation.givenTimestamp ?? null,
    record_time: explanation.recordTime,
    record_time_is_now: explanation.isRecordTimeNow,
    last_updated: verdict.kind === 'update' ? verdict.write.lastUpdated : null,
    clamped: verdict.kind === 'update' && verdict.clamped,
    deletes_up_to: verdict.kind === 'tombstone' ? verdict.delete.deletesUpTo : null,
    expires_at: timeOf(explanation.expiresAtMs),
    planned: verdict.kind === 'update' ? Object.fromEntries(plannedHash(verdict.write)) : null,
    present: stored?.kind === 'hash' ? Object.fromEntries(stored.fields) : null,
    present_expires_at: stored?.kind === 'hash' ? timeOf(stored.expiresAtMs) : null,
    outcome: change?.outcome ?? null,
  }
}

export type ExplanationRow = ReturnType<typeof explanationRow>

/** Whether the record would become a dead letter. */
export function isInvalid({ change, explanation }: ExplainedRecord): boolean {
  return explanation.verdict.kind === 'rejected' || change?.outcome === 'wrong_type'
}

/** Readable text: first what happens to the record, then why. */
export function renderExplanation(explained: ExplainedRecord, colors: Colors): string {
  const { change, explanation, place, stored } = explained
  const { verdict } = explanation
  const device = changedDevice(explanation) ?? explanation.namedDevice
  const lines = [
    `${colors.bold(`record ${place}`)}${device === undefined ? '' : `, device ${printable(device)}`}`,
    `  ${verdictText(explanation, colors)}`,
    `  record time  ${explanation.recordTime}${recordTimeNote(explanation)}`,
  ]
  if (explanation.givenTimestamp !== undefined) {
    lines.push(`  timestamp    ${printable(explanation.givenTimestamp)}${normalisedText(explanation)}`)
  }
  if (verdict.kind === 'update') lines.push(`  expires      ${timeOf(explanation.expiresAtMs) ?? 'never'}`)
  if (change !== undefined) {
    lines.push(`  outcome      ${outcomeText(change.outcome, stored, colors)}`)
    if (change.isStoredTimeUntrusted) {
      lines.push(
        '               the stored last_updated has an unknown format or is in the future, so it counts as older',
      )
    }
  }
  if (verdict.kind === 'update') {
    const fields = change === undefined ? hashAsFields(plannedHash(verdict.write)) : fieldsAfter(change)
    lines.push(...fields.map((field) => `    ${fieldText(field, change !== undefined, colors)}`))
  }
  return `${lines.join('\n')}\n`
}

function recordTimeNote({ isRecordTimeNow, plan }: Explanation): string {
  if (isRecordTimeNow) return ' (now: the record has no time, or one in the future)'
  if (plan.suspiciousTimes.record_time_in_seconds !== undefined)
    return ' (probably seconds, but Kafka counts milliseconds)'
  if (plan.suspiciousTimes.record_time_before_2000 !== undefined)
    return ' (the clock of the producer was wrong)'
  return ''
}

function verdictText({ expiresAtMs, verdict }: Explanation, colors: Colors): string {
  switch (verdict.kind) {
    case 'update':
      return colors.green('valid: an update of the device')
    case 'tombstone':
      return colors.green(
        `valid: a tombstone that deletes what was stored up to ${verdict.delete.deletesUpTo}`,
      )
    case 'skipped':
      return colors.yellow('skipped: it has no metadata, so there is nothing to store')
    case 'expired':
      return colors.yellow(`expired: its hash would have expired at ${timeOf(expiresAtMs)}`)
    case 'rejected':
      return colors.red(
        `invalid, so it becomes a dead letter: ${verdict.reason}: ${printable(verdict.detail)}`,
      )
  }
}

function normalisedText({ plan, verdict }: Explanation): string {
  if (verdict.kind !== 'update') return ''
  const { lastUpdated } = verdict.write
  if (verdict.clamped)
    return ` → ${lastUpdated}, the record time, because it is more than MAX_FUTURE_SKEW_S later`
  const isLate = plan.suspiciousTimes.event_time_late !== undefined
  return ` → ${lastUpdated}${isLate ? ' (long before the record time: check the clock of the device)' : ''}`
}

const OUTCOMES: Readonly<Record<Outcome, string>> = {
  changed: 'it would be stored',
  unchanged: 'Redis already holds the same: only the expiry may be extended',
  stale: 'Redis holds a newer record, or a greater one of the same time: only the expiry may be extended',
  deleted: 'it would delete the device',
  absent: 'nothing to delete: the device is not in Redis',
  kept: 'it would be ignored: Redis holds a later record',
  wrong_type: 'it would become a dead letter (wrong_type)',
  skipped: 'nothing would happen',
  expired: 'nothing would happen',
  dead_lettered: 'it would become a dead letter and change nothing',
}

function outcomeText(outcome: Outcome, stored: StoredHash | undefined, colors: Colors): string {
  const text = `${outcome}: ${OUTCOMES[outcome]}`
  const shown = outcome === 'changed' || outcome === 'deleted' ? colors.green(text) : text
  if (stored?.kind === 'other_type') return `${colors.red(text)}, because its key holds a ${stored.type}`
  return outcome === 'changed' && stored?.kind === 'absent' ? `${shown}, as a new device` : shown
}

/** A stale record leaves what is stored as it is. */
function fieldsAfter({ fields, outcome }: ChangeExplanation): readonly FieldDifference[] {
  if (outcome !== 'stale') return fields
  return fields.flatMap((one) => (one.stored === undefined ? [] : [{ ...one, planned: one.stored }]))
}

function fieldText({ field, planned, stored }: FieldDifference, isCompared: boolean, colors: Colors): string {
  const name = printable(field)
  const quoted = (value: string | undefined) => (value === undefined ? 'nothing' : shortened(value))
  if (!isCompared || planned === stored) return colors.dim(`  ${name} = ${quoted(planned)}`)
  if (stored === undefined) return colors.green(`+ ${name} = ${quoted(planned)}`)
  if (planned === undefined) return colors.red(`- ${name} = ${quoted(stored)}`)
  return colors.yellow(`~ ${name} = ${quoted(planned)}, was ${quoted(stored)}`)
}

function shortened(value: string): string {
  if (value.length <= MAX_VALUE_CHARACTERS) return printable(JSON.stringify(value))
  return `${printable(JSON.stringify(value.slice(0, MAX_VALUE_CHARACTERS)))}… (${value.length} characters)`
}

function hashAsFields(hash: ReadonlyMap<string, string>): FieldDifference[] {
  return [...hash].map(([field, planned]) => ({ field, stored: undefined, planned }))
}

function timeOf(ms: number): string | null {
  return ms === 0 ? null : eventTimeFromMs(ms).text
}
