import { messageOf } from '../../../shared/errors.ts'
import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { coalesce, type Change } from './coalesce.ts'
import { eventTimeFromMs } from '../event-time.ts'
import type { MetadataFields } from './metadata-fields.ts'
import { parseRecord, type ParseSettings, type RejectReason } from './parse-record.ts'
import { recordTimeMs, type SourceRecord } from './source-record.ts'
import { addTime, judgeRecordTime, type CollectedTimes, type SuspiciousTimes } from './suspicious-times.ts'

/** A write plan is plain data: what to send to Redis for one chunk, and what to report about the other records. */
export type ChunkPlan = {
  readonly deletes: readonly DeviceDelete[]
  readonly updates: readonly DeviceWrite[]
  /** A stored `last_updated` above this (now + one day) is not trusted: it counts as older than any other. */
  readonly trustedUpTo: string
  readonly rejections: readonly Rejection[]
  readonly superseded: number
  readonly tombstones: number
  readonly skipped: number
  readonly expired: number
  /** Number of records whose event time was too far ahead of their record time. */
  readonly clockSkews: number
  readonly suspiciousTimes: SuspiciousTimes
  /** One record time per record, for the age at which the records become durable. */
  readonly recordTimesMs: Float64Array
  /** Number of `internal_error`s since the last record that our code handled, across chunks. */
  readonly internalErrorsInARow: number
  /** The maximum of that number within this chunk. */
  readonly mostInternalErrorsInARow: number
}

export type DeviceDelete = {
  readonly index: number
  readonly deviceId: DeviceId
  readonly deletesUpTo: string
}

export type DeviceWrite = {
  /** Index in the chunk of the winning record. */
  readonly index: number
  readonly deviceId: DeviceId
  readonly lastUpdated: string
  readonly fields: MetadataFields
  readonly expiresAtMs: number
}

export type Rejection = { readonly index: number; readonly reason: RejectReason; readonly detail: string }

export type PlanContext = {
  readonly nowMs: number
  readonly settings: ParseSettings
  /** From the plan of the previous chunk. */
  readonly internalErrorsInARow: number
}

const DAY_MS = 86_400_000

/** @param parse replaced only by the test for a parser that throws. */
export function planChunk(
  records: readonly SourceRecord[],
  context: PlanContext,
  parse = parseRecord,
): ChunkPlan {
  const { nowMs, settings } = context
  const rejections: Rejection[] = []
  const recordTimesMs = new Float64Array(records.length)
  const counts = { tombstones: 0, skipped: 0, expired: 0, clockSkews: 0 }
  const suspiciousTimes: CollectedTimes = {}
  let internalErrorsInARow = context.internalErrorsInARow
  let mostInternalErrorsInARow = 0

  function parseAt(index: number, record: SourceRecord): Change | undefined {
    const recordMs = recordTimeMs(record, nowMs)
    recordTimesMs[index] = recordMs
    const implausible = judgeRecordTime(recordMs, nowMs)
    if (implausible !== undefined) addTime(suspiciousTimes, implausible, recordMs)
    let parsed
    try {
      parsed = parse(record, nowMs, settings)
      internalErrorsInARow = 0
    } catch (error) {
      rejections.push({ index, reason: 'internal_error', detail: messageOf(error) })
      internalErrorsInARow++
      mostInternalErrorsInARow = Math.max(mostInternalErrorsInARow, internalErrorsInARow)
      return undefined
    }
    switch (parsed.kind) {
      case 'update':
        if (parsed.clamped) counts.clockSkews++
        if (parsed.clamped) addTime(suspiciousTimes, 'event_time_early', parsed.eventTimeMs)
        if (parsed.isLate) addTime(suspiciousTimes, 'event_time_late', parsed.eventTimeMs)
        return { kind: 'update', index, update: parsed.update }
      case 'tombstone':
        counts.tombstones++
        return { kind: 'tombstone', index, tombstone: parsed.tombstone }
      case 'skipped':
        counts.skipped++
        return undefined
      case 'expired':
        counts.expired++
        if (implausible === undefined) addTime(suspiciousTimes, 'expired', recordMs)
        return undefined
      case 'rejected':
        rejections.push({ index, reason: parsed.reason, detail: parsed.detail })
        return undefined
    }
  }

  // A generator, so that superseded updates can be garbage-collected immediately.
  function* changes(): Generator<Change> {
    for (let index = 0; index < records.length; index++) {
      const record = records[index]
      const change = record === undefined ? undefined : parseAt(index, record)
      if (change !== undefined) yield change
    }
  }

  const { devices, superseded } = coalesce(changes())
  const deletes: DeviceDelete[] = []
  const updates: DeviceWrite[] = []
  for (const [deviceId, { tombstone, update, expiresAtMs }] of devices) {
    if (tombstone !== undefined) {
      deletes.push({ index: tombstone.index, deviceId, deletesUpTo: tombstone.tombstone.deletesUpTo })
    }
    if (update !== undefined) {
      const { lastUpdated, fields } = update.update
      updates.push({ index: update.index, deviceId, lastUpdated, fields, expiresAtMs })
    }
  }
  const trustedUpTo = eventTimeFromMs(nowMs + DAY_MS).text
  const internalErrors = { internalErrorsInARow, mostInternalErrorsInARow }
  return {
    deletes,
    updates,
    trustedUpTo,
    rejections,
    recordTimesMs,
    superseded,
    suspiciousTimes,
    ...counts,
    ...internalErrors,
  }
}
