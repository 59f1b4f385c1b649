import { describe, expect, test } from 'vitest'
import { fetchedPartition, numberedBatch } from '../../support/records/fetched-partition.ts'
import { encodeBatch } from '../../support/records/record-batch-encoder.ts'

const marker = (baseOffset: number, producerId: number, type: 'abort' | 'commit') => ({
  baseOffset,
  producerId,
  isControl: true,
  isTransactional: true,
  records: [{ key: Buffer.from([0, 0, 0, type === 'abort' ? 0 : 1]), value: null }],
})
const transactional = (baseOffset: number, producerId: number) =>
  numberedBatch(baseOffset, 1, { producerId, isTransactional: true })
const offsetsOf = ({ batches }: ReturnType<typeof fetchedPartition>) =>
  batches.map(({ baseOffset }) => baseOffset)

describe('a fetched partition', () => {
  test('ends after its last batch, and omits batches before the requested offset', () => {
    const fetched = fetchedPartition({ position: 12, batches: [numberedBatch(0, 10), numberedBatch(10, 5)] })
    expect([fetched.position, fetched.next, offsetsOf(fetched)]).toEqual([12, 15, [10]])
    expect([fetched.isEmpty(), fetched.lastOffset()]).toEqual([false, '14'])
  })

  test('without batches is empty and does not advance', () => {
    const fetched = fetchedPartition({ position: 12, batches: [] })
    expect([fetched.next, fetched.isEmpty()]).toEqual([12, true])
  })

  test.each([
    ['a batch that compaction emptied', numberedBatch(12, 0, { lastOffsetDelta: 7 }), 20],
    ['the end of a transaction', marker(12, 1, 'commit'), 13],
  ])('advances past %s, and is not empty, so that the handler is called', (_, batch, next) => {
    const fetched = fetchedPartition({ position: 12, batches: [batch] })
    expect([fetched.next, fetched.isEmpty(), fetched.batches]).toEqual([next, false, []])
  })

  test('omits aborted transactions, and only those, where several interleave', () => {
    const fetched = fetchedPartition({
      batches: [
        transactional(0, 1),
        transactional(1, 2),
        numberedBatch(2, 1),
        marker(3, 1, 'abort'),
        transactional(4, 1),
        marker(5, 2, 'commit'),
        marker(6, 1, 'commit'),
        transactional(7, 2),
      ],
      abortedTransactions: [
        { producerId: '1', firstOffset: '0' },
        { producerId: '2', firstOffset: '7' },
      ],
    })
    expect([offsetsOf(fetched), fetched.next]).toEqual([[1, 2, 4], 8])
  })

  test('is not empty if its first header cannot be read, so that the handler can report it', () => {
    const damaged = encodeBatch(numberedBatch(12, 1))
    damaged.writeInt32BE(-1, 8)
    const fetched = fetchedPartition({ position: 12, batches: [damaged] })
    expect([fetched.next, fetched.isEmpty(), fetched.unreadable]).toEqual([
      12,
      false,
      expect.stringContaining('length'),
    ])
    const behind = fetchedPartition({ position: 10, batches: [numberedBatch(10, 2), damaged] })
    expect([behind.next, behind.unreadable]).toEqual([12, undefined])
  })

  test('whose last batch is damaged covers nothing beyond the end of the partition', () => {
    const damaged = encodeBatch(numberedBatch(999_990, 3))
    damaged.writeInt32BE(5_000, 23)
    const fetched = fetchedPartition({ position: 999_990, batches: [damaged] })
    expect([fetched.isDamaged, fetched.next, offsetsOf(fetched)]).toEqual([true, 1_000_000, [999_990]])
  })

  test('at offsets that Kafka has deleted covers them all, without records', () => {
    const fetched = fetchedPartition({ position: 12, batches: [], earliest: 40 })
    expect([fetched.position, fetched.next, fetched.deleted]).toEqual([12, 40, 28])
    expect([fetched.isEmpty(), fetched.isRestart, fetched.lastOffset()]).toEqual([false, false, '39'])
  })

  test.each([0, 5])('after the end of a log that begins at %i is a restart there', (earliest) => {
    const fetched = fetchedPartition({ position: 12, batches: [], earliest })
    expect([fetched.position, fetched.next, fetched.deleted]).toEqual([earliest, earliest, 0])
    expect([fetched.isEmpty(), fetched.isRestart]).toEqual([false, true])
    expect(fetched.lastOffset()).toBe(String(earliest - 1))
  })

  test('keeps a batch whose number of records is damaged, for it to become dead letters', () => {
    const damaged = encodeBatch(numberedBatch(12, 3))
    damaged.writeInt32BE(-7, 57)
    expect(offsetsOf(fetchedPartition({ position: 12, batches: [damaged] }))).toEqual([12])
  })
})
