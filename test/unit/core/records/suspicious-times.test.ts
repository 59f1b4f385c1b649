import { describe, expect, test } from 'vitest'
import { planChunk } from '../../../../cache-service/core/records/plan.ts'
import {
  judgeRecordTime,
  rangesOf,
  type SuspiciousTime,
} from '../../../../cache-service/core/records/suspicious-times.ts'
import {
  DAY_MS,
  NOW_MS,
  RECORD_MS,
  SETTINGS,
  sourceRecord,
  validatedOutput,
} from '../../../support/records/record-builder.ts'

function kindsOf(timestamp: number, eventTime: string, ttlMs = DAY_MS): SuspiciousTime[] {
  const record = sourceRecord(validatedOutput({ timestamp: eventTime }), { timestampMs: timestamp })
  const settings = { ...SETTINGS, metadataTtlMs: ttlMs }
  const plan = planChunk([record], { nowMs: NOW_MS, settings, internalErrorsInARow: 0 })
  return [...rangesOf(plan.suspiciousTimes)].map(([kind]) => kind)
}
const isoOf = (ms: number) => new Date(ms).toISOString()

describe('a record time', () => {
  test.each([
    ['of now, in milliseconds', NOW_MS, undefined],
    ['of 2000', Date.UTC(2000, 0, 1), undefined],
    ['of now, in seconds', NOW_MS / 1000, 'record_time_in_seconds'],
    ['of 2000, in seconds', Date.UTC(2000, 0, 1) / 1000, 'record_time_in_seconds'],
    ['of a clock that was not set', 12_345, 'record_time_before_2000'],
    [
      'that would be in the future if it were seconds',
      (NOW_MS + 2 * DAY_MS) / 1000,
      'record_time_before_2000',
    ],
    ['of 1999', Date.UTC(1999, 11, 31), 'record_time_before_2000'],
  ])('%s is judged', (_what, ms, kind) => {
    expect(judgeRecordTime(ms, NOW_MS)).toBe(kind)
  })

  test('in seconds is noticed whether or not the record expires', () => {
    const seconds = Math.floor(NOW_MS / 1000)
    expect(kindsOf(seconds, isoOf(NOW_MS))).toEqual(['record_time_in_seconds'])
    expect(kindsOf(seconds, isoOf(NOW_MS), 0)).toEqual(['record_time_in_seconds', 'event_time_early'])
  })

  test('that is only old is one of a backlog', () => {
    const old = NOW_MS - 2 * DAY_MS
    expect(kindsOf(old, isoOf(old))).toEqual(['expired'])
  })
})

describe('an event time', () => {
  test.each<[what: string, beforeMs: number, ttlMs: number, kinds: SuspiciousTime[]]>([
    ['a day', DAY_MS, DAY_MS, []],
    ['more than a day', DAY_MS + 1, DAY_MS, ['event_time_late']],
    ['more than a day, if metadata lives for two', DAY_MS + 1, 2 * DAY_MS, []],
    ['more than a day, if metadata lives for a minute', DAY_MS + 1, 60_000, ['event_time_late']],
    ['decades', RECORD_MS, DAY_MS, ['event_time_late']],
  ])('%s before its record time is judged', (_what, beforeMs, ttlMs, kinds) => {
    expect(kindsOf(RECORD_MS, isoOf(RECORD_MS - beforeMs), ttlMs)).toEqual(kinds)
  })
})
