import type { Chunk, ChunkLimits, UndecodableBatch } from '../../core/records/chunk.ts'
import type { SourceRecord } from '../../core/records/source-record.ts'
import type { FetchedPartition } from '../../kafka/fetched-partition.ts'
import {
  decodeRecords,
  UndecodableBatchError,
  type DecodedRecords,
  type RecordBatch,
} from '../../kafka/record-batch.ts'
import type { DecodedBytes } from './decoded-bytes.ts'

/** `bytes` count as held until they are released, when the chunk is durable or abandoned. */
export type DecodedChunk = { readonly chunk: Chunk; readonly bytes: number }

/**
 * Decodes a fetched partition, batch by batch as chunks are requested, and divides it into chunks within the limits
 * (each of at least one record). Together they cover all of its offsets: those that hold no record belong to the chunk
 * before them, or to a chunk without records. A batch that cannot be decoded is listed in its chunk.
 */
export async function* decodeChunks(
  fetched: FetchedPartition,
  limits: ChunkLimits,
  decodedBytes: DecodedBytes,
): AsyncGenerator<DecodedChunk> {
  let position = fetched.position
  let records: SourceRecord[] = []
  let undecodable: UndecodableBatch[] = []
  let valueBytes = 0
  let heldBytes = 0
  /** Of the current batch; they belong to the chunk that holds its last record. */
  let batchBytes = 0
  const cut = (next: number): DecodedChunk => {
    const chunk = {
      partition: fetched.partition,
      position,
      next,
      records,
      ...(undecodable.length > 0 && { undecodable }),
    }
    const decoded = { chunk, bytes: heldBytes }
    position = next
    records = []
    undecodable = []
    valueBytes = 0
    heldBytes = 0
    return decoded
  }
  try {
    for (const batch of fetched.batches) {
      const decode = () => decodeOrDescribe(batch)
      let decoded = await decodedBytes.hold(decode, heldBytes > 0)
      if (decoded === undefined) {
        yield cut(Math.max(position, batch.baseOffset))
        decoded = await decodedBytes.hold(decode, false)
      }
      if (decoded === undefined) throw new Error('a lane that holds nothing unfinished waits for room')
      batchBytes = decoded.bytes
      if (decoded.undecodable !== undefined) undecodable.push(decoded.undecodable)
      for (const record of decoded.records) {
        // The first batch of a fetch may begin before the requested offset.
        const { offset } = record
        if (offset < fetched.position) continue
        const bytes = record.value?.length ?? 0
        const isFull = records.length >= limits.maxRecords || valueBytes + bytes > limits.maxBytes
        if (records.length > 0 && isFull) yield cut(offset)
        records.push(record)
        valueBytes += bytes
      }
      heldBytes += batchBytes
      batchBytes = 0
      if (records.length >= limits.maxRecords) yield cut(batch.nextOffset)
    }
    if (position < fetched.next || fetched.isRestart) yield cut(fetched.next)
  } finally {
    decodedBytes.release(heldBytes + batchBytes)
  }
}

type DecodedBatch = DecodedRecords & { readonly undecodable?: UndecodableBatch }

async function decodeOrDescribe(batch: RecordBatch): Promise<DecodedBatch> {
  try {
    return await decodeRecords(batch)
  } catch (error) {
    if (!(error instanceof UndecodableBatchError)) throw error
    const { baseOffset, bytes, codec, nextOffset, recordCount } = batch
    // Its header may be damaged as well: there can't be more records than offsets.
    const offsets = nextOffset - baseOffset
    const records = recordCount > 0 ? Math.min(recordCount, offsets) : offsets
    const undecodable = { firstOffset: baseOffset, records, codec, detail: error.message, bytes }
    return { records: [], bytes: 0, undecodable }
  }
}
