import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeRecords,
  isAbortMarker,
  readRecordBatches,
  UndecodableBatchError,
} from '../../../cache-service/kafka/record-batch.ts'
import type { SourceRecord } from '../../../cache-service/core/records/source-record.ts'
import { encodeBatch, withChecksum, type BatchToEncode } from '../../support/records/record-batch-encoder.ts'

// Batches are encoded by KafkaJS's own encoder, which Kafka understands; test/integration/kafka/kafkajs.test.ts reads
// what other producers wrote.

const BASE_MS = 1_749_493_637_000

async function decodeOne(batch: BatchToEncode) {
  const [read, ...others] = readRecordBatches(encodeBatch(batch)).batches
  if (read === undefined) throw new Error('no batch was read')
  expect(others).toEqual([])
  return { batch: read, records: (await decodeRecords(read)).records }
}

/** Its keys and values are read only here. */
function contentOf({ headers, key, offset, timestampMs, value }: SourceRecord) {
  return { headers, key, offset, timestampMs, value }
}

const anyBytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array))
const anyRecord = fc.record({
  key: fc.option(anyBytes),
  value: fc.option(anyBytes),
  timestampDelta: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
  headers: fc.array(fc.tuple(fc.string({ maxLength: 6 }), fc.option(anyBytes)), { maxLength: 4 }),
})

describe('a record batch', () => {
  test('decodes to the records that were encoded, with their offsets, times and headers', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyRecord, { maxLength: 20 }),
        fc.maxSafeNat().map((n) => n % 2 ** 50),
        fc.constantFrom('none', 'gzip', 'snappy', 'lz4', 'zstd'),
        async (records, baseOffset, codec) => {
          const { batch, records: decoded } = await decodeOne({ baseOffset, baseMs: BASE_MS, records, codec })
          expect(batch.nextOffset).toBe(baseOffset + Math.max(1, records.length))
          expect(decoded.map(contentOf)).toEqual(
            records.map(({ headers, key, timestampDelta, value }, i) => ({
              offset: baseOffset + i,
              timestampMs: BASE_MS + timestampDelta,
              key,
              value,
              headers: grouped(headers),
            })),
          )
        },
      ),
    )
  })

  test('thinned by compaction still covers the removed offsets, and its records keep theirs', async () => {
    const records = [3, 7].map((offsetDelta) => ({ offsetDelta, key: null, value: Buffer.from('x') }))
    const { batch, records: decoded } = await decodeOne({ baseOffset: 100, records, lastOffsetDelta: 9 })
    expect(batch.nextOffset).toBe(110)
    expect(decoded.map(({ offset }) => offset)).toEqual([103, 107])
  })

  test('emptied by compaction still covers its offsets', async () => {
    const { batch, records } = await decodeOne({ baseOffset: 100, records: [], lastOffsetDelta: 9 })
    expect([batch.nextOffset, records]).toEqual([110, []])
  })

  test('with a time set by the broker gives that time to each record', async () => {
    const records = [0, 5].map((timestampDelta) => ({ timestampDelta, key: null, value: null }))
    const { records: decoded } = await decodeOne({ records, baseMs: 7, appendTimeMs: BASE_MS })
    expect(decoded.map(({ timestampMs }) => timestampMs)).toEqual([BASE_MS, BASE_MS])
  })

  test('with 10,000 headers in one record is decoded without quadratic time', async () => {
    const headers = Array.from({ length: 10_000 }, (_, i): [string, Buffer] => [
      `h${i % 5_000}`,
      Buffer.from('v'),
    ])
    const { records } = await decodeOne({ records: [{ key: null, value: null, headers }] })
    expect(Object.keys(records[0]?.headers ?? {})).toHaveLength(5_000)
    expect(records[0]?.headers?.['h7']).toEqual([Buffer.from('v'), Buffer.from('v')])
  })

  test('with 150,000 records is decoded', async () => {
    const records = Array.from({ length: 150_000 }, () => ({ key: null, value: Buffer.from('x') }))
    const { records: decoded } = await decodeOne({ records, codec: 'gzip' })
    expect(decoded).toHaveLength(150_000)
    expect(decoded.at(-1)?.offset).toBe(149_999)
  }, 30_000)

  test('is an abort marker only if it aborts its transaction', () => {
    const marker = (type: number) => {
      const key = Buffer.from([0, 0, 0, type])
      const [batch] = readRecordBatches(
        encodeBatch({ records: [{ key, value: null }], isControl: true }),
      ).batches
      return batch !== undefined && isAbortMarker(batch)
    }
    expect([marker(0), marker(1)]).toEqual([true, false])
  })
})

describe('the batches of a fetch', () => {
  const first = encodeBatch({ baseOffset: 5, records: [{ key: null, value: Buffer.from('a') }] })
  const second = encodeBatch({ baseOffset: 6, records: [{ key: null, value: Buffer.from('b') }] })

  test('do not include a truncated last batch, wherever it is cut', () => {
    const both = Buffer.concat([first, second])
    for (let length = 0; length <= both.length; length++) {
      const expected = length === both.length ? [5, 6] : length >= first.length ? [5] : []
      expect(readRecordBatches(both.subarray(0, length)).batches.map(({ baseOffset }) => baseOffset)).toEqual(
        expected,
      )
    }
  })

  test.each<[string, (bytes: Buffer) => unknown, RegExp]>([
    ['has the format before Kafka 0.11', (bytes) => bytes.writeInt8(1, 16), /version 1/],
    ['has a negative length', (bytes) => bytes.writeInt32BE(-100, 8), /length/],
    ['is shorter than a header', (bytes) => bytes.writeInt32BE(5, 8), /length/],
    ['covers no offset', (bytes) => bytes.writeInt32BE(-1, 23), /no offset/],
  ])('end before one that %s, and say why', (_, damage, why) => {
    const damaged = Buffer.from(second)
    damage(damaged)
    const { batches, unreadable } = readRecordBatches(Buffer.concat([first, damaged]))
    expect(batches.map(({ baseOffset }) => baseOffset)).toEqual([5])
    expect(unreadable).toMatch(why)
  })
})

describe('a batch whose checksum is wrong', () => {
  const three = ['a', 'b', 'c'].map((text, i) =>
    encodeBatch({ baseOffset: 5 + i, records: [{ key: null, value: Buffer.from(text) }] }),
  )
  const damagedAt = (i: number, at: number) =>
    Buffer.concat(
      three.map((bytes, j) => (i === j ? Buffer.from(bytes).fill(~(bytes[at] ?? 0), at, at + 1) : bytes)),
    )
  /** Of the header from the checksum on, but not its last offset, and of the record. */
  const places = [17, 21, 22, 30, 40, 50, 60, 61, three[0]?.length ?? 0].map((at) => Math.min(at, 68))

  test.each(places)(
    'at byte %i is read alone: after the batches ahead of it, it is left to the next fetch',
    async (at) => {
      expect(readRecordBatches(damagedAt(1, at)).batches.map(({ baseOffset }) => baseOffset)).toEqual([5])
      const { batches } = readRecordBatches(damagedAt(1, at).subarray(three[0]?.length))
      expect(batches).toMatchObject([{ baseOffset: 6, nextOffset: 7, isDamaged: true, isControl: false }])
      const [damaged] = batches
      if (damaged === undefined) throw new Error('no batch was read')
      await expect(decodeRecords(damaged)).rejects.toThrow('its checksum is wrong')
    },
  )

  test('in its last offset covers no offset of the batch behind it', () => {
    const bytes = damagedAt(0, 25)
    expect(bytes.readInt32BE(23)).toBeGreaterThan(60_000)
    expect(readRecordBatches(bytes).batches).toMatchObject([
      { baseOffset: 5, nextOffset: 6, isDamaged: true },
    ])
  })
})

describe('a batch whose records can’t be decoded', () => {
  const records = [{ key: Buffer.from('k'), value: Buffer.alloc(500, 'v') }]

  test.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)(
    'compressed with %s has a readable header, and an error that names the codec',
    async (codec) => {
      const corrupt = encodeBatch({ baseOffset: 40, records, codec })
      corrupt.fill(0xff, 70, corrupt.length)
      const [batch] = readRecordBatches(withChecksum(corrupt)).batches
      if (batch === undefined) throw new Error('no batch was read')
      expect([batch.baseOffset, batch.nextOffset, batch.recordCount]).toEqual([40, 41, 1])
      const error: unknown = await decodeRecords(batch).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(UndecodableBatchError)
      expect(String(error)).toContain(codec)
    },
  )

  test('causes no error but UndecodableBatchError, whichever byte is corrupt', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 0, max: 255 }), async (at, byte) => {
        const corrupt = encodeBatch({ records: [...records, ...records] })
        corrupt[57 + (at % (corrupt.length - 57))] = byte
        const [batch] = readRecordBatches(withChecksum(corrupt)).batches
        if (batch === undefined) return
        const failure: unknown = await decodeRecords(batch).then(
          () => undefined,
          (thrown: unknown) => thrown,
        )
        expect(failure === undefined || failure instanceof UndecodableBatchError).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test.each<[string, (bytes: Buffer) => unknown, RegExp]>([
    // A record takes 510 bytes. Its fifth byte is its offset, after two of its length, attributes and time.
    ['whose second record repeats the offset of the first', (bytes) => (bytes[61 + 510 + 4] = 0), /offset 0/],
    ['whose first record lies before the batch', (bytes) => (bytes[61 + 4] = 1), /offset -1/],
    ['whose second record lies behind the batch', (bytes) => (bytes[61 + 510 + 4] = 6), /offset 3/],
    ['whose header declares fewer records than follow', (bytes) => bytes.writeInt32BE(1, 57), /follow/],
  ])('%s is not decoded, because positions follow offsets', async (_, damage, why) => {
    const damaged = encodeBatch({ records: [...records, ...records] })
    damage(damaged)
    const [batch] = readRecordBatches(withChecksum(damaged)).batches
    if (batch === undefined) throw new Error('no batch was read')
    await expect(decodeRecords(batch)).rejects.toThrow(why)
  })

  test('of an unknown compression type causes an error that says so', async () => {
    const unknown = encodeBatch({ records })
    unknown.writeInt16BE(7, 21)
    const [batch] = readRecordBatches(withChecksum(unknown)).batches
    if (batch === undefined) throw new Error('no batch was read')
    await expect(decodeRecords(batch)).rejects.toThrow('unknown compression type')
  })
})

function grouped(headers: readonly (readonly [string, Buffer | null])[]) {
  const groups: Record<string, Buffer | null | (Buffer | null)[]> = {}
  for (const [name, value] of headers) {
    const all = headers.filter(([other]) => other === name).map(([, one]) => one)
    Object.defineProperty(groups, name, {
      value: all.length > 1 ? all : value,
      enumerable: true,
      configurable: true,
    })
  }
  return groups
}
