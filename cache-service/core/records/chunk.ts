import type { SourceRecord } from './source-record.ts'

/** Consecutive records of one partition: the unit of coalescing, writing and resolving. */
export type Chunk = {
  readonly partition: number
  readonly records: readonly SourceRecord[]
  /** The requested offset: everything before it is taken to be applied. */
  readonly position: number
  /** The offset after the chunk. */
  readonly next: number
}

export type ChunkOutcome =
  /** Every record is in Redis, superseded, expired, skipped by rule, or acknowledged as a dead letter. */
  | { readonly kind: 'durable' }
  /** Redis lost data that Kafka still has: the chunk does not count; read again from offset `to`. */
  | { readonly kind: 'rewind'; readonly to: number }
  /** The partition was revoked in the meantime, or is being rewound: the chunk does not count. */
  | { readonly kind: 'abandoned' }

/**
 * Makes a chunk durable. Rejects with a ServiceError when something prevents that: the caller passes the same
 * chunk again, indefinitely. Any other rejection is a bug: the process exits.
 */
export type ApplyChunk = (chunk: Chunk) => Promise<ChunkOutcome>

export type ChunkLimits = { readonly maxRecords: number; readonly maxBytes: number }

/**
 * Splits the records fetched from one partition into chunks: runs of consecutive records within the limits,
 * except that a chunk always has at least one record.
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
