import { parseDeviceId, type DeviceId } from '../../../shared/contract/device-id.ts'
import { validatedOutputSchema } from '../../../shared/contract/messages.ts'
import { mayLoseDigits, parseExactJson } from '../../../shared/exact-json.ts'
import { isObject } from '../../../shared/json.ts'
import { decodeJson, mayNestDeeper, nestsWithin } from '../decode-json.ts'
import { eventTimeFromMs, parseEventTime } from '../event-time.ts'
import {
  metadataFields,
  storesNumbers,
  type ExtraFields,
  type Metadata,
  type MetadataFields,
} from './metadata-fields.ts'
import { recordTimeMs, type SourceRecord } from './source-record.ts'
import { isLateEvent } from './suspicious-times.ts'
import { isValidatedOutput } from './validated-output.ts'

/** Why a record can never be applied. A closed set: it is a metric label and a dead-letter header. */
export const REJECT_REASONS = [
  'empty_value',
  'value_too_large',
  'not_utf8',
  'not_json',
  'not_an_object',
  'too_deep',
  'bad_request_id',
  'missing_device_id',
  'bad_device_id',
  'bad_timestamp',
  'bad_metadata',
  'too_many_fields',
  'bad_key',
  'wrong_type',
  'refused_by_redis',
  'internal_error',
  'undecodable',
] as const
export type RejectReason = (typeof REJECT_REASONS)[number]

export type DeviceUpdate = {
  readonly deviceId: DeviceId
  /** The event time as stored: UTC, six fractional digits. */
  readonly lastUpdated: string
  readonly fields: MetadataFields
  /** Milliseconds since 1970; 0: never. */
  readonly expiresAtMs: number
}

export type Tombstone = {
  readonly deviceId: DeviceId
  /** A stored `last_updated` up to and including this is deleted; a later one is kept. */
  readonly deletesUpTo: string
}

export type ParsedRecord =
  | {
      readonly kind: 'update'
      readonly update: DeviceUpdate
      /** As given in the record. */
      readonly eventTimeMs: number
      /** The event time is too far after the record time, which replaces it. */
      readonly clamped: boolean
      /** The event time is long before the record time. */
      readonly isLate: boolean
    }
  | { readonly kind: 'tombstone'; readonly tombstone: Tombstone }
  | { readonly kind: 'skipped'; readonly reason: 'no_metadata' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'rejected'; readonly reason: RejectReason; readonly detail: string }

export type ParseSettings = {
  /** How long a device hash lives, counted from the record time; 0: it never expires. */
  readonly metadataTtlMs: number
  readonly maxFutureSkewMs: number
  readonly maxRecordBytes: number
  readonly extraFields: ExtraFields
}

export const MAX_NESTING = 64
const MAX_METADATA_FIELDS = 256
const MAX_REPORTED_ISSUES = 10

export function parseRecord(record: SourceRecord, nowMs: number, settings: ParseSettings): ParsedRecord {
  const { value } = record
  if (value === null) return parseTombstone(record, nowMs, settings)
  if (value.length === 0) return rejected('empty_value', 'the value is empty (a tombstone must be null)')
  if (value.length > settings.maxRecordBytes) {
    return rejected(
      'value_too_large',
      `the value has ${value.length} bytes, more than MAX_RECORD_BYTES (${settings.maxRecordBytes})`,
    )
  }
  const decoded = decodeJson(value)
  if (decoded.kind === 'not_utf8') return rejected('not_utf8', 'the value is not well-formed UTF-8')
  if (decoded.kind === 'not_json') return rejected('not_json', decoded.detail)
  const { json, text } = decoded
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    return rejected('not_an_object', `expected a JSON object, but got ${describeJson(json)}`)
  }
  if (mayNestDeeper(text, MAX_NESTING) && !nestsWithin(json, MAX_NESTING)) {
    return rejected('too_deep', `nested deeper than ${MAX_NESTING} levels`)
  }
  if (!isValidatedOutput(json)) return rejectedBySchema(json)
  const { device_id, timestamp, metadata } = json

  const deviceId = parseDeviceId(device_id)
  if (deviceId === undefined) {
    return rejected(
      'bad_device_id',
      'device_id must be 1 to 256 bytes of well-formed UTF-8 without control characters',
    )
  }
  const recordMs = recordTimeMs(record, nowMs)
  let eventTime =
    timestamp === undefined || timestamp === null ? eventTimeFromMs(recordMs) : parseEventTime(timestamp)
  if (eventTime === undefined) {
    return rejected('bad_timestamp', 'timestamp must be an ISO 8601 date and time between 1970 and 9999')
  }
  if (metadata === undefined || metadata === null) return { kind: 'skipped', reason: 'no_metadata' }
  if (Object.keys(metadata).length > MAX_METADATA_FIELDS) {
    return rejected('too_many_fields', `metadata has more than ${MAX_METADATA_FIELDS} fields`)
  }
  const { metadataTtlMs } = settings
  if (metadataTtlMs > 0 && recordMs + metadataTtlMs <= nowMs) return { kind: 'expired' }
  const { ms: eventTimeMs } = eventTime
  const clamped = eventTimeMs > recordMs + settings.maxFutureSkewMs
  if (clamped) eventTime = eventTimeFromMs(recordMs)
  const update: DeviceUpdate = {
    deviceId,
    lastUpdated: eventTime.text,
    fields: fieldsOf(metadata, text, settings.extraFields),
    expiresAtMs: metadataTtlMs > 0 ? recordMs + metadataTtlMs : 0,
  }
  return {
    kind: 'update',
    update,
    eventTimeMs,
    clamped,
    isLate: isLateEvent(eventTimeMs, recordMs, metadataTtlMs),
  }
}

/** Numbers keep their digits. Only records whose stored numbers may lose some are parsed a second time. */
function fieldsOf(metadata: Metadata, text: string, extra: ExtraFields): MetadataFields {
  if (storesNumbers(metadata, extra) && mayLoseDigits(text.slice(Math.max(0, text.indexOf('"metadata"'))))) {
    const exact = parseExactJson(text)
    const exactMetadata = isObject(exact) ? exact['metadata'] : undefined
    if (isObject(exactMetadata)) return metadataFields(exactMetadata, extra)
  }
  return metadataFields(metadata, extra)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function parseTombstone(record: SourceRecord, nowMs: number, settings: ParseSettings): ParsedRecord {
  let deviceId: DeviceId | undefined
  try {
    deviceId = record.key === null ? undefined : parseDeviceId(utf8.decode(record.key))
  } catch {
    deviceId = undefined
  }
  if (deviceId === undefined)
    return rejected('bad_key', 'a tombstone (null value) must have a valid device id as its key')
  const deletesUpTo = eventTimeFromMs(recordTimeMs(record, nowMs) + settings.maxFutureSkewMs).text
  return { kind: 'tombstone', tombstone: { deviceId, deletesUpTo } }
}

function rejected(reason: RejectReason, detail: string): ParsedRecord {
  return { kind: 'rejected', reason, detail }
}

/** The first issue determines the reason; the detail lists path, code and message of up to ten issues. */
function rejectedBySchema(json: object): ParsedRecord {
  const issues = validatedOutputSchema.safeParse(json).error?.issues ?? []
  const detail = issues
    .slice(0, MAX_REPORTED_ISSUES)
    .map((issue) => `${issue.path.map(String).join('.')} (${issue.code}): ${issue.message}`)
    .join('; ')
  return rejected(schemaReason(json, issues[0]?.path[0]), detail)
}

function schemaReason(json: object, field: PropertyKey | undefined): RejectReason {
  switch (field) {
    case 'device_id':
      return 'device_id' in json && json.device_id !== null ? 'bad_device_id' : 'missing_device_id'
    case 'timestamp':
      return 'bad_timestamp'
    case 'request_id':
      return 'bad_request_id'
    default:
      return 'bad_metadata'
  }
}

function describeJson(json: unknown): string {
  if (json === null) return 'null'
  return Array.isArray(json) ? 'an array' : `a ${typeof json}`
}
