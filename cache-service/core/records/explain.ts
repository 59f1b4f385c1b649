import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { decodeJson } from '../decode-json.ts'
import { eventTimeFromMs } from '../event-time.ts'
import { contentOf, type MetadataFields } from './metadata-fields.ts'
import { compareStates } from './order.ts'
import type { ParsedRecord, ParseSettings } from './parse-record.ts'
import { planChunk, type ChunkPlan, type DeviceDelete, type DeviceWrite } from './plan.ts'
import type { DeleteStatus, WriteStatus } from './write-outcome.ts'
import { recordTimeMs, type SourceRecord } from './source-record.ts'

/** What the service does with a record, determined by the functions that the worker itself uses. */
export type Verdict =
  | { readonly kind: 'update'; readonly write: DeviceWrite; readonly clamped: boolean }
  | { readonly kind: 'tombstone'; readonly delete: DeviceDelete }
  | Extract<ParsedRecord, { readonly kind: 'skipped' | 'expired' | 'rejected' }>

export type Explanation = {
  readonly verdict: Verdict
  /** As given in the record, if it can be read; not necessarily a valid id. */
  readonly namedDevice: string | undefined
  readonly givenTimestamp: string | undefined
  /** The record time in the format of an event time. */
  readonly recordTime: string
  /** The record has no timestamp, or one in the future, so the current time is used. */
  readonly isRecordTimeNow: boolean
  /** When the hash expires or would have expired, in milliseconds since 1970; 0: never. */
  readonly expiresAtMs: number
  /** Pass it to the writer to apply the record. */
  readonly plan: ChunkPlan
}

export function explainRecord(record: SourceRecord, nowMs: number, settings: ParseSettings): Explanation {
  const plan = planChunk([record], { nowMs, settings, internalErrorsInARow: 0 })
  const recordMs = recordTimeMs(record, nowMs)
  const { device_id: device, timestamp } = readTextFields(record)
  return {
    verdict: verdictOf(plan),
    namedDevice: record.value === null ? record.key?.toString('utf8') : device,
    givenTimestamp: timestamp,
    recordTime: eventTimeFromMs(recordMs).text,
    isRecordTimeNow: recordMs !== record.timestampMs,
    expiresAtMs: settings.metadataTtlMs > 0 ? recordMs + settings.metadataTtlMs : 0,
    plan,
  }
}

/** The device that the record changes, if any. */
export function changedDevice({ verdict }: Explanation): DeviceId | undefined {
  switch (verdict.kind) {
    case 'update':
      return verdict.write.deviceId
    case 'tombstone':
      return verdict.delete.deviceId
    case 'skipped':
    case 'expired':
    case 'rejected':
      return undefined
  }
}

/** What Redis holds at a device's key. */
export type StoredHash =
  | { readonly kind: 'absent' }
  | { readonly kind: 'other_type'; readonly type: string }
  | {
      readonly kind: 'hash'
      readonly fields: ReadonlyMap<string, string>
      /** Milliseconds since 1970; 0: never. */
      readonly expiresAtMs: number
    }

/** The status that the script returns, or the reason why the record never reaches the script. */
export type Outcome =
  Extract<WriteStatus | DeleteStatus, string> | 'wrong_type' | 'skipped' | 'expired' | 'dead_lettered'

export type FieldDifference = {
  readonly field: string
  readonly stored: string | undefined
  readonly planned: string | undefined
}

export type ChangeExplanation = {
  /** What would happen to the record now. */
  readonly outcome: Outcome
  /** The stored time has another format or is too far in the future: it counts as older than any other. */
  readonly isStoredTimeUntrusted: boolean
  /** All fields of both sides; empty unless the record is an update. */
  readonly fields: readonly FieldDifference[]
}

export function explainChange({ verdict, plan }: Explanation, stored: StoredHash): ChangeExplanation {
  const fields = stored.kind === 'hash' ? stored.fields : new Map<string, string>()
  const lastUpdated = fields.get('last_updated')
  const isTrusted =
    lastUpdated !== undefined && STORED_SHAPE.test(lastUpdated) && lastUpdated <= plan.trustedUpTo
  return {
    outcome: outcomeOf(verdict, stored, isTrusted ? lastUpdated : undefined),
    isStoredTimeUntrusted: stored.kind === 'hash' && !isTrusted,
    fields: verdict.kind === 'update' ? differences(fields, plannedHash(verdict.write)) : [],
  }
}

/** The contents of the hash after the write. */
export function plannedHash({ lastUpdated, fields }: DeviceWrite): ReadonlyMap<string, string> {
  return new Map([['last_updated', lastUpdated], ...pairs(fields)])
}

/** The same as in the scripts, which alone decide on a write (a test compares the two). */
const STORED_SHAPE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/

function outcomeOf(verdict: Verdict, stored: StoredHash, trusted: string | undefined): Outcome {
  switch (verdict.kind) {
    case 'skipped':
    case 'expired':
      return verdict.kind
    case 'rejected':
      return 'dead_lettered'
    case 'update': {
      if (stored.kind === 'other_type') return 'wrong_type'
      if (stored.kind === 'absent' || trusted === undefined) return 'changed'
      const order = compareStates(verdict.write, {
        lastUpdated: trusted,
        fields: contentOf(stored.fields),
      })
      return order > 0 ? 'changed' : order === 0 ? 'unchanged' : 'stale'
    }
    case 'tombstone':
      if (stored.kind === 'other_type') return 'wrong_type'
      if (stored.kind === 'absent') return 'absent'
      return trusted !== undefined && trusted > verdict.delete.deletesUpTo ? 'kept' : 'deleted'
  }
}

function verdictOf(plan: ChunkPlan): Verdict {
  const [rejection] = plan.rejections
  if (rejection !== undefined) {
    return { kind: 'rejected', reason: rejection.reason, detail: rejection.detail }
  }
  const [write] = plan.updates
  if (write !== undefined) return { kind: 'update', write, clamped: plan.clockSkews > 0 }
  const [tombstone] = plan.deletes
  if (tombstone !== undefined) return { kind: 'tombstone', delete: tombstone }
  return plan.expired > 0 ? { kind: 'expired' } : { kind: 'skipped', reason: 'no_metadata' }
}

function differences(
  stored: ReadonlyMap<string, string>,
  planned: ReadonlyMap<string, string>,
): FieldDifference[] {
  const names = new Set([...planned.keys(), ...stored.keys()])
  return [...names].map((field) => ({ field, stored: stored.get(field), planned: planned.get(field) }))
}

function pairs(fields: MetadataFields): [name: string, value: string][] {
  const found: [string, string][] = []
  for (let i = 0; i + 1 < fields.length; i += 2) found.push([fields[i] ?? '', fields[i + 1] ?? ''])
  return found
}

/** Reads what it can from a record that may be invalid. */
function readTextFields({ value }: SourceRecord): Partial<Record<'device_id' | 'timestamp', string>> {
  if (value === null) return {}
  const decoded = decodeJson(value)
  if (decoded.kind !== 'json' || typeof decoded.json !== 'object' || decoded.json === null) return {}
  const { json } = decoded
  return {
    ...('device_id' in json && typeof json.device_id === 'string' && { device_id: json.device_id }),
    ...('timestamp' in json && typeof json.timestamp === 'string' && { timestamp: json.timestamp }),
  }
}
