import { isObject } from '../../../shared/json.ts'
import { v5 as uuidV5 } from 'uuid'
import type { ErrorMessage } from '../../../shared/contract/messages.ts'
import { parseJsonKeepingDigits } from '../../../shared/exact-json.ts'
import { decodeJson, nestsWithin } from '../decode-json.ts'
import { eventTimeFromMs } from '../event-time.ts'
import { MAX_NESTING } from '../records/parse-record.ts'
import type { Rejection } from '../records/plan.ts'
import type { SourceRecord } from '../records/source-record.ts'

/** A message for the error topic, with everything needed to understand and replay the record. */
export type DeadLetter = {
  readonly key: string
  readonly value: string
  readonly headers: Readonly<Record<string, string | Buffer>>
}

export type Origin = { readonly topic: string; readonly partition: number }

/** The namespace of the ids generated for records without one; chosen once at random. */
const REQUEST_ID_NAMESPACE = '5f0f0c5e-3f0b-4d59-9a3e-0a6f8a1c2b7d'
const MAX_ORIGINAL_VALUE_BYTES = 256 * 1024
/** Longer keys of records are cut. */
export const MAX_KEY_BYTES = 1024
const MAX_ERROR_CHARACTERS = 4096
const SERVICE = 'cache_service'

export function buildDeadLetter(
  record: SourceRecord,
  origin: Origin,
  rejection: Rejection,
  nowMs: number,
  serviceVersion: string,
): DeadLetter {
  const original = originalMessage(record, rejection)
  const requestId = requestIdOf(original) ?? coordinatesId(origin, record.offset)
  const message: ErrorMessage = {
    request_id: requestId,
    timestamp: eventTimeFromMs(nowMs).text,
    service: SERVICE,
    error: `${rejection.reason}: ${rejection.detail}`.slice(0, MAX_ERROR_CHARACTERS).toWellFormed(),
    original_message: original !== undefined && nestsWithin(original, MAX_NESTING) ? original : null,
  }
  const { key, value } = record
  const traceparent = traceparentOf(record)
  const replayCount = record.headers?.['replay_count']
  return {
    key: requestId,
    value: JSON.stringify(message),
    headers: {
      source_topic: origin.topic,
      source_partition: String(origin.partition),
      source_offset: String(record.offset),
      source_timestamp: String(record.timestampMs),
      reason: rejection.reason,
      service_version: serviceVersion,
      ...(key !== null && { source_key: key.subarray(0, MAX_KEY_BYTES) }),
      ...(value !== null && { original_value: value.subarray(0, MAX_ORIGINAL_VALUE_BYTES) }),
      ...(value !== null && value.length > MAX_ORIGINAL_VALUE_BYTES && { original_value_truncated: 'true' }),
      ...(traceparent !== undefined && { traceparent }),
      ...(replayCount !== undefined && { replay_count: String(replayCount).slice(0, 16) }),
    },
  }
}

/**
 * The same dead letter without the record's bytes, for a broker that refused it as too large. The record can
 * still be found by its coordinates.
 */
export function withoutOriginal(deadLetter: DeadLetter, origin: Origin): DeadLetter {
  const { original_value: _dropped, ...headers } = deadLetter.headers
  const message: ErrorMessage = JSON.parse(deadLetter.value)
  const offset = Number(headers['source_offset'])
  // The id itself may be what is too large.
  const requestId = deadLetter.key.length > MAX_KEY_BYTES ? coordinatesId(origin, offset) : deadLetter.key
  return {
    key: requestId,
    value: JSON.stringify({ ...message, request_id: requestId, original_message: null }),
    headers: { ...headers, original_value_truncated: 'true' },
  }
}

/** The same record always gets the same id, so that duplicate dead letters can be recognised. */
function coordinatesId({ topic, partition }: Origin, offset: number): string {
  return uuidV5(`${topic}-${partition}-${offset}`, REQUEST_ID_NAMESPACE)
}

/** The trace that the record belongs to; undefined: none, or what the header holds is not one (W3C Trace Context). */
function traceparentOf({ headers }: SourceRecord): string | undefined {
  const text = String(headers?.['traceparent'])
  return /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/.test(text) ? text : undefined
}

function originalMessage(record: SourceRecord, rejection: Rejection): Record<string, unknown> | undefined {
  if (record.value === null || ['value_too_large', 'undecodable'].includes(rejection.reason)) return undefined
  const decoded = decodeJson(record.value)
  if (decoded.kind !== 'json' || !isObject(decoded.json)) return undefined
  const exact = parseJsonKeepingDigits(decoded.text)
  return isObject(exact) ? exact : undefined
}

function requestIdOf(message: Record<string, unknown> | undefined): string | undefined {
  const id = message?.['request_id']
  return typeof id === 'string' && id !== '' ? id.toWellFormed() : undefined
}
