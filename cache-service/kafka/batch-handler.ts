import type { EachBatchPayload } from 'kafkajs'
import { ServiceError } from '../../shared/errors.ts'
import { splitIntoChunks, type ApplyChunk, type Chunk, type ChunkLimits } from '../core/records/chunk.ts'
import type { Hold } from './hold.ts'

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
