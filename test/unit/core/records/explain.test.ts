import type { SourceRecord } from '../../../../cache-service/core/records/source-record.ts'
import { describe, expect, test } from 'vitest'
import {
  changedDevice,
  explainChange,
  explainRecord,
  plannedHash,
  type StoredHash,
} from '../../../../cache-service/core/records/explain.ts'
import {
  deviceId,
  NOW_MS,
  RECORD_MS,
  SETTINGS,
  sourceRecord,
  validatedOutput,
} from '../../../support/records/record-builder.ts'

const ABSENT: StoredHash = { kind: 'absent' }

function explain(value: unknown, overrides: Partial<SourceRecord> = {}) {
  return explainRecord(sourceRecord(value, overrides), NOW_MS, SETTINGS)
}

function hash(fields: Readonly<Record<string, string>>): StoredHash {
  return { kind: 'hash', fields: new Map(Object.entries(fields)), expiresAtMs: NOW_MS }
}

const STORED = {
  last_updated: '2025-06-08T18:27:17.476623+00:00',
  datatype_id: '7',
  datatype_name: 'temperature',
  datatype_unit: '°C',
  persist: 'true',
}

describe('explainRecord', () => {
  test('explains a valid record as an update, with the planned hash, the times and the expiry', () => {
    const explanation = explain(validatedOutput())
    const { verdict } = explanation
    if (verdict.kind !== 'update') throw new Error(verdict.kind)
    expect(Object.fromEntries(plannedHash(verdict.write))).toEqual(STORED)
    expect(explanation).toMatchObject({
      namedDevice: 'sensor-1',
      givenTimestamp: '2025-06-08T18:27:17.476623',
      recordTime: '2025-06-08T18:27:18.000000+00:00',
      isRecordTimeNow: false,
      expiresAtMs: RECORD_MS + SETTINGS.metadataTtlMs,
    })
    expect(changedDevice(explanation)).toBe(deviceId('sensor-1'))
  })

  test('reports a clamped event time and a record time that is read as now', () => {
    const future = explain(validatedOutput({ timestamp: '2031-01-01T00:00:00Z' }), { timestampMs: -1 })
    expect(future.isRecordTimeNow).toBe(true)
    expect(future.verdict).toMatchObject({
      kind: 'update',
      clamped: true,
      write: { lastUpdated: '2025-06-08T18:27:20.000000+00:00' },
    })
  })

  test('explains a record older than the TTL as expired, with the time of expiry', () => {
    const explanation = explain(validatedOutput(), { timestampMs: NOW_MS - 2 * SETTINGS.metadataTtlMs })
    expect(explanation.verdict).toEqual({ kind: 'expired' })
    expect(explanation.expiresAtMs).toBe(NOW_MS - SETTINGS.metadataTtlMs)
  })

  test.each([
    ['empty_value', Buffer.alloc(0)],
    ['not_utf8', Buffer.from([0xff])],
    ['not_json', '{'],
    ['not_an_object', '[]'],
    ['missing_device_id', {}],
    ['bad_device_id', { device_id: 7 }],
    ['bad_timestamp', validatedOutput({ timestamp: 'yesterday' })],
    ['bad_metadata', validatedOutput({ metadata: 'none' })],
    ['bad_request_id', validatedOutput({ request_id: 7 })],
    ['bad_key', null],
    ['value_too_large', Buffer.alloc(SETTINGS.maxRecordBytes + 1)],
  ])('explains an invalid record as rejected with the reason %s', (reason, value) => {
    const explanation = explain(value)
    expect(explanation.verdict).toMatchObject({
      kind: 'rejected',
      reason,
      detail: expect.stringMatching(/./),
    })
    expect(changedDevice(explanation)).toBeUndefined()
    expect(explainChange(explanation, ABSENT).outcome).toBe('dead_lettered')
  })

  test('explains a record without metadata as skipped', () => {
    const explanation = explain(validatedOutput({ metadata: null }))
    expect(explanation.verdict).toEqual({ kind: 'skipped', reason: 'no_metadata' })
    expect(explainChange(explanation, ABSENT).outcome).toBe('skipped')
  })
})

describe('explainChange', () => {
  test('lists all fields of the stored and of the planned hash', () => {
    const explanation = explain(validatedOutput())
    const { outcome, fields } = explainChange(
      explanation,
      hash({
        last_updated: '2025-06-08T18:00:00.000000+00:00',
        datatype_name: 'temperature',
        extra: 'old',
      }),
    )
    expect(outcome).toBe('changed')
    expect(fields).toEqual([
      { field: 'last_updated', stored: '2025-06-08T18:00:00.000000+00:00', planned: STORED.last_updated },
      { field: 'datatype_id', stored: undefined, planned: '7' },
      { field: 'datatype_name', stored: 'temperature', planned: 'temperature' },
      { field: 'datatype_unit', stored: undefined, planned: '°C' },
      { field: 'persist', stored: undefined, planned: 'true' },
      { field: 'extra', stored: 'old', planned: undefined },
    ])
  })

  test.each([
    ['changed', ABSENT],
    ['unchanged', hash(STORED)],
    ['stale', hash({ ...STORED, last_updated: '2025-06-08T18:27:17.476624+00:00' })],
    ['stale', hash({ ...STORED, datatype_id: '8' })],
    ['changed', hash({ ...STORED, datatype_id: '6' })],
    ['wrong_type', { kind: 'other_type', type: 'string' } as const],
  ])('reports the outcome %s for an update', (outcome, found) => {
    expect(explainChange(explain(validatedOutput()), found)).toMatchObject({
      outcome,
      isStoredTimeUntrusted: false,
    })
  })

  test.each(['yesterday', '2031-01-01T00:00:00.000000+00:00'])(
    'replaces a stored event time that is not trusted (%s)',
    (last_updated) => {
      expect(explainChange(explain(validatedOutput()), hash({ ...STORED, last_updated }))).toMatchObject({
        outcome: 'changed',
        isStoredTimeUntrusted: true,
      })
    },
  )

  test.each([
    ['absent', ABSENT],
    ['deleted', hash(STORED)],
    ['kept', hash({ ...STORED, last_updated: '2025-06-08T18:40:00.000000+00:00' })],
    ['wrong_type', { kind: 'other_type', type: 'set' } as const],
  ])('reports the outcome %s for a tombstone', (outcome, found) => {
    const explanation = explain(null, { key: Buffer.from('sensor-1') })
    expect(explanation.namedDevice).toBe('sensor-1')
    expect(explainChange(explanation, found)).toMatchObject({ outcome, fields: [] })
  })
})
