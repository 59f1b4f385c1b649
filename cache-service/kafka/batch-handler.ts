import type { EachBatchPayload } from 'kafkajs'
import { ServiceError } from '../../shared/errors.ts'
import { splitIntoChunks, type ChunkLimits } from '../core/records/chunk.ts'
import type { SourceRecord } from '../core/records/source-record.ts'
import type { Hold } from './hold.ts'

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

export type BatchHandlerDependencies = {
  readonly apply: ApplyChunk
  readonly hold: Hold
  readonly limits: ChunkLimits
  readonly now: () => number
  readonly seek: (partition: number, offset: number) => void
  /** Pauses the topic until a probe succeeds. Must not be awaited by the handler. */
  readonly pause: () => void
  readonly fatal: (error: unknown) => void
  /** A sign of life, for the watchdog. */
  readonly alive: () => void
  readonly stop: AbortSignal
}

/**
 * The rules of KafkaJS, kept in one place:
 * - heartbeat first: it alone keeps us from handling batches that were queued before a rebalance;
 * - resolve once a chunk, with its last offset, after everything up to it is durable; never while a seek is
 *   pending, never after a lost generation (heartbeat throws then, and nothing below it runs);
 * - throw nothing but what heartbeat threw: an outage thrown at KafkaJS uses up its retries and ends it.
 */
export function createBatchHandler(dependencies: BatchHandlerDependencies) {
  const { hold, limits, alive, stop } = dependencies

  return async function handleBatch(payload: EachBatchPayload): Promise<void> {
    const { batch, heartbeat, resolveOffset, isRunning, isStale } = payload
    const mayGoOn = () => isRunning() && !isStale() && !hold.isPaused && !stop.aborted
    await heartbeat()
    // The last offset that was fetched: control records and the like after the last record count as read.
    const end = Number(batch.lastOffset()) + 1
    let position = fetchedOffset(payload)
    let remaining = batch.messages.length
    for (const records of splitIntoChunks(batch.messages, limits)) {
      const last = records.at(-1)
      if (last === undefined || !mayGoOn()) return
      remaining -= records.length
      const next = remaining === 0 ? end : Number(last.offset) + 1
      const isDurable = await applyUntilDurable(
        { partition: batch.partition, records, position, next },
        payload,
      )
      alive()
      if (!isDurable || isStale()) return
      resolveOffset(last.offset)
      position = next
      await heartbeat()
    }
  }

  /** False: given up for now; nothing may be resolved. */
  async function applyUntilDurable(chunk: Chunk, { heartbeat, isRunning, isStale }: EachBatchPayload) {
    const sinceMs = dependencies.now()
    for (;;) {
      try {
        const outcome = await dependencies.apply(chunk)
        hold.succeeded()
        if (outcome.kind === 'rewind') dependencies.seek(chunk.partition, outcome.to)
        return outcome.kind === 'durable'
      } catch (error) {
        if (!(error instanceof ServiceError)) {
          dependencies.fatal(error)
          return false
        }
        hold.failed(chunk.partition, error)
      }
      alive()
      if (hold.isTooLong(sinceMs)) {
        dependencies.pause()
        return false
      }
      await hold.backOff(stop)
      if (stop.aborted || !isRunning() || isStale() || hold.isPaused) return false
      await heartbeat()
    }
  }
}

/** KafkaJS keeps what it asked for, without declaring it; the first record may lie beyond (compaction). */
function fetchedOffset({ batch }: EachBatchPayload): number {
  return 'fetchedOffset' in batch ? Number(batch.fetchedOffset) : Number(batch.firstOffset())
}
