// The expected content of the cache, computed from the records' tags in the simplest way: record by record, without
// chunks or scripts. It shares no code with the service, so that they do not share errors.

import type { RecordAbout } from '../../simulator/simulated-record.ts'
import { PythonFloat, type PythonDict, type PythonValue } from '../../simulator/python-text.ts'

/** The expected outcome of a record. The fleet's tags and hand-made records have the same format. */
export type Expectation =
  | Pick<Extract<RecordAbout, { outcome: 'update' }>, 'outcome' | 'deviceId' | 'lastUpdated' | 'metadata'>
  | { readonly outcome: 'tombstone'; readonly deviceId: string }
  | { readonly outcome: 'skipped' }
  | {
      readonly outcome: 'rejected'
      readonly reason: string
      /** Its dead letter is larger than the error topic accepts. */
      readonly isShortened?: boolean
    }

/** An acknowledged record. `life` counts how often the topic was recreated; offsets restart at 0 in each life. */
export type ProducedRecord = {
  readonly life: number
  readonly partition: number
  readonly offset: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly timestampMs: number
  readonly expectation: Expectation
}

export type ModelSettings = {
  readonly extraFields: 'none' | 'all'
  readonly metadataTtlMs: number
  readonly maxFutureSkewMs: number
}

export type DeviceHash = {
  /** Name → value, `last_updated` included. */
  readonly fields: Readonly<Record<string, string>>
  readonly expiresAtMs: number
}

const KNOWN_FIELDS = ['datatype_id', 'datatype_name', 'datatype_unit', 'persist']

/** @param records those of one partition in offset order; partitions may be interleaved. */
export function modelDevices(
  records: Iterable<ProducedRecord>,
  settings: ModelSettings,
  nowMs: number,
): Map<string, DeviceHash> {
  const devices = new Map<string, DeviceHash>()
  for (const record of records) {
    const { expectation, timestampMs } = record
    if (expectation.outcome === 'update') {
      const update = hashOf(record, settings)
      if (update === undefined || update.expiresAtMs <= nowMs) continue
      const stored = devices.get(expectation.deviceId)
      devices.set(expectation.deviceId, stored === undefined ? update : greater(stored, update))
    } else if (expectation.outcome === 'tombstone') {
      const stored = devices.get(expectation.deviceId)
      const upTo = textOfMs(timestampMs + settings.maxFutureSkewMs)
      if (stored !== undefined && lastUpdatedOf(stored) <= upTo) devices.delete(expectation.deviceId)
    }
  }
  return devices
}

/** The hash that an update would leave in an empty cache; undefined for other records. */
export function hashOf(
  { expectation, timestampMs }: ProducedRecord,
  settings: ModelSettings,
): DeviceHash | undefined {
  if (expectation.outcome !== 'update') return undefined
  const { lastUpdated, metadata } = expectation
  const isTooFarAhead = Date.parse(lastUpdated) > timestampMs + settings.maxFutureSkewMs
  return {
    fields: {
      ...fieldsOf(metadata, settings),
      last_updated: isTooFarAhead ? textOfMs(timestampMs) : lastUpdated,
    },
    expiresAtMs: timestampMs + settings.metadataTtlMs,
  }
}

/** Negative, zero or positive, as `a` is less than, equal to or greater than `b`. */
export function compareHashes(a: DeviceHash['fields'], b: DeviceHash['fields']): number {
  const [earlier, later] = [a['last_updated'] ?? '', b['last_updated'] ?? '']
  if (earlier !== later) return earlier < later ? -1 : 1
  return Buffer.compare(canonicalContent(a), canonicalContent(b))
}

function greater(a: DeviceHash, b: DeviceHash): DeviceHash {
  const { fields } = compareHashes(a.fields, b.fields) < 0 ? b : a
  return { fields, expiresAtMs: Math.max(a.expiresAtMs, b.expiresAtMs) }
}

function canonicalContent(fields: DeviceHash['fields']): Buffer {
  const names = Object.keys(fields).filter((name) => name !== 'last_updated')
  names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return Buffer.from(names.map((name) => `${name}\0${fields[name]}\0`).join(''))
}

function lastUpdatedOf({ fields }: DeviceHash): string {
  return fields['last_updated'] ?? ''
}

function fieldsOf(metadata: PythonDict, { extraFields }: ModelSettings): Record<string, string> {
  const fields: Record<string, string> = { persist: 'true' }
  for (const [name, value] of Object.entries(metadata)) {
    if (name === 'last_updated' || value === null) continue
    if (extraFields === 'all' || KNOWN_FIELDS.includes(name)) fields[name] = fieldText(value)
  }
  return fields
}

function fieldText(value: PythonValue): string {
  return typeof value === 'string' ? value : compactJson(value)
}

function compactJson(value: PythonValue): string {
  return JSON.stringify(value, (_name, part: unknown) => (part instanceof PythonFloat ? part.value : part))
}

function textOfMs(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000+00:00')
}
