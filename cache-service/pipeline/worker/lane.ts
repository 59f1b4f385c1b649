import { ServiceError } from '../../../shared/errors.ts'
import { backoffMs } from '../../core/backoff.ts'
import type { Chunk, ChunkLimits, ChunkSteps } from '../../core/records/chunk.ts'
import { RUNNING, stepLane, type LaneInput, type LaneState } from '../../core/workers/lane-state.ts'
import type { FetchedPartition } from '../../kafka/fetched-partition.ts'
import { sleep } from '../../lifecycle/sleep.ts'
import { decodeChunks, type DecodedChunk } from './chunk-decoder.ts'
import type { DecodedBytes } from './decoded-bytes.ts'

export type LaneTelemetry = {
  held(partition: number, failure: ServiceError, failures: number): void
  paused(partition: number, failure: ServiceError): void
  released(partition: number, heldMs: number): void
}

export type QueuedBytes = { bytes: number; readonly maxBytes: number }

export type LaneDependencies<Prepared> = {
  readonly steps: ChunkSteps<Prepared>
  readonly limits: ChunkLimits
  /** Fetched bytes, as Kafka sent them, that may wait in the lane. */
  readonly maxQueuedBytes: number
  /** The same of all lanes together, because there may be hundreds. */
  readonly queued: QueuedBytes
  readonly decodedBytes: DecodedBytes
  /** Resolves when another attempt may succeed. */
  readonly probe: (failure: ServiceError) => Promise<void>
  /** Asks KafkaJS to fetch from this offset; KafkaJS can lose the request. */
  readonly seek: (partition: number, offset: number) => void
  /** Called when the lane has room again, or its state has changed. */
  readonly changed: (lane: Lane<Prepared>) => void
  readonly telemetry: LaneTelemetry
  readonly monotonicNow: () => number
  readonly random: () => number
}

/**
 * One partition between KafkaJS and Redis. KafkaJS's handler only hands over what was fetched, so that fetches and
 * heartbeats continue however long Redis takes. The lane decodes, prepares and writes chunks in order, and prepares the
 * next one while one is being written. No chunk becomes durable before the ones ahead of it.
 *
 * Its states are explained in core/workers/lane-state.ts.
 */
export class Lane<Prepared> {
  readonly partition: number
  readonly #dependencies: LaneDependencies<Prepared>
  readonly #end = new AbortController()
  /** Ends a backoff early. A new one for each attempt, so that a recovery during an attempt counts after it. */
  #recovery = new AbortController()
  readonly #queue: FetchedPartition[] = []
  #state: LaneState = RUNNING
  #queuedBytes = 0
  #durable: number | undefined
  /** The number of rewinds and restarts: what was fetched before one is not written after it. */
  #epoch = 0
  #wake: () => void = () => undefined
  #isWaiting = false
  #writes = 0

  constructor(partition: number, dependencies: LaneDependencies<Prepared>) {
    this.partition = partition
    this.#dependencies = dependencies
  }

  get state(): LaneState {
    return this.#state
  }

  /** Everything before this offset is durable; undefined: nothing has been yet. */
  get durable(): number | undefined {
    return this.#durable
  }

  /** Everything that it was given is durable, and it waits for more. */
  get isIdle(): boolean {
    return this.#state.kind === 'running' && this.#isWaiting && this.#queue.length + this.#writes === 0
  }

  get hasRoom(): boolean {
    const { maxQueuedBytes, queued } = this.#dependencies
    if (this.#queue.length === 0) return true
    return this.#queuedBytes < maxQueuedBytes && queued.bytes < queued.maxBytes
  }

  /** @returns false if the lane needs another fetch: then no offset of this one may be resolved. */
  offer(fetched: FetchedPartition): boolean {
    const { isRestart, position } = fetched
    this.#step({ kind: 'fetched', position, isRestart })
    if (this.#state.kind === 'ended') return false
    if (this.#state.kind === 'rewinding') {
      this.#dependencies.seek(this.partition, this.#state.to)
      return false
    }
    if (isRestart) {
      // What was read of the other log ends here: committed, its offsets would stand for records of this one.
      this.#forget()
      this.#recovery.abort()
    }
    this.#queue.push(fetched)
    this.#addQueuedBytes(fetched.bytes)
    this.#wake()
    return true
  }

  /** Redis lost data that Kafka still has. */
  rewind(to: number): void {
    this.#forget()
    this.#step({ kind: 'rewind', to })
    this.#dependencies.seek(this.partition, to)
  }

  /** Redis works again: a chunk that is held because of it is tried again at once. */
  redisRecovered(): void {
    if (this.#state.kind === 'holding' && this.#state.failure.side === 'redis') this.#recovery.abort()
  }

  /** Finishes the chunk that is being written, and starts no other. */
  end(): void {
    this.#step({ kind: 'ended' })
    this.#clearQueue()
    this.#end.abort()
    this.#wake()
  }

  /** Resolves when the lane has ended. Rejects if there is a bug. */
  async run(): Promise<void> {
    const { limits, decodedBytes } = this.#dependencies
    let writing: Promise<void> = Promise.resolve()
    // Awaited before the next chunk is written, and when the lane has ended. A bug ends the lane, so it is awaited then.
    const start = (write: Promise<void>) => {
      writing = write
      write.catch(() => this.end())
    }
    while (this.#state.kind !== 'ended') {
      const fetched = this.#queue.shift()
      if (fetched === undefined) {
        this.#isWaiting = true
        await this.#somethingToDo()
        this.#isWaiting = false
        continue
      }
      const epoch = this.#epoch
      this.#addQueuedBytes(-fetched.bytes)
      this.#dependencies.changed(this)
      for await (const decoded of decodeChunks(fetched, limits, decodedBytes)) {
        if (this.#isOver(epoch)) {
          decodedBytes.release(decoded.bytes)
          break
        }
        const prepared = this.#dependencies.steps.prepare(decoded.chunk)
        await writing
        start(this.#writeUntilDurable(decoded, prepared, epoch))
      }
    }
    await writing
  }

  #addQueuedBytes(bytes: number): void {
    this.#queuedBytes += bytes
    this.#dependencies.queued.bytes += bytes
  }

  /** What was fetched is not written any more, and nothing counts as durable. */
  #forget(): void {
    this.#epoch++
    this.#clearQueue()
    this.#durable = undefined
  }

  #clearQueue(): void {
    this.#queue.length = 0
    this.#addQueuedBytes(-this.#queuedBytes)
  }

  #somethingToDo(): Promise<void> {
    if (this.#queue.length > 0 || this.#state.kind === 'ended') return Promise.resolve()
    return new Promise((resolve) => (this.#wake = resolve))
  }

  async #writeUntilDurable({ bytes, chunk }: DecodedChunk, prepared: Prepared, epoch: number): Promise<void> {
    this.#writes++
    try {
      while (!this.#isOver(epoch)) {
        if (await this.#write(chunk, prepared, epoch)) return
        if (this.#isOver(epoch)) return
        await this.#backOff()
      }
    } finally {
      this.#writes--
      this.#dependencies.decodedBytes.release(bytes)
    }
  }

  /** @returns false if the same chunk must be written again. */
  async #write(chunk: Chunk, prepared: Prepared, epoch: number): Promise<boolean> {
    const { monotonicNow, steps, telemetry } = this.#dependencies
    try {
      const outcome = await steps.write(prepared)
      // A chunk that becomes durable after the lane has ended counts: it is committed when the worker stops.
      if (this.#epoch !== epoch) return true
      switch (outcome.kind) {
        case 'durable': {
          const before = this.#state
          this.#durable = chunk.next
          this.#step({ kind: 'durable' })
          if (before.kind === 'holding') telemetry.released(this.partition, monotonicNow() - before.sinceMs)
          return true
        }
        case 'rewind':
          this.rewind(outcome.to)
          return true
        case 'abandoned':
          return false
      }
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error
      this.#step({ kind: 'failed', failure: error, nowMs: monotonicNow() })
      if (this.#state.kind === 'holding') telemetry.held(this.partition, error, this.#state.failures)
      return false
    }
  }

  async #backOff(): Promise<void> {
    const { monotonicNow, probe, random } = this.#dependencies
    for (;;) {
      const failures = this.#state.kind === 'holding' ? this.#state.failures : 1
      await sleep(backoffMs(failures, random()), AbortSignal.any([this.#end.signal, this.#recovery.signal]))
      this.#recovery = new AbortController()
      const state = this.#state
      if (state.kind !== 'holding' || !state.isPaused) return
      try {
        return await probe(state.failure)
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error
        this.#step({ kind: 'failed', failure: error, nowMs: monotonicNow() })
      }
    }
  }

  #isOver(epoch: number): boolean {
    return this.#epoch !== epoch || this.#state.kind === 'ended'
  }

  #step(input: LaneInput): void {
    const before = this.#state
    const after = stepLane(before, input)
    this.#state = after
    const isPaused = after.kind === 'holding' && after.isPaused
    const wasPaused = before.kind === 'holding' && before.isPaused
    if (isPaused && !wasPaused) this.#dependencies.telemetry.paused(this.partition, after.failure)
    if (after.kind !== before.kind || isPaused !== wasPaused) this.#dependencies.changed(this)
  }
}
