import type { SourceRecord } from './source-record.ts'

/** Consecutive records of one partition: the unit of coalescing, writing and resolving. */
export type Chunk = {
  readonly partition: number
  readonly records: readonly SourceRecord[]
  /** The offset that was asked for: everything before it is believed to be applied. */
  readonly position: number
  /** The offset after the chunk. */
  readonly next: number
}

export type ChunkOutcome =
  /** Every record of it is in Redis, superseded, acknowledged as a dead letter, or skipped by rule. */
  | { readonly kind: 'durable' }
  /** Redis lost data that Kafka still has: nothing of this chunk counts, read again from there. */
  | { readonly kind: 'rewind'; readonly to: number }
  /** The partition was taken away meanwhile, or is being rewound: nothing of this chunk counts. */
  | { readonly kind: 'abandoned' }

/**
 * Makes a chunk durable. Rejects with a ServiceError for what stands in the way: the same chunk is handed over
 * again, for ever. Rejects with anything else for a bug: the process ends.
 */
export type ApplyChunk = (chunk: Chunk) => Promise<ChunkOutcome>

export type ChunkLimits = { readonly maxRecords: number; readonly maxBytes: number }

/**
 * Cuts what was fetched of one partition into chunks: runs of consecutive records, each at least one record
 * long, else within the limits.
 */
export function* splitIntoChunks(
  records: readonly SourceRecord[],
  limits: ChunkLimits,
): Generator<readonly SourceRecord[]> {
  let start = 0
  let bytes = 0
  for (const [i, { value }] of records.entries()) {
    const size = value?.length ?? 0
    if (i > start && (i - start >= limits.maxRecords || bytes + size > limits.maxBytes)) {
      yield records.slice(start, i)
      start = i
      bytes = 0
    }
    bytes += size
  }
  if (start < records.length) yield records.slice(start)
}
