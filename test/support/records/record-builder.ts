import type { ParseSettings } from '../../../cache-service/core/records/parse-record.ts'
import type { SourceRecord } from '../../../cache-service/core/records/source-record.ts'
import { parseDeviceId, type DeviceId } from '../../../shared/contract/device-id.ts'

/** 2025-06-08T18:27:20Z, shortly after the times of the built records. */
export const NOW_MS = Date.UTC(2025, 5, 8, 18, 27, 20)
export const RECORD_MS = NOW_MS - 2_000
export const DAY_MS = 86_400_000

export const SETTINGS: ParseSettings = {
  metadataTtlMs: DAY_MS,
  maxFutureSkewMs: 300_000,
  maxRecordBytes: 1_048_576,
  extraFields: [],
}

/** A valid ValidatedOutput, apart from the overrides. */
export function validatedOutput(overrides: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    request_id: 'b1946ac9-2492-4d23-8b3f-3a4c8d2f9f00',
    timestamp: '2025-06-08T18:27:17.476623',
    device_id: 'sensor-1',
    values: [21.5],
    labels: ['temperature'],
    display_names: ['Temperature'],
    index: '',
    metadata: { datatype_id: '7', datatype_name: 'temperature', datatype_unit: '°C', persist: true },
    ...overrides,
  }
}

/** Text and bytes are used unchanged, null is a tombstone, anything else is encoded as JSON. */
export function sourceRecord(value: unknown, overrides: Partial<SourceRecord> = {}): SourceRecord {
  return { offset: 7, timestampMs: RECORD_MS, key: null, value: valueBytes(value), ...overrides }
}

function valueBytes(value: unknown): Buffer | null {
  if (value === null || Buffer.isBuffer(value)) return value
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
}

export function deviceId(text: string): DeviceId {
  const id = parseDeviceId(text)
  if (id === undefined) throw new Error(`${JSON.stringify(text)} is not a device id`)
  return id
}
