import { kafkaError } from '../../../shared/errors.ts'
import type { Chunk } from '../../core/records/chunk.ts'
import {
  ABANDONED,
  compareNothing,
  compareProgress,
  IN_STEP,
  isOfEarlierTopic,
  needsComparison,
  progressOf,
  stepCursor,
  UNKNOWN,
  type CursorEffect,
  type CursorInput,
  type GuardVerdict,
  type ProgressCursor,
} from '../../core/workers/progress-cursor.ts'
import type { GroupPosition, PartitionOffsets } from '../../kafka/partition-offsets.ts'
import type { ProgressStep, ProgressStore } from '../../redis/workers/progress-store.ts'
import type { NotReadyReason } from '../../lifecycle/readiness.ts'
import { Turns } from '../../lifecycle/turns.ts'

export type GuardTelemetry = {
  cacheLost(partition: number, stored: number | undefined, position: number, rewindTo: number): void
  rebuildRequested(partition: number, position: number, rewindTo: number): void
  firstFill(partition: number, until: number): void
  rebuilding(isRebuilding: boolean): void
  rebuilt(partition: number, offset: number): void
  progressOverwritten(partition: number, stored: number | undefined, position: number): void
}

/** A partition in one generation of the group. */
type GuardedPartition = {
  cursor: ProgressCursor
  /** The chunk that was let through last; undefined after a rewind. */
  admitted: Chunk | undefined
  /** How often it was to be read again. */
  rewinds: number
}

/**
 * Notices that Redis lost data (wiped, restored from an older snapshot, failed over) by the progress that is stored
 * beside the data (core/workers/progress.ts). Each partition has a cursor, a state machine: its modes are explained,
 * and its steps decided, in core/workers/progress-cursor.ts. The guard is the shell that talks to Redis and Kafka:
 *
 *               unknown        empty          in_step, rebuilding         rewinding
 * beforeChunk   compares       compares       lets the chunk through      compares
 * afterChunk    abandons       abandons       advances, else compares     abandons
 * check         compares       if marked      compares if it has to       –
 *
 * Three rules hold for every step (and docs/reliability.md lists the invariants that follow):
 * - The steps of a partition never overlap, because each is decided by where the cursor is; nor do those of two generations, because
 *   what the earlier one writes would otherwise replace what the later one has written. The cursor moves after the
 *   effects of the step have succeeded. If one fails, the cursor stays, the caller gets the error, and its next attempt
 *   decides again.
 * - Only the chunk that was let through last may advance the progress, and only in the generation that let it through:
 *   a lane that has ended may still be writing a chunk while its successor writes the same records.
 * - The caller that made a comparison acts on its verdict and handles its error. A chunk whose turn comes after a check has
 *   decided to rewind the partition, or that is being written then, is abandoned: the check rewinds the partition.
 */
export class ProgressGuard {
  readonly #store: ProgressStore
  readonly #offsets: PartitionOffsets
  readonly #telemetry: GuardTelemetry
  readonly #rebuildingChanged: (isRebuilding: boolean) => void
  #partitions: ReadonlyMap<number, GuardedPartition> = new Map()
  readonly #turns = new Turns<number>()
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
      partitions.map((partition) => [partition, { cursor: UNKNOWN, admitted: undefined, rewinds: 0 }]),
    )
    this.#reportRebuilding()
  }

  /** Redis lacks records of some partition: a device that it does not hold may exist. */
  get isRebuilding(): boolean {
    return this.#some(({ kind }) => kind === 'rebuilding' || kind === 'rewinding')
  }

  notReadyReasons(): NotReadyReason[] {
    const reasons: NotReadyReason[] = []
    if (this.#some(({ kind }) => kind === 'unknown'))
      reasons.push('comparing: checking whether Redis still holds the records that were applied before')
    if (this.isRebuilding) reasons.push('rebuilding: rereading records that Redis does not hold')
    return reasons
  }

  /** Before a chunk is written. Rejects with a ServiceError if progress cannot be compared now. */
  async beforeChunk(chunk: Chunk): Promise<GuardVerdict> {
    const { next, partition, position } = chunk
    const guarded = this.#partitions.get(partition)
    if (guarded === undefined) return ABANDONED
    const { rewinds } = guarded
    const verdict = await this.#inTurn(partition, guarded, async () => {
      if (guarded.rewinds !== rewinds) return ABANDONED
      const isRestart = position === next
      if (progressOf(guarded.cursor) !== undefined && !isRestart) return IN_STEP
      return await this.#compare(partition, guarded, position)
    })
    if (verdict.kind === 'in_step') guarded.admitted = chunk
    return verdict
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
   * @param isUnbroken whether Redis is still reached by the connections by which the chunk was written. Another one may lead to a
   *   replica that lacks the chunk's data, but whose progress is that of the chunk before: the chunk is then written again.
   */
  async afterChunk(
    chunk: Chunk,
    hasAdvanced = false,
    isUnbroken: () => boolean = () => true,
  ): Promise<GuardVerdict> {
    const { next, partition } = chunk
    const guarded = this.#partitions.get(partition)
    if (guarded?.admitted !== chunk) return ABANDONED
    return await this.#inTurn(partition, guarded, async () => {
      const progress = progressOf(guarded.cursor)
      if (progress === undefined || guarded.admitted !== chunk) return ABANDONED
      if (!hasAdvanced && !isUnbroken()) return ABANDONED
      const instead = hasAdvanced ? undefined : await this.#store.advance(partition, progress, next)
      if (!hasAdvanced && !isUnbroken()) return ABANDONED
      if (instead === undefined) return await this.#take(partition, guarded, { kind: 'advanced', next })
      const { next: storedProgress } = instead
      if (storedProgress !== undefined && storedProgress > progress) {
        // Never written without a condition: Redis may lose everything at any moment.
        const isStored =
          storedProgress >= next || (await this.#store.advance(partition, storedProgress, next)) === undefined
        if (isStored) return await this.#take(partition, guarded, { kind: 'overtaken', next, storedProgress })
      }
      // The chunk's data may be lost as well: it has to come again, whatever the comparison says.
      const verdict = await this.#compare(partition, guarded, next)
      return verdict.kind === 'rewind' ? verdict : ABANDONED
    })
  }

  /**
   * Compares every partition with Redis, including idle ones.
   * @param rewind called for each partition that must be read again.
   */
  async check(rewind: (partition: number, to: number) => void): Promise<void> {
    const stored = await this.#store.load([...this.#partitions.keys()])
    const suspects = [...this.#partitions].filter(([partition, { cursor }]) =>
      needsComparison(cursor, stored.get(partition)),
    )
    if (suspects.length === 0) return
    const positions = await this.#offsets.read()
    for (const [partition, guarded] of suspects) {
      // Without a leader it can be neither compared nor read again: later.
      const kafka = positions.get(partition)
      if (kafka === undefined) continue
      const verdict = await this.#inTurn(partition, guarded, () =>
        this.#compare(partition, guarded, progressOf(guarded.cursor), kafka),
      )
      if (verdict.kind === 'rewind') rewind(partition, verdict.to)
    }
  }

  /** Takes one step of the partition after the other. In another generation than that of `guarded`, it takes none. */
  async #inTurn(
    partition: number,
    guarded: GuardedPartition,
    step: () => Promise<GuardVerdict>,
  ): Promise<GuardVerdict> {
    const isOver = () => this.#partitions.get(partition) !== guarded
    const verdict = await this.#turns.take(partition, async () => (isOver() ? ABANDONED : await step()))
    return isOver() ? ABANDONED : verdict
  }

  /**
   * @param position the offset up to which records have been applied; undefined: the group's commit, if there is one.
   * @param kafka given if it has just been read.
   */
  async #compare(
    partition: number,
    guarded: GuardedPartition,
    position: number | undefined,
    kafka?: GroupPosition,
  ): Promise<GuardVerdict> {
    const input = await this.#inputFor(
      partition,
      guarded.cursor,
      position,
      kafka ?? (await this.#readPosition(partition)),
    )
    return input === undefined ? IN_STEP : await this.#take(partition, guarded, input)
  }

  async #inputFor(
    partition: number,
    cursor: ProgressCursor,
    position: number | undefined,
    kafka: GroupPosition,
  ): Promise<CursorInput | undefined> {
    // Without a chunk, the group's commit says nothing about a partition that is being rewound.
    if (cursor.kind === 'rewinding' && position === undefined) return undefined
    // Read after the group's commit, which progress is never behind.
    const stored = (await this.#store.load([partition])).get(partition)
    const claimed = position ?? committedOf(kafka)
    if (claimed === undefined) return compareNothing(kafka, stored)
    const input = compareProgress(claimed, kafka, stored)
    if (!isOfEarlierTopic(cursor, input)) return input
    return compareProgress(claimed, await this.#readPosition(partition), stored)
  }

  async #readPosition(partition: number): Promise<GroupPosition> {
    const position = (await this.#offsets.read()).get(partition)
    if (position === undefined) throw kafkaError(new Error(`partition ${partition} has no leader`))
    return position
  }

  async #take(partition: number, guarded: GuardedPartition, input: CursorInput): Promise<GuardVerdict> {
    const before = guarded.cursor
    const { cursor, effects, verdict } = stepCursor(before, input)
    for (const effect of effects) await this.#perform(partition, effect)
    guarded.cursor = cursor
    if (verdict.kind === 'rewind') {
      guarded.admitted = undefined
      guarded.rewinds++
    }
    if (cursor.kind !== before.kind) this.#reportRebuilding()
    return verdict
  }

  async #perform(partition: number, effect: CursorEffect): Promise<void> {
    switch (effect.kind) {
      case 'overwrite_progress':
        return await this.#store.overwrite(partition, effect.stored, effect.next)
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

/** A commit beyond the end was made for a topic that has been created again since, or for an end that Kafka has lost. */
function committedOf({ committed, end }: GroupPosition): number | undefined {
  return committed === undefined ? undefined : Math.min(committed, end)
}
