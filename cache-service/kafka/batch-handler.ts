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
  /** Tells the watchdog that the handler makes progress. */
  readonly alive: () => void
  readonly stop: AbortSignal
}

/**
 * Obeys the rules of KafkaJS in one place:
 * - Heartbeat first: only this keeps the handler from batches that were queued before a rebalance.
 * - Resolve once per chunk, with its last offset, after everything up to it is durable; never while a seek is
 *   pending, and never in a generation that is over (heartbeat throws then, and nothing after it runs).
 * - Throw only what heartbeat threw: an outage that is thrown at KafkaJS uses up its retries and ends the consumer.
 */
export function createBatchHandler(dependencies: BatchHandlerDependencies) {
  const { hold, limits, alive, stop } = dependencies

  return async function handleBatch(payload: EachBatchPayload): Promise<void> {
    const { batch, heartbeat, resolveOffset, isRunning, isStale } = payload
    const mayGoOn = () => isRunning() && !isStale() && hold.kind !== 'paused' && !stop.aborted
    await heartbeat()
    // The end of what was fetched: offsets without a record (control records, say) after the last one count as read.
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

  /** False: the handler has to return without resolving the chunk. */
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
      if (stop.aborted || !isRunning() || isStale() || hold.kind === 'paused') return false
      await heartbeat()
    }
  }
}

/** KafkaJS keeps the offset that it asked for, but does not declare it. The first record may be later (compaction). */
function fetchedOffset({ batch }: EachBatchPayload): number {
  return 'fetchedOffset' in batch ? Number(batch.fetchedOffset) : Number(batch.firstOffset())
}
