import { FetchedPartition } from '../../../cache-service/kafka/fetched-partition.ts'
import { encodeBatch, type BatchToEncode } from './record-batch-encoder.ts'

export type FetchToBuild = {
  readonly partition?: number
  readonly position?: number
  readonly batches: readonly (BatchToEncode | Buffer)[]
  /** Given if `position` is out of range. */
  readonly earliest?: number
  readonly abortedTransactions?: readonly { readonly producerId: string; readonly firstOffset: string }[]
}

/** What a fetch of one partition would bring. */
export function fetchedPartition({
  abortedTransactions = [],
  batches,
  earliest,
  partition = 0,
  position = 0,
}: FetchToBuild): FetchedPartition {
  const messages = Buffer.concat(
    batches.map((batch) => (Buffer.isBuffer(batch) ? batch : encodeBatch(batch))),
  )
  const outOfRange = earliest === undefined ? {} : { earliest }
  const data = { partition, highWatermark: '1000000', abortedTransactions, messages, ...outOfRange }
  return new FetchedPartition('topic', String(position), data)
}

/** A batch of `count` records whose values are their offsets. */
export function numberedBatch(
  baseOffset: number,
  count: number,
  more: Partial<BatchToEncode> = {},
): BatchToEncode {
  const records = Array.from({ length: count }, (_, i) => ({
    key: null,
    value: Buffer.from(`${baseOffset + i}`),
  }))
  return { baseOffset, records, ...more }
}
