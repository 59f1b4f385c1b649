import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { planChunk, type ChunkPlan } from '../../../../cache-service/core/records/plan.ts'
import { RECORD_RESULTS, settle } from '../../../../cache-service/core/records/settle.ts'
import type { DeleteStatus, WriteStatus } from '../../../../cache-service/core/records/write-outcome.ts'
import type { SourceRecord } from '../../../../cache-service/core/records/source-record.ts'
import { redisError } from '../../../../shared/errors.ts'
import {
  arbitraryIdleRecord,
  arbitraryTombstone,
  arbitraryUpdate,
} from '../../../support/records/arbitrary-records.ts'
import { NOW_MS, SETTINGS, sourceRecord, validatedOutput } from '../../../support/records/record-builder.ts'

const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value'
const wrongType = { refused: redisError(new Error(WRONG_TYPE)) }
const tooLarge = {
  refused: redisError(new Error('ERR string exceeds maximum allowed size (proto-max-bulk-len)')),
}

const update = (id: string) => sourceRecord(validatedOutput({ device_id: id }))
const tombstone = (id: string) => sourceRecord(null, { key: Buffer.from(id) })
const plan = (...records: SourceRecord[]): ChunkPlan =>
  planChunk(records, { nowMs: NOW_MS, settings: SETTINGS, internalErrorsInARow: 0 })

describe('settle', () => {
  test.each<[WriteStatus & string, string]>([
    ['changed', 'applied'],
    ['unchanged', 'unchanged'],
    ['stale', 'stale'],
  ])('counts an update with the status %s as %s', (status, result) => {
    const settled = settle(plan(update('a')), { deletes: [], updates: [status] })
    expect(settled.counts).toMatchObject({ [result]: 1, dead_lettered: 0 })
    expect(settled.rejections).toEqual([])
  })

  test.each<DeleteStatus & string>(['deleted', 'absent', 'kept'])(
    'counts a delete with the status %s',
    (status) => {
      const settled = settle(plan(tombstone('a')), { deletes: [status], updates: [] })
      expect(settled.counts).toMatchObject({ tombstone: 1 })
      expect(settled.rejections).toEqual([])
    },
  )

  test('counts both records of a device that was deleted and updated again', () => {
    const settled = settle(plan(tombstone('a'), update('a')), { deletes: ['deleted'], updates: ['changed'] })
    expect(settled.counts).toMatchObject({ applied: 1, tombstone: 1 })
  })

  test('rejects the records whose key has the wrong type', () => {
    const settled = settle(plan(update('x'), tombstone('a'), update('a')), {
      deletes: [wrongType],
      updates: ['changed', wrongType],
    })
    expect(settled.rejections).toEqual([
      { index: 1, reason: 'wrong_type', detail: WRONG_TYPE },
      { index: 2, reason: 'wrong_type', detail: WRONG_TYPE },
    ])
    expect(settled.counts).toMatchObject({ applied: 1, tombstone: 0, dead_lettered: 2 })
  })

  test('rejects a record whose value Redis refused', () => {
    const settled = settle(plan(update('a')), { deletes: [], updates: [tooLarge] })
    expect(settled.rejections).toMatchObject([{ index: 0, reason: 'refused_by_redis' }])
  })

  test('throws if the status of an update is missing', () => {
    expect(() => settle(plan(update('a')), { deletes: [], updates: [] })).toThrow('returned no status')
  })
})

test('settle returns the rejections of the plan and of Redis in record order', () => {
  const settled = settle(plan(sourceRecord('{'), update('a'), sourceRecord('['), update('b')), {
    deletes: [],
    updates: [wrongType, tooLarge],
  })
  expect(settled.rejections.map(({ index, reason }) => [index, reason])).toEqual([
    [0, 'not_json'],
    [1, 'wrong_type'],
    [2, 'not_json'],
    [3, 'refused_by_redis'],
  ])
})

test('for any reply of Redis the counts add up to the records and include every result', () => {
  const record = fc.oneof(arbitraryUpdate(NOW_MS), arbitraryTombstone(NOW_MS), arbitraryIdleRecord(NOW_MS))
  const updateStatus = fc.constantFrom<WriteStatus>('changed', 'unchanged', 'stale', wrongType, tooLarge)
  const deleteStatus = fc.constantFrom<DeleteStatus>('deleted', 'absent', 'kept', wrongType)
  const answered = fc
    .array(record, { maxLength: 25 })
    .map((records) => plan(...records))
    .chain((planned) =>
      fc.record({
        planned: fc.constant(planned),
        deletes: fc.array(deleteStatus, {
          minLength: planned.deletes.length,
          maxLength: planned.deletes.length,
        }),
        updates: fc.array(updateStatus, {
          minLength: planned.updates.length,
          maxLength: planned.updates.length,
        }),
      }),
    )
  fc.assert(
    fc.property(answered, ({ planned, deletes, updates }) => {
      const { counts, rejections } = settle(planned, { deletes, updates })
      expect(Object.keys(counts).sort()).toEqual([...RECORD_RESULTS].sort())
      expect(Object.values(counts).reduce((sum, n) => sum + n, 0)).toBe(planned.recordTimesMs.length)
      expect(Math.min(...Object.values(counts))).toBeGreaterThanOrEqual(0)
      expect(counts.dead_lettered).toBe(rejections.length)
      expect(new Set(rejections.map(({ index }) => index)).size).toBe(rejections.length)
    }),
    { numRuns: 500 },
  )
})
