import type { EachBatchPayload } from 'kafkajs'
import { isAbortMarker, readRecordBatches, type RecordBatch } from './record-batch.ts'

/** What KafkaJS's response decoders return for one partition of a fetch. */
export type PartitionData = {
  readonly partition: number
  readonly highWatermark: string
  readonly abortedTransactions: readonly AbortedTransaction[] | null
  /** The undecoded batches, since kafkajs.ts replaces `decodeMessages`. */
  readonly messages: Buffer
  /** The first offset that Kafka has; given only if the requested one is out of range. */
  readonly earliest?: number
}

type AbortedTransaction = { readonly producerId: string; readonly firstOffset: string }

/**
 * One partition of a fetch: the requested offset, the offset that the fetch reaches, and the batches that hold records.
 *
 * It replaces KafkaJS's `Batch`, which derives positions from records alone: where compaction or transactions leave
 * offsets without a record, its position does not advance, or the handler is never called. Here the handler is called
 * for every fetch that advances the position, even for one without records.
 *
 * If Kafka has deleted the requested offset, the fetch covers everything before the first offset that Kafka has, without
 * records. If it lies after the end, the log is another one than was read (restart).
 */
export class FetchedPartition {
  readonly topic: string
  readonly partition: number
  /** The requested offset, or that of a restart. */
  readonly position: number
  /** The offset after the last one that this fetch covers; `position` if it covers none. */
  readonly next: number
  /** The log ends before the requested offset: the topic was created again, or Kafka lost the end. It begins at `position`. */
  readonly isRestart: boolean
  /** Why nothing at `position` can be read: the partition cannot continue by itself. */
  readonly unreadable: string | undefined
  /** The only batch is damaged. */
  readonly isDamaged: boolean
  /** In order, without control batches, aborted transactions, and batches that end before `position`. */
  readonly batches: readonly RecordBatch[]

  /** Number of offsets that Kafka no longer has. */
  readonly deleted: number

  /** As Kafka sent them. */
  readonly bytes: number

  // What KafkaJS's runner reads from its Batch.
  readonly highWatermark: string
  readonly fetchedOffset: string
  readonly messages: readonly never[] = []

  constructor(topic: string, fetchedOffset: string, data: PartitionData) {
    this.topic = topic
    this.partition = data.partition
    this.highWatermark = data.highWatermark
    this.fetchedOffset = fetchedOffset
    const { earliest = 0 } = data
    this.isRestart = data.earliest !== undefined && earliest <= Number(fetchedOffset)
    this.position = this.isRestart ? earliest : Number(fetchedOffset)
    this.bytes = data.messages.length
    const { batches, unreadable } = readRecordBatches(data.messages)
    this.isDamaged = batches[0]?.isDamaged === true
    // Beyond the end there is nothing that a damaged batch could cover.
    const limit = this.isDamaged ? Number(data.highWatermark) : Infinity
    this.next = Math.max(this.position, earliest, Math.min(limit, batches.at(-1)?.nextOffset ?? 0))
    this.deleted = data.earliest === undefined ? 0 : this.next - this.position
    this.unreadable = this.next === this.position ? unreadable : undefined
    this.batches = withoutAborted(batches, data.abortedTransactions ?? []).filter(
      ({ isControl, nextOffset, recordCount }) =>
        !isControl && recordCount !== 0 && nextOffset > this.position,
    )
  }

  /** KafkaJS calls no handler if this returns true. */
  isEmpty(): boolean {
    return this.next === this.position && this.unreadable === undefined && !this.isRestart
  }

  isEmptyDueToFiltering(): boolean {
    return false
  }

  firstOffset(): string {
    return this.fetchedOffset
  }

  lastOffset(): string {
    return String(this.next - 1)
  }

  offsetLag(): string {
    return String(Number(this.highWatermark) - this.next)
  }

  offsetLagLow(): string {
    return String(Number(this.highWatermark) - this.position)
  }
}

/** Narrows what a handler receives from our copy of KafkaJS, whose types declare only its own Batch. */
export function fetchedPartition({ batch }: Pick<EachBatchPayload, 'batch'>): FetchedPartition {
  if (batch instanceof FetchedPartition) return batch
  throw new Error('this consumer was not created by kafka/kafkajs.ts')
}

/**
 * Kafka also sends the batches of aborted transactions, and lists the first offset of each; each ends at its marker.
 * Source: `CompletedFetch.nextFetchedRecord` of Kafka's own consumer.
 */
function withoutAborted(
  batches: readonly RecordBatch[],
  abortedTransactions: readonly AbortedTransaction[],
): readonly RecordBatch[] {
  if (abortedTransactions.length === 0) return batches
  const pending = abortedTransactions
    .map(({ firstOffset, producerId }) => ({ producerId: BigInt(producerId), from: Number(firstOffset) }))
    .toSorted((a, b) => a.from - b.from)
  const aborted = new Set<bigint>()
  return batches.filter((batch) => {
    while (pending[0] !== undefined && pending[0].from < batch.nextOffset) {
      aborted.add(pending[0].producerId)
      pending.shift()
    }
    if (isAbortMarker(batch)) aborted.delete(batch.producerId)
    return !(batch.isTransactional && aborted.has(batch.producerId))
  })
}
