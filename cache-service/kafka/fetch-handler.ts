import type { EachBatchPayload } from 'kafkajs'
import type { ServiceError } from '../../shared/errors.ts'
import { sleep } from '../lifecycle/sleep.ts'
import { fetchedPartition, type FetchedPartition } from './fetched-partition.ts'

/** Partition → next offset. */
export type Offsets = ReadonlyMap<number, number>

/** What receives the fetched records: the lanes (pipeline/worker/lanes.ts). */
export type FetchIntake = {
  /** A new generation of the group: these partitions are owned, and each is read from its committed offset. */
  assigned(partitions: readonly number[]): void
  /** `holding`: its records cannot be applied, and its lane is full or has held for long. */
  roomOf(partition: number): 'room' | 'full' | 'holding'
  /** Returns false if the fetch is not the one that the partition needs: then its offsets must not be resolved. */
  offer(fetched: FetchedPartition): boolean
  /** The partitions whose records cannot be applied now, with the reasons. */
  readonly held: ReadonlyMap<number, ServiceError>
  /** All of them have been held for so long that they are not fetched any more. */
  readonly areAllHeldPaused: boolean
  /** Offsets that are durable but not committed. */
  uncommitted(): Offsets
  committed(offsets: Offsets): void
  /** Resolves when the chunks that are being written are finished; no others are started. */
  stop(): Promise<void>
}

export type FetchHandlerDependencies = {
  readonly intake: FetchIntake
  /** Stops fetching the partition until its lane has room again. */
  readonly pause: (partition: number) => void
  /** Commits what is durable. Never rejects. */
  readonly commit: () => Promise<void>
  /** Reports a fetch of which not even the offsets can be read. */
  readonly unreadable: (fetched: FetchedPartition) => void
  /** Reports a fetch that brought a damaged batch, and is repeated. */
  readonly damaged: (fetched: FetchedPartition) => void
  /** Reports a fetch at an offset that Kafka does not have. */
  readonly outOfRange: (fetched: FetchedPartition) => void
  /** Tells the watchdog that the handler is alive. */
  readonly alive: () => void
  readonly stop: AbortSignal
  /** The number of partitions that a fetch asks for. */
  readonly partitions: () => number
  readonly monotonicNow: () => number
}

/**
 * After a small fetch the next one waits a moment. Kafka answers as soon as there is one record, so that at a low rate a
 * fetch, a chunk and a script call would be spent on a few records each. The more partitions a fetch asks for, the more it
 * costs: KafkaJS names all of them each time. While a partition is behind, nothing waits, because the next fetch of a broker
 * is sent when all partitions of the last one have been handed over.
 */
const SMALL_FETCH_BYTES = 64 * 1024
const LINGER_MS = 5
const LINGER_PER_PARTITION_MS = 0.1
const LONGEST_LINGER_MS = 50
const CAUGHT_UP_AFTER_MS = 200
/** Between two heartbeats of a handler that waits for room; KafkaJS sends one when its interval has passed. */
const ROOM_CHECK_MS = 100
/** So that a partition that cannot be read is not fetched in a tight loop. */
const UNREADABLE_RETRY_MS = 1_000
/** A batch that was damaged on its way arrives intact the next time; one that is damaged on a disk does not. */
const MAX_DAMAGED_FETCHES = 3

/**
 * Hands over what KafkaJS fetched and returns immediately, so that KafkaJS fetches while Redis is being written. It obeys
 * the rules of KafkaJS:
 *
 * - Heartbeat first: only this keeps the handler from batches that were queued before a rebalance. When a heartbeat
 *   reveals a rebalance, what is durable is committed before the partitions change hands.
 * - Resolving moves only the position of the next fetch, because `autoCommit` is off. It never happens while a seek is
 *   pending.
 * - Throw only what heartbeat threw: an outage that is thrown at KafkaJS uses up its retries and ends the consumer.
 *
 * While a lane is full, its handler waits, with heartbeats. If the lane also holds, the partition is paused instead,
 * because the other partitions of the broker are fetched only when all handlers have returned.
 */
export function createFetchHandler({
  alive,
  commit,
  damaged,
  intake,
  monotonicNow,
  outOfRange,
  partitions,
  pause,
  stop,
  unreadable,
}: FetchHandlerDependencies) {
  let lingering: Promise<void> | undefined
  let lastBehindMs = -Infinity
  /** Partition → the last fetch that brought a damaged batch, and how many in a row did at that position. */
  const lastDamaged = new Map<number, { readonly position: number; readonly fetches: number }>()

  function isWorthRepeating({ isDamaged, partition, position }: FetchedPartition): boolean {
    const last = lastDamaged.get(partition)
    lastDamaged.delete(partition)
    if (!isDamaged) return false
    const fetches = last?.position === position ? last.fetches + 1 : 1
    if (fetches === MAX_DAMAGED_FETCHES) return false
    lastDamaged.set(partition, { position, fetches })
    return true
  }

  return async function handleFetch(payload: EachBatchPayload): Promise<void> {
    const { isRunning, isStale, resolveOffset } = payload
    const fetched = fetchedPartition(payload)
    const { partition } = fetched
    const mayContinue = () => isRunning() && !isStale() && !stop.aborted
    await heartbeat(payload)
    if (fetched.unreadable !== undefined) {
      unreadable(fetched)
      return await sleep(UNREADABLE_RETRY_MS, stop)
    }
    for (;;) {
      if (!mayContinue()) return
      const room = intake.roomOf(partition)
      if (room === 'room') break
      if (room === 'holding') return pause(partition)
      await sleep(ROOM_CHECK_MS, stop)
      alive()
      await heartbeat(payload)
    }
    if (isWorthRepeating(fetched)) return damaged(fetched)
    if (!intake.offer(fetched)) return
    if (fetched.deleted > 0 || fetched.isRestart) outOfRange(fetched)
    resolveOffset(fetched.lastOffset())
    const nowMs = monotonicNow()
    if (fetched.offsetLag() !== '0') lastBehindMs = nowMs
    if (fetched.bytes < SMALL_FETCH_BYTES && nowMs - lastBehindMs > CAUGHT_UP_AFTER_MS) await linger()
  }

  /** The handlers of a fetch wait together. */
  function linger(): Promise<void> {
    const ms = Math.min(LONGEST_LINGER_MS, LINGER_MS + partitions() * LINGER_PER_PARTITION_MS)
    lingering ??= sleep(ms, stop).finally(() => (lingering = undefined))
    return lingering
  }

  async function heartbeat(payload: EachBatchPayload): Promise<void> {
    try {
      await payload.heartbeat()
    } catch (error) {
      await commit()
      throw error
    }
  }
}
