import { kafkaError } from '../../../shared/errors.ts'
import type { Chunk } from '../../core/records/chunk.ts'
import {
  ABANDONED,
  compareNothing,
  compareProgress,
  compareRewind,
  IN_STEP,
  needsComparison,
  progressOf,
  stepCursor,
  UNKNOWN,
  type CursorEffect,
  type CursorInput,
  type GuardVerdict,
  type ProgressCursor,
} from '../../core/workers/progress-cursor.ts'
import type { GroupPosition, GroupPositions, PartitionOffsets } from '../../kafka/partition-offsets.ts'
import type { ProgressStep, ProgressStore } from '../../redis/workers/progress-store.ts'

export type GuardTelemetry = {
  cacheLost(partition: number, stored: number | undefined, position: number, rewindTo: number): void
  rebuildRequested(partition: number, position: number, rewindTo: number): void
  firstFill(partition: number, until: number): void
  rebuilding(isRebuilding: boolean): void
  rebuilt(partition: number, offset: number): void
  progressOverwritten(partition: number, stored: number | undefined, position: number): void
}

type GuardedPartition = {
  cursor: ProgressCursor
  /** The comparison in flight, which is possible in every mode. */
  comparing: Promise<GuardVerdict> | undefined
}

/**
 * Notices that Redis lost data (wiped, restored from an older snapshot, failed over) by the progress that is stored
 * beside the data (core/workers/progress.ts). Each partition has a cursor, a state machine: its modes are explained,
 * and its steps decided, in core/workers/progress-cursor.ts. The guard is the shell that talks to Redis and Kafka:
 *
 *               unknown        empty          in_step, rebuilding         rewinding
 * beforeChunk   compares       compares       lets the chunk through      compares
 * afterChunk    abandons       abandons       advances, else compares     abandons
 * check         compares       –              compares if Redis is behind compares with Kafka only
 *
 * Three rules hold for every step (and docs/reliability.md lists the invariants that follow):
 * - The cursor moves after the effects of the step have succeeded. If one fails, the cursor stays, the caller gets
 *   the error, and its next attempt decides again.
 * - A loss wins: `rewinding` is entered before the effects, and no step that was decided before leaves it, so that a
 *   chunk that is being written meanwhile advances nothing. If the effects fail, it is left again: no caller would rewind.
 * - The caller that started a comparison acts on its verdict and handles its error. A chunk that finds a comparison in
 *   flight waits for it, and is abandoned if that comparison rewinds the partition.
 */
export class ProgressGuard {
  readonly #store: ProgressStore
  readonly #offsets: PartitionOffsets
  readonly #telemetry: GuardTelemetry
  readonly #rebuildingChanged: (isRebuilding: boolean) => void
  #partitions: ReadonlyMap<number, GuardedPartition> = new Map()
  #wasRebuilding = false

  /** @param rebuildingChanged called when `isRebuilding` has changed. */
  constructor(
    store: ProgressStore,
    offsets: PartitionOffsets,
    telemetry: GuardTelemetry,
    rebuildingChanged: (isRebuilding: boolean) => void,
  ) {
    this.#store = store
    this.#offsets = offsets
    this.#telemetry = telemetry
    this.#rebuildingChanged = rebuildingChanged
  }

  /** A new generation of the group: every partition is unknown. */
  assigned(partitions: readonly number[]): void {
    this.#partitions = new Map(
      partitions.map((partition) => [partition, { cursor: UNKNOWN, comparing: undefined }]),
    )
    this.#reportRebuilding()
  }

  /** Redis lacks records of some partition: a device that it does not hold may exist. */
  get isRebuilding(): boolean {
    return this.#some(({ kind }) => kind === 'rebuilding' || kind === 'rewinding')
  }

  notReadyReasons(): string[] {
    const reasons: string[] = []
    if (this.#some(({ kind }) => kind === 'unknown'))
      reasons.push('comparing: checking whether Redis still holds the records that were applied before')
    if (this.isRebuilding) reasons.push('rebuilding: rereading records that Redis does not hold')
    return reasons
  }

  /** Before a chunk is written. Rejects with a ServiceError if progress cannot be compared now. */
  async beforeChunk({ partition, position }: Chunk): Promise<GuardVerdict> {
    const guarded = this.#partitions.get(partition)
    if (guarded === undefined) return ABANDONED
    const other = await guarded.comparing?.catch(() => undefined)
    if (other?.kind === 'rewind') return ABANDONED
    if (progressOf(guarded.cursor) !== undefined) return IN_STEP
    return await this.#compare(partition, guarded, position)
  }

  /** How the chunk advances the progress, for a writer that can do so with the chunk's data. */
  stepOf({ partition, next }: Chunk): ProgressStep | undefined {
    const guarded = this.#partitions.get(partition)
    const progress = guarded && progressOf(guarded.cursor)
    return progress === undefined ? undefined : this.#store.step(partition, progress, next)
  }

  /**
   * After a chunk's data and dead letters are safe: advances the progress if Redis holds what was stored last.
   * @param hasAdvanced the writer has taken the step of `stepOf`.
   */
  async afterChunk({ partition, next }: Chunk, hasAdvanced = false): Promise<GuardVerdict> {
    const guarded = this.#partitions.get(partition)
    const progress = guarded && progressOf(guarded.cursor)
    if (guarded === undefined || progress === undefined) return ABANDONED
    const instead = hasAdvanced ? undefined : await this.#store.advance(partition, progress, next)
    if (instead === undefined) return await this.#take(partition, guarded, { kind: 'advanced', next })
    const { next: storedProgress } = instead
    if (storedProgress !== undefined && storedProgress > progress) {
      // Never written without a condition: Redis may lose everything at any moment.
      const isStored =
        storedProgress >= next || (await this.#store.advance(partition, storedProgress, next)) === undefined
      if (isStored) return await this.#take(partition, guarded, { kind: 'overtaken', next, storedProgress })
    }
    // A check may have found the same loss while Redis answered.
    const other = await guarded.comparing?.catch(() => undefined)
    if (other?.kind === 'rewind' || progressOf(guarded.cursor) === undefined) return ABANDONED
    // The chunk's data may be lost as well: it has to come again, whatever the comparison says.
    const verdict = await this.#compare(partition, guarded, next)
    return verdict.kind === 'rewind' ? verdict : ABANDONED
  }

  /**
   * Compares every partition with Redis, including idle ones.
   * @param rewind called for each partition that must be read again.
   */
  async check(rewind: (partition: number, to: number) => void): Promise<void> {
    const partitions = this.#partitions
    const stored = await this.#store.load([...partitions.keys()])
    const suspects = [...partitions].filter(([partition, { cursor }]) =>
      needsComparison(cursor, stored.get(partition)),
    )
    if (suspects.length === 0) return
    const positions = await this.#offsets.read()
    for (const [partition, guarded] of suspects) {
      const { comparing, cursor } = guarded
      if (comparing !== undefined || this.#partitions !== partitions) continue
      // Without a leader it can be neither compared nor read again: later.
      if (positions.get(partition) === undefined) continue
      const verdict = await this.#compare(partition, guarded, progressOf(cursor), positions)
      if (verdict.kind === 'rewind') rewind(partition, verdict.to)
    }
  }

  /**
   * @param position the offset up to which records have been applied; undefined: the group's commit, if there is one.
   * @param positions given if they have just been read.
   */
  async #compare(
    partition: number,
    guarded: GuardedPartition,
    position: number | undefined,
    positions?: GroupPositions,
  ): Promise<GuardVerdict> {
    const comparing = (async () => {
      const kafka = (positions ?? (await this.#offsets.read())).get(partition)
      if (kafka === undefined) throw kafkaError(new Error(`partition ${partition} has no leader`))
      const input = await this.#inputFor(partition, guarded.cursor, position, kafka)
      return input === undefined ? IN_STEP : await this.#take(partition, guarded, input)
    })()
    guarded.comparing = comparing
    try {
      return await comparing
    } finally {
      guarded.comparing = undefined
    }
  }

  async #inputFor(
    partition: number,
    cursor: ProgressCursor,
    position: number | undefined,
    kafka: GroupPosition,
  ): Promise<CursorInput | undefined> {
    // Without a chunk, the group's commit says nothing about a partition that is being rewound.
    if (cursor.kind === 'rewinding' && position === undefined) return compareRewind(cursor.to, kafka)
    const claimed = position ?? kafka.committed
    if (claimed === undefined) return compareNothing(kafka)
    return compareProgress(claimed, kafka, (await this.#store.load([partition])).get(partition))
  }

  /** Takes one step of the cursor, by the rules at the head of the class. */
  async #take(partition: number, guarded: GuardedPartition, input: CursorInput): Promise<GuardVerdict> {
    const before = guarded.cursor
    const { cursor, effects, verdict } = stepCursor(before, input)
    const isLoss = input.kind === 'lost'
    if (isLoss) guarded.cursor = cursor
    try {
      for (const effect of effects) await this.#perform(partition, effect)
    } catch (error) {
      if (guarded.cursor === cursor) guarded.cursor = before
      throw error
    }
    const lossFoundMeanwhile = guarded.cursor !== before && guarded.cursor.kind === 'rewinding'
    if (lossFoundMeanwhile && !isLoss) return ABANDONED
    if (!isLoss) guarded.cursor = cursor
    if (cursor.kind !== before.kind) this.#reportRebuilding()
    return verdict
  }

  async #perform(partition: number, effect: CursorEffect): Promise<void> {
    switch (effect.kind) {
      case 'overwrite_progress':
        return await this.#store.overwrite(partition, effect.next)
      case 'mark_rebuild':
        return await this.#store.markRebuild(partition, effect.until)
      case 'unmark_rebuild':
        return await this.#store.markRebuild(partition, undefined)
      case 'report_first_fill':
        return this.#telemetry.firstFill(partition, effect.until)
      case 'report_rebuilt':
        return this.#telemetry.rebuilt(partition, effect.next)
      case 'report_overwritten':
        return this.#telemetry.progressOverwritten(partition, effect.stored, effect.position)
      case 'report_requested':
        return this.#telemetry.rebuildRequested(partition, effect.position, effect.rewindTo)
      case 'report_loss':
        return this.#telemetry.cacheLost(partition, effect.stored, effect.position, effect.rewindTo)
    }
  }

  #some(matches: (cursor: ProgressCursor) => boolean): boolean {
    return [...this.#partitions.values()].some(({ cursor }) => matches(cursor))
  }

  #reportRebuilding(): void {
    const { isRebuilding } = this
    this.#telemetry.rebuilding(isRebuilding)
    if (isRebuilding === this.#wasRebuilding) return
    this.#wasRebuilding = isRebuilding
    this.#rebuildingChanged(isRebuilding)
  }
}
