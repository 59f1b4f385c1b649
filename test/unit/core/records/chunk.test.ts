import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { splitIntoChunks, type ChunkLimits } from '../../../../cache-service/core/records/chunk.ts'
import type { SourceRecord } from '../../../../cache-service/core/records/source-record.ts'
import { sourceRecord } from '../../../support/records/record-builder.ts'

/** Records whose values have the given sizes in bytes; null is a tombstone. */
function records(sizesOfRecords: readonly (number | null)[]): SourceRecord[] {
  return sizesOfRecords.map((size, i) =>
    sourceRecord(size === null ? null : Buffer.alloc(size), { offset: String(i), key: Buffer.from('a') }),
  )
}

function sizes(sizesOfRecords: readonly (number | null)[], limits: ChunkLimits): number[][] {
  return [...splitIntoChunks(records(sizesOfRecords), limits)].map((chunk) =>
    chunk.map(({ value }) => value?.length ?? 0),
  )
}

test.each<[what: string, given: (number | null)[], limits: ChunkLimits, expected: number[][]]>([
  ['returns no chunk for no records', [], { maxRecords: 2, maxBytes: 10 }, []],
  ['returns one chunk for one record', [3], { maxRecords: 2, maxBytes: 10 }, [[3]]],
  ['limits the number of records', [1, 1, 1], { maxRecords: 2, maxBytes: 10 }, [[1, 1], [1]]],
  ['limits the number of bytes', [4, 6, 1], { maxRecords: 9, maxBytes: 10 }, [[4, 6], [1]]],
  [
    'gives an oversized record a chunk of its own',
    [3, 99, 3],
    { maxRecords: 9, maxBytes: 10 },
    [[3], [99], [3]],
  ],
  ['counts a tombstone as 0 bytes', [10, null, null], { maxRecords: 9, maxBytes: 10 }, [[10, 0, 0]]],
  ['makes single-record chunks if the limit is 1', [1, 1], { maxRecords: 1, maxBytes: 10 }, [[1], [1]]],
])('splitIntoChunks %s', (_, given, limits, expected) => {
  expect(sizes(given, limits)).toEqual(expected)
})

test('splitIntoChunks keeps all records in order and makes each chunk as long as the limits allow', () => {
  const size = fc.oneof(fc.integer({ min: 0, max: 30 }), fc.constant(null))
  const limits = fc.record({
    maxRecords: fc.integer({ min: 1, max: 6 }),
    maxBytes: fc.integer({ min: 1, max: 60 }),
  })
  fc.assert(
    fc.property(fc.array(size, { maxLength: 40 }), limits, (given, { maxRecords, maxBytes }) => {
      const fetched = records(given)
      const chunks = [...splitIntoChunks(fetched, { maxRecords, maxBytes })]
      expect(chunks.flat()).toEqual(fetched)
      const bytesOf = (chunk: readonly SourceRecord[]) =>
        chunk.reduce((sum, { value }) => sum + (value?.length ?? 0), 0)
      for (const [i, chunk] of chunks.entries()) {
        expect(chunk.length).toBeGreaterThan(0)
        expect(chunk.length).toBeLessThanOrEqual(maxRecords)
        if (chunk.length > 1) expect(bytesOf(chunk)).toBeLessThanOrEqual(maxBytes)
        const first = chunks[i + 1]?.[0]
        if (first === undefined) continue
        const hadRoom = chunk.length < maxRecords && bytesOf([...chunk, first]) <= maxBytes
        expect(hadRoom).toBe(false)
      }
    }),
    { numRuns: 500 },
  )
})
