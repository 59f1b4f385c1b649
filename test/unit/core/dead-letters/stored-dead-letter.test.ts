import { describe, expect, test } from 'vitest'
import {
  buildDeadLetter,
  withoutOriginal,
  type DeadLetter,
} from '../../../../cache-service/core/dead-letters/dead-letter.ts'
import {
  matchesFilter,
  parseOffsetSpan,
  type DeadLetterFilter,
} from '../../../../cache-service/core/dead-letters/filter.ts'
import { DeadLetterCounter } from '../../../../cache-service/core/dead-letters/stats.ts'
import type { SourceRecord } from '../../../../cache-service/core/records/source-record.ts'
import {
  parseDeadLetter,
  type StoredDeadLetter,
} from '../../../../cache-service/core/dead-letters/stored-dead-letter.ts'
import { NOW_MS, RECORD_MS, sourceRecord, validatedOutput } from '../../../support/records/record-builder.ts'

const ORIGIN = { topic: 'validated', partition: 2 }

function deadLetterOf(record: SourceRecord): DeadLetter {
  return buildDeadLetter(record, ORIGIN, { index: 0, reason: 'bad_metadata', detail: 'x' }, NOW_MS, '1.2.3')
}

/** As Kafka delivers it. */
function asRecord({ value, headers }: DeadLetter): SourceRecord {
  const bytes = Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])
  return {
    offset: 41,
    timestampMs: NOW_MS,
    key: null,
    value: Buffer.from(value),
    headers: Object.fromEntries(bytes),
  }
}

function readBack(deadLetter: DeadLetter): StoredDeadLetter {
  const parsed = parseDeadLetter(asRecord(deadLetter), 1)
  if (parsed.kind !== 'dead_letter') throw new Error(parsed.kind)
  return parsed.deadLetter
}

const RECORD = sourceRecord(validatedOutput({ metadata: 'none' }), { key: Buffer.from('sensor-1') })

describe('a stored dead letter', () => {
  test('has everything that was written', () => {
    expect(readBack(deadLetterOf(RECORD))).toEqual({
      partition: 1,
      offset: 41,
      writtenAtMs: NOW_MS,
      requestId: 'b1946ac9-2492-4d23-8b3f-3a4c8d2f9f00',
      error: 'bad_metadata: x',
      reason: 'bad_metadata',
      deviceId: 'sensor-1',
      source: { topic: 'validated', partition: 2, offset: 7, timestampMs: RECORD_MS },
      replayCount: 0,
      serviceVersion: '1.2.3',
      original: { kind: 'bytes', bytes: RECORD.value },
      key: Buffer.from('sensor-1'),
      isKeyCut: false,
    })
  })

  test('distinguishes a tombstone from a record that was cut', () => {
    expect(readBack(deadLetterOf(sourceRecord(null))).original).toEqual({ kind: 'tombstone' })
    expect(readBack(withoutOriginal(deadLetterOf(RECORD), ORIGIN)).original).toEqual({
      kind: 'cut',
      bytes: undefined,
    })
    const large = sourceRecord(Buffer.alloc(300 * 1024, 'x'))
    expect(readBack(deadLetterOf(large)).original).toMatchObject({ kind: 'cut' })
  })

  test('has the replay count of the record, or infinity if that is not a number', () => {
    const again = (count: string) =>
      readBack(deadLetterOf({ ...RECORD, headers: { replay_count: Buffer.from(count) } }))
    expect(again('2').replayCount).toBe(2)
    expect(again('-1').replayCount).toBe(Infinity)
  })

  test('takes the device from the key if the record has no device id', () => {
    const noJson = sourceRecord('{', { key: Buffer.from('by-key') })
    expect(readBack(deadLetterOf(noJson)).deviceId).toBe('by-key')
    expect(readBack(deadLetterOf(sourceRecord('{'))).deviceId).toBeUndefined()
  })

  test.each([
    [
      'from another service',
      {
        value: Buffer.from(
          '{"request_id":"1","timestamp":"t","service":"normalizer","error":"e","original_message":null}',
        ),
      },
    ],
    ['that is not JSON', { value: Buffer.from('x') }],
    ['that is null', { value: null }],
    ['without coordinates', { headers: {} }],
  ])('a message %s is foreign', (_what, overrides) => {
    expect(parseDeadLetter({ ...asRecord(deadLetterOf(RECORD)), ...overrides }, 0)).toEqual({
      kind: 'foreign',
    })
  })
})

describe('a dead-letter filter', () => {
  const ALL: DeadLetterFilter = {
    reasons: [],
    devices: [],
    sinceMs: undefined,
    untilMs: undefined,
    source: [],
    deadLetters: [],
  }
  const deadLetter = readBack(deadLetterOf(RECORD))

  test.each<[boolean, Partial<DeadLetterFilter>]>([
    [true, {}],
    [true, { reasons: ['not_json', 'bad_metadata'] }],
    [false, { reasons: ['not_json'] }],
    [true, { devices: ['sensor-1'] }],
    [false, { devices: ['sensor-2'] }],
    [true, { sinceMs: NOW_MS, untilMs: NOW_MS + 1 }],
    [false, { sinceMs: NOW_MS + 1 }],
    [false, { untilMs: NOW_MS }],
    [
      true,
      {
        source: [
          { partition: 0, from: 0, to: 9 },
          { partition: 2, from: 7, to: 7 },
        ],
      },
    ],
    [false, { source: [{ partition: 2, from: 8, to: Infinity }] }],
    [true, { deadLetters: [{ partition: 1, from: 0, to: 41 }] }],
    [false, { deadLetters: [{ partition: 2, from: 0, to: Infinity }] }],
    [false, { reasons: ['bad_metadata'], devices: ['sensor-2'] }],
  ])('returns %s for %o', (matches, filter) => {
    expect(matchesFilter(deadLetter, { ...ALL, ...filter })).toBe(matches)
  })

  test.each([
    ['2', { partition: 2, from: 0, to: Infinity }],
    ['2:17', { partition: 2, from: 17, to: 17 }],
    ['2:17-40', { partition: 2, from: 17, to: 40 }],
    ['2:17-', { partition: 2, from: 17, to: Infinity }],
    ['2:-40', { partition: 2, from: 0, to: 40 }],
    ['2:', undefined],
    ['2:-', undefined],
    ['2:40-17', undefined],
    ['-1', undefined],
    ['2:1,3', undefined],
  ])('parses the offsets %s', (text, span) => {
    expect(parseOffsetSpan(text)).toEqual(span)
  })
})

test('dead letters are counted by reason, device and hour', () => {
  const counter = new DeadLetterCounter()
  const deadLetter = readBack(deadLetterOf(RECORD))
  counter.add(deadLetter)
  counter.add({ ...deadLetter, reason: 'not_json', deviceId: undefined, writtenAtMs: NOW_MS + 3_600_000 })
  counter.add({ ...deadLetter, deviceId: 'sensor-2', writtenAtMs: NOW_MS + 1 })
  counter.add({ ...deadLetter, deviceId: 'sensor-2', writtenAtMs: NOW_MS - 1 })
  expect(counter.stats(1)).toEqual({
    deadLetters: 4,
    byReason: [
      { name: 'bad_metadata', count: 3 },
      { name: 'not_json', count: 1 },
    ],
    byDevice: [{ name: 'sensor-2', count: 2 }],
    uncountedDevices: false,
    byHour: [
      { name: '2025-06-08T18:00Z', count: 3 },
      { name: '2025-06-08T19:00Z', count: 1 },
    ],
    firstWrittenMs: NOW_MS - 1,
    lastWrittenMs: NOW_MS + 3_600_000,
  })
})
