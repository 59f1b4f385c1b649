import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseRecord, type ParsedRecord } from '../../../../cache-service/core/records/parse-record.ts'
import { planChunk, type ChunkPlan, type PlanContext } from '../../../../cache-service/core/records/plan.ts'
import { settle } from '../../../../cache-service/core/records/settle.ts'
import type { SourceRecord } from '../../../../cache-service/core/records/source-record.ts'
import {
  ALL_FIELDS,
  anyDelivery,
  arbitraryIdleRecord,
  arbitraryTombstone,
  arbitraryUpdate,
  asPartition,
  chunkLengths,
  cut,
  inOrderOfTime,
} from '../../../support/records/arbitrary-records.ts'
import { greatestUpdates } from '../../../support/oracle/greatest-update.ts'
import {
  NOW_MS,
  RECORD_MS,
  SETTINGS,
  sourceRecord,
  validatedOutput,
} from '../../../support/records/record-builder.ts'
import { RedisModel } from '../../../support/oracle/redis-model.ts'

const CONTEXT: PlanContext = { nowMs: NOW_MS, settings: SETTINGS, internalErrorsInARow: 0 }
const plan = (
  records: readonly SourceRecord[],
  context: Partial<PlanContext> = {},
  parse?: typeof parseRecord,
) => planChunk(records, { ...CONTEXT, ...context }, parse)
const total = (counts: Readonly<Record<string, number>>) =>
  Object.values(counts).reduce((sum, n) => sum + n, 0)

const update = arbitraryUpdate(NOW_MS)
const tombstone = arbitraryTombstone(NOW_MS)
const idle = arbitraryIdleRecord(NOW_MS)
const anyRecord = fc.oneof(
  { weight: 6, arbitrary: update },
  { weight: 2, arbitrary: tombstone },
  { weight: 1, arbitrary: idle },
)

const time = (ms: number) => ({ records: 1, oldestMs: ms, newestMs: ms })

describe('the plan of a chunk', () => {
  test('contains what to do with a record of every kind', () => {
    const planned = plan([
      sourceRecord(validatedOutput()),
      sourceRecord(validatedOutput({ device_id: 'late', timestamp: '2025-06-08T19:00:00' })),
      sourceRecord(null, { key: Buffer.from('gone') }),
      sourceRecord(validatedOutput({ metadata: null })),
      sourceRecord(validatedOutput(), { timestampMs: 1 }),
      sourceRecord('{'),
    ])
    expect(planned).toMatchObject({
      deletes: [{ index: 2, deviceId: 'gone', deletesUpTo: '2025-06-08T18:32:18.000000+00:00' }],
      updates: [
        { index: 0, deviceId: 'sensor-1', lastUpdated: '2025-06-08T18:27:17.476623+00:00' },
        { index: 1, deviceId: 'late', lastUpdated: '2025-06-08T18:27:18.000000+00:00' },
      ],
      rejections: [{ index: 5, reason: 'not_json' }],
      trustedUpTo: '2025-06-09T18:27:20.000000+00:00',
      superseded: 0,
      tombstones: 1,
      skipped: 1,
      expired: 1,
      clockSkews: 1,
      suspiciousTimes: {
        event_time_early: time(Date.UTC(2025, 5, 8, 19)),
        record_time_before_2000: time(1),
      },
      internalErrorsInARow: 0,
      mostInternalErrorsInARow: 0,
    })
    expect([...planned.recordTimesMs]).toEqual([RECORD_MS, RECORD_MS, RECORD_MS, RECORD_MS, 1, RECORD_MS])
  })

  test('is empty for an empty chunk', () => {
    expect(plan([])).toMatchObject({ deletes: [], updates: [], rejections: [], superseded: 0 })
  })

  test('contains each device at most once among the updates and at most once among the deletes', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 30 }), (records) => {
        const { deletes, updates } = plan(records, { settings: ALL_FIELDS })
        for (const step of [deletes, updates]) {
          const ids = step.map((write) => write.deviceId)
          expect(new Set(ids).size).toBe(ids.length)
        }
      }),
      { numRuns: 300 },
    )
  })
})

/** Applies the chunks one by one, as the worker does. */
function run(chunks: readonly (readonly SourceRecord[])[]) {
  const redis = new RedisModel()
  const counted: number[] = []
  for (const chunk of chunks) {
    const planned = plan(chunk, { settings: ALL_FIELDS })
    const settled = settle(planned, redis.write(planned))
    counted.push(total(settled.counts))
  }
  return { state: redis.snapshot(), counted }
}

describe('for any order, repetition and chunking of the records,', () => {
  test('Redis ends with the greatest update and the latest expiry of each device', () => {
    const deliveries = fc
      .array(fc.oneof({ weight: 6, arbitrary: update }, { weight: 1, arbitrary: idle }), { maxLength: 14 })
      .chain((records) => fc.tuple(fc.constant(records), anyDelivery(records), chunkLengths))
    fc.assert(
      fc.property(deliveries, ([records, delivered, lengths]) => {
        const expected = greatestUpdates(records, NOW_MS, ALL_FIELDS)
        const { state } = run(cut(delivered, lengths))
        expect(state).toEqual({ hashes: expected, index: Object.keys(expected).sort() })
      }),
      { numRuns: 400 },
    )
  })

  test('records in order of time with tombstones end in one state, however they are chunked', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 20 }), chunkLengths, (given, lengths) => {
        const records = inOrderOfTime(given)
        const oneByOne = run(cut(records, [1])).state
        expect(run(cut(records, lengths)).state).toEqual(oneByOne)
        expect(run([records]).state).toEqual(oneByOne)
      }),
      { numRuns: 400 },
    )
  })

  test('records of any record times with tombstones end in the same devices and contents', () => {
    // Not in the same expiry: a tombstone that deletes nothing may be older than the update that it keeps.
    const contents = (chunks: readonly (readonly SourceRecord[])[]) => {
      const { hashes, index } = run(chunks).state
      const found = Object.entries(hashes).map(([id, { lastUpdated, fields }]) => [id, lastUpdated, fields])
      return { found, index }
    }
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 20 }), chunkLengths, (records, lengths) => {
        const oneByOne = contents(cut(records, [1]))
        expect(contents(cut(records, lengths))).toEqual(oneByOne)
        expect(contents([records])).toEqual(oneByOne)
      }),
      { numRuns: 400 },
    )
  })

  test('the index contains exactly the existing devices', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 20 }), chunkLengths, (records, lengths) => {
        const { hashes, index } = run(cut(records, lengths)).state
        expect(index).toEqual(Object.keys(hashes).sort())
      }),
      { numRuns: 300 },
    )
  })

  test('every record is counted once', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 30 }), chunkLengths, (records, lengths) => {
        const chunks = cut(records, lengths)
        expect(run(chunks).counted).toEqual(chunks.map((chunk) => chunk.length))
      }),
      { numRuns: 500 },
    )
  })

  test('applying the same records again changes nothing', () => {
    fc.assert(
      fc.property(fc.array(update, { maxLength: 12 }), chunkLengths, (records, lengths) => {
        const redis = new RedisModel()
        for (const chunk of cut(records, lengths)) redis.write(plan(chunk, { settings: ALL_FIELDS }))
        const before = redis.snapshot()
        for (const chunk of cut(records, lengths)) {
          const again = redis.write(plan(chunk, { settings: ALL_FIELDS }))
          expect(again.updates).not.toContain('changed')
        }
        expect(redis.snapshot()).toEqual(before)
      }),
      { numRuns: 300 },
    )
  })
})

describe('an exception in our own code', () => {
  /** A parser that throws for the records with the given offsets. */
  function failingFor(...offsets: number[]): typeof parseRecord {
    return (record, nowMs, settings): ParsedRecord => {
      if (offsets.includes(Number(record.offset))) throw new TypeError('x is not a function')
      return parseRecord(record, nowMs, settings)
    }
  }
  const good = (count: number) =>
    asPartition(Array.from({ length: count }, () => sourceRecord(validatedOutput())))

  test('affects only its record, which becomes a dead letter', () => {
    expect(plan(good(3), {}, failingFor(1))).toMatchObject({
      rejections: [{ index: 1, reason: 'internal_error', detail: 'x is not a function' }],
      updates: [{ index: 0 }],
      superseded: 1,
      internalErrorsInARow: 0,
      mostInternalErrorsInARow: 1,
    })
  })

  test('is counted in runs, which end with a record that our code handles', () => {
    expect(plan(good(7), {}, failingFor(1, 2, 3, 5, 6))).toMatchObject({
      internalErrorsInARow: 2,
      mostInternalErrorsInARow: 3,
    })
  })

  test('is counted across chunks', () => {
    expect(plan(good(3), { internalErrorsInARow: 48 }, failingFor(0, 1))).toMatchObject({
      internalErrorsInARow: 0,
      mostInternalErrorsInARow: 50,
    })
    expect(plan(good(2), { internalErrorsInARow: 48 }, failingFor(0, 1))).toMatchObject({
      internalErrorsInARow: 50,
      mostInternalErrorsInARow: 50,
    })
  })

  test('is distinct from an invalid record, which ends a run as well', () => {
    const records = asPartition([sourceRecord('a'), sourceRecord('b'), sourceRecord('c')])
    expect(plan(records, { internalErrorsInARow: 9 }, failingFor(2))).toMatchObject({
      internalErrorsInARow: 1,
      mostInternalErrorsInARow: 1,
    })
  })

  test('does not hold the records of another partition that follow it', () => {
    expect(plan(good(2), { internalErrorsInARow: 50 })).toMatchObject({
      internalErrorsInARow: 0,
      mostInternalErrorsInARow: 0,
    })
  })

  test('counts as a dead-lettered record, so that the counts add up to the records', () => {
    const planned = plan(good(3), {}, failingFor(0, 2))
    expect(settle(planned, { deletes: [], updates: ['changed'] }).counts).toMatchObject({
      applied: 1,
      dead_lettered: 2,
    })
  })
})

test('a plan is plain data that survives serialisation', () => {
  const planned: ChunkPlan = plan([sourceRecord(validatedOutput()), sourceRecord('{')])
  const { recordTimesMs: _times, ...rest } = planned
  expect(JSON.parse(JSON.stringify(rest))).toEqual(rest)
})
