import * as fc from 'fast-check'
import { eventTimeFromMs } from '../../../cache-service/core/event-time.ts'
import type { ParseSettings } from '../../../cache-service/core/records/parse-record.ts'
import type { SourceRecord } from '../../../cache-service/core/records/source-record.ts'
import { DAY_MS, sourceRecord } from './record-builder.ts'

// Records of few devices and few event times, so that they collide: with equal times and different contents, late,
// too far in the future, with fields that others lack; and records that change nothing.

export const ALL_FIELDS: ParseSettings = {
  metadataTtlMs: DAY_MS,
  maxFutureSkewMs: 300_000,
  maxRecordBytes: 1_048_576,
  extraFields: 'all',
}

const DEVICES = ['a', 'b', 'gw:é']
const HOUR_MS = 3_600_000

const metadata = fc.record(
  {
    datatype_id: fc.constantFrom('1', '2', 7, null),
    datatype_unit: fc.constantFrom('°C', ['°C', '%'], ''),
    persist: fc.boolean(),
    battery_ok: fc.boolean(),
    '\u{10000}': fc.constantFrom('', '\0', 'x'),
    '\ue000': fc.constantFrom('', '\0x'),
  },
  { requiredKeys: [] },
)

/** Updates that have not expired at `nowMs`. */
export function arbitraryUpdate(nowMs: number): fc.Arbitrary<SourceRecord> {
  return fc
    .record({
      deviceId: fc.constantFrom(...DEVICES),
      metadata,
      ageMs: fc.constantFrom(0, 1, 1_000, HOUR_MS, 10 * HOUR_MS),
      // 400 s after the record time is too far in the future, and is clamped to the record time.
      eventAfterRecordMs: fc.constantFrom(-HOUR_MS, -1_000, -1, 0, 200_000, 400_000),
    })
    .map(({ deviceId, metadata: sent, ageMs, eventAfterRecordMs }) => {
      const recordMs = nowMs - ageMs
      const timestamp = eventTimeFromMs(recordMs + eventAfterRecordMs).text
      const value = { device_id: deviceId, timestamp, metadata: sent }
      return sourceRecord(value, { timestampMs: recordMs, key: Buffer.from(deviceId) })
    })
}

export function arbitraryTombstone(nowMs: number): fc.Arbitrary<SourceRecord> {
  return fc
    .record({
      deviceId: fc.constantFrom(...DEVICES),
      ageMs: fc.constantFrom(0, 1_000, HOUR_MS, 10 * HOUR_MS),
    })
    .map(({ deviceId, ageMs }) =>
      sourceRecord(null, { timestampMs: nowMs - ageMs, key: Buffer.from(deviceId) }),
    )
}

/** A record that changes nothing: skipped, expired or invalid. */
export function arbitraryIdleRecord(nowMs: number): fc.Arbitrary<SourceRecord> {
  const timestampMs = nowMs - 1_000
  return fc.constantFrom(
    sourceRecord({ device_id: 'a', metadata: null }, { timestampMs }),
    sourceRecord({ device_id: 'a', metadata: {} }, { timestampMs: nowMs - 2 * DAY_MS }),
    sourceRecord('{"device_id":', { timestampMs }),
    sourceRecord({ metadata: {} }, { timestampMs }),
    sourceRecord(null, { timestampMs, key: Buffer.from('\n') }),
  )
}

/** Sorted by record time, as a producer writes them. */
export function inOrderOfTime(records: readonly SourceRecord[]): SourceRecord[] {
  return records.toSorted((a, b) => a.timestampMs - b.timestampMs)
}

/** With consecutive offsets from 0. */
export function asPartition(records: readonly SourceRecord[]): SourceRecord[] {
  return records.map((record, i) => ({ ...record, offset: i }))
}

/** Cuts the items into parts of the given lengths, which are repeated as needed. */
export function cut<T>(items: readonly T[], lengths: readonly number[]): T[][] {
  const parts: T[][] = []
  for (let from = 0, i = 0; from < items.length; i++) {
    const length = lengths[i % lengths.length] ?? 1
    parts.push(items.slice(from, from + length))
    from += length
  }
  return parts
}

export const chunkLengths = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 })

/** Every item at least once, in any order. */
export function anyDelivery<T>(items: readonly T[]): fc.Arbitrary<T[]> {
  return fc.subarray([...items], { minLength: 0 }).chain((repeats) => {
    const all = [...items, ...repeats]
    return fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length })
  })
}
