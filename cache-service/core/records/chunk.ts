import type { SourceRecord } from './source-record.ts'

/** Consecutive records of one partition: the unit of coalescing, writing and committing. */
export type Chunk = {
  readonly partition: number
  readonly records: readonly SourceRecord[]
  /** The requested offset: everything before it is taken to be applied. */
  readonly position: number
  /**
   * The offset after the chunk. Offsets after its last record may hold no record. If it is `position`, the log is another one
   * than was read before, and begins there.
   */
  readonly next: number
  /** Record batches of which only the offsets are known. */
  readonly undecodable?: readonly UndecodableBatch[]
}

/** A record batch that could not be decoded. */
export type UndecodableBatch = {
  readonly firstOffset: number
  /** Number of records, according to the header of the batch. */
  readonly records: number
  readonly codec: string
  readonly detail: string
  /** The batch as Kafka stores it. */
  readonly bytes: Buffer
}

export type ChunkOutcome =
  /** Every record is in Redis, superseded, expired, skipped by rule, or acknowledged as a dead letter. */
  | { readonly kind: 'durable' }
  /** Redis lost data that Kafka still has: the chunk does not count; read again from offset `to`. */
  | { readonly kind: 'rewind'; readonly to: number }
  /** The partition was revoked in the meantime, or is being rewound: the chunk does not count. */
  | { readonly kind: 'abandoned' }

/** How a chunk is applied, in two steps, so that the next chunk can be prepared while one is being written. */
export type ChunkSteps<Prepared> = {
  /** Parses and plans, without I/O. Chunks of a partition are prepared in order. */
  prepare(chunk: Chunk): Prepared
  /**
   * Makes the chunk durable. Rejects with a ServiceError when something prevents that: the caller passes the same
   * argument again, indefinitely. Any other rejection is a bug: the process exits.
   */
  write(prepared: Prepared): Promise<ChunkOutcome>
}

export type ChunkLimits = { readonly maxRecords: number; readonly maxBytes: number }
