// Hand-made records, tagged with their expected outcome, for cases that the fleet does not cover.

import type { SimulatedRecord } from '../../simulator/simulated-record.ts'
import {
  lastUpdatedText,
  pythonIsoFormat,
  pythonJsonDumps,
  type PythonDict,
} from '../../simulator/python-text.ts'
import type { Expectation } from '../oracle/device-model.ts'

export type TaggedRecord = {
  readonly key: string | Buffer | null
  readonly value: Buffer | null
  readonly timestampMs: number
  readonly expectation: Expectation
  /** Default: as librdkafka partitions the key. */
  readonly partition?: number
}

export function fromFleet({ key, value, timestampMs, about }: SimulatedRecord): TaggedRecord {
  const expectation = about.outcome === 'rejected' ? { outcome: about.outcome, reason: about.what } : about
  return { key, value, timestampMs, expectation }
}

export type UpdateOptions = {
  readonly deviceId: string
  readonly metadata?: PythonDict
  /** Default: the record time. */
  readonly eventMicros?: number
  readonly timestampMs?: number
  readonly requestId?: string | null
}

export function update(options: UpdateOptions): TaggedRecord {
  const {
    deviceId,
    metadata = { datatype_name: 'temperature' },
    timestampMs = Date.now(),
    requestId,
  } = options
  const eventMicros = options.eventMicros ?? timestampMs * 1000
  const value = pythonJsonDumps({
    request_id: requestId ?? null,
    timestamp: pythonIsoFormat(eventMicros),
    device_id: deviceId,
    values: [1],
    metadata,
  })
  return {
    key: deviceId,
    value: Buffer.from(value),
    timestampMs,
    expectation: { outcome: 'update', deviceId, lastUpdated: lastUpdatedText(eventMicros), metadata },
  }
}

export function tombstone(deviceId: string, timestampMs = Date.now()): TaggedRecord {
  return { key: deviceId, value: null, timestampMs, expectation: { outcome: 'tombstone', deviceId } }
}

export function invalid(
  reason: string,
  value: Buffer | string | null,
  key: string | Buffer | null = 'any-device',
): TaggedRecord {
  return {
    key,
    value: typeof value === 'string' ? Buffer.from(value) : value,
    timestampMs: Date.now(),
    expectation: { outcome: 'rejected', reason },
  }
}
