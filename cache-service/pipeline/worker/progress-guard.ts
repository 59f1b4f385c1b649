import { kafkaError } from '../../../shared/errors.ts'
import type { Chunk } from '../../core/records/chunk.ts'
import { judgeProgress } from '../../core/workers/progress.ts'
import type { PartitionOffsetRange, PartitionOffsets } from '../../kafka/partition-offsets.ts'
import type { ProgressStore } from '../../redis/workers/progress-store.ts'

export type GuardVerdict =
  | { readonly kind: 'in_step' }
  /** Read again from there: Redis lost what Kafka still has. */
  | { readonly kind: 'rewind'; readonly to: number }
  /** The partition was taken away, or is being rewound: nothing of the chunk counts. */
  | { readonly kind: 'abandoned' }

export type GuardTelemetry = {
  cacheLost(partition: number, stored: number | undefined, position: number, rewindTo: number): void
  firstFill(partition: number, until: number): void
  rebuilding(yes: boolean): void
  rebuilt(partition: number, offset: number): void
  progressOverwritten(partition: number, stored: number | undefined, position: number): void
}

/** What we know of one partition in this generation of the group. */
type Cursor = {
  /** What we left in Redis; undefined until it has been compared. */
  left: number | undefined
  /** The offset at which the cache is complete again, while it is not. */
  rebuildUntil: number | undefined
  /** A comparison under way. */
  comparing: Promise<GuardVerdict> | undefined
  /** It is to be read again, and no chunk from there has come yet. */
  isRewinding: boolean
  /** It has been compared, or there is nothing to compare. */
  isKnown: boolean
}

function createCursor(): Cursor {
  return {
    left: undefined,
    rebuildUntil: undefined,
    comparing: undefined,
    isRewinding: false,
    isKnown: false,
  }
}

const IN_STEP: GuardVerdict = { kind: 'in_step' }
const ABANDONED: GuardVerdict = { kind: 'abandoned' }

/**
 * Notices that Redis lost data (wiped, restored from an older snapshot, failed over), by the progress that is
 * kept beside them (core/progress.ts): before the first chunk of a partition, after every chunk, and in
 * between, for partitions on which nothing happens.
 */
export class ProgressGuard {
  readonly #store: ProgressStore
  readonly #offsets: PartitionOffsets
  readonly #telemetry: GuardTelemetry
  #cursors = new Map<number, Cursor>()

  constructor(store: ProgressStore, offsets: PartitionOffsets, telemetry: GuardTelemetry) {
    this.#store = store
    this.#offsets = offsets
    this.#telemetry = telemetry
  }

  /** A new generation: nothing is known of any partition. */
  assigned(partitions: readonly number[]): void {
    this.#cursors = new Map(partitions.map((partition) => [partition, createCursor()]))
    this.#reportRebuild()
  }

  get isRebuilding(): boolean {
    return [...this.#cursors.values()].some(({ rebuildUntil }) => rebuildUntil !== undefined)
  }

  /** False until it is known of every partition whether Redis lacks something. */
  get hasCompared(): boolean {
    return [...this.#cursors.values()].every(({ isKnown }) => isKnown)
  }

  /** Before a chunk is written. */
  async beforeChunk({ partition, position }: Chunk): Promise<GuardVerdict> {
    const cursor = this.#cursors.get(partition)
    if (cursor === undefined) return ABANDONED
    // Its failure is for whoever asked for it; we ask for ourselves. Its rewind is theirs, too.
    const others = await cursor.comparing?.catch(() => undefined)
    if (others?.kind === 'rewind') return ABANDONED
    if (cursor.left !== undefined) return IN_STEP
    return await this.#compare(partition, cursor, position)
  }

  /** After a chunk's data and dead letters are safe: advances, if Redis still stands where we left it. */
  async afterChunk({ partition, next }: Chunk): Promise<GuardVerdict> {
    const cursor = this.#cursors.get(partition)
    if (cursor?.left === undefined) return ABANDONED
    const instead = await this.#store.advance(partition, cursor.left, next)
    if (instead === undefined) {
      cursor.left = Math.max(cursor.left, next)
    } else if (instead.next !== undefined && instead.next > cursor.left) {
      // Another worker, whose partition this was or is, got further: nothing is lost.
      cursor.left = Math.max(instead.next, next)
      await this.#store.overwrite(partition, cursor.left)
    } else {
      // What we wrote may be lost with it: the chunk comes again, whatever the comparison says.
      const verdict = await this.#compare(partition, cursor, next)
      return verdict.kind === 'rewind' ? verdict : ABANDONED
    }
    if (cursor.rebuildUntil !== undefined && next >= cursor.rebuildUntil) {
      await this.#store.markRebuild(partition, undefined)
      cursor.rebuildUntil = undefined
      this.#telemetry.rebuilt(partition, next)
      this.#reportRebuild()
    }
    return IN_STEP
  }

  /**
   * Compares every partition with Redis, idle ones too.
   * @param rewind called for each partition that must be read again.
   */
  async check(rewind: (partition: number, to: number) => void): Promise<void> {
    const cursors = this.#cursors
    const stored = await this.#store.load([...cursors.keys()])
    const suspects = [...cursors].filter(
      ([partition, { left, isRewinding, isKnown }]) =>
        !isRewinding && (left === undefined ? !isKnown : (stored.get(partition)?.next ?? -1) < left),
    )
    if (suspects.length === 0) return
    const ranges = await this.#offsets.read()
    for (const [partition, cursor] of suspects) {
      if (cursor.comparing !== undefined || cursor.isRewinding || this.#cursors !== cursors) continue
      const verdict = await this.#compare(partition, cursor, cursor.left, ranges)
      if (verdict.kind === 'rewind') rewind(partition, verdict.to)
    }
  }

  /**
   * @param position up to where we believe to have applied; undefined: up to the group's commit, if there is one.
   * @param ranges if they have just been read.
   */
  async #compare(
    partition: number,
    cursor: Cursor,
    position: number | undefined,
    ranges?: ReadonlyMap<number, PartitionOffsetRange>,
  ): Promise<GuardVerdict> {
    const comparing = (async () => {
      const range = (ranges ?? (await this.#offsets.read())).get(partition)
      if (range === undefined) throw kafkaError(new Error(`Kafka does not know partition ${partition}`))
      // Without a commit nothing has been applied: the first chunk begins at the earliest record.
      const believed = position ?? range.committed
      const verdict =
        believed === undefined ? IN_STEP : await this.#compareWith(range, partition, cursor, believed)
      cursor.isKnown ||= believed !== undefined || range.end === range.earliest
      return verdict
    })()
    cursor.comparing = comparing
    try {
      return await comparing
    } finally {
      cursor.comparing = undefined
    }
  }

  async #compareWith(
    range: PartitionOffsetRange,
    partition: number,
    cursor: Cursor,
    position: number,
  ): Promise<GuardVerdict> {
    const stored = (await this.#store.load([partition])).get(partition)
    const rebuildUntil = Math.max(stored?.rebuildUntil ?? 0, cursor.rebuildUntil ?? 0)
    const verdict = judgeProgress(stored?.next, position, range.earliest, range.end)
    switch (verdict.kind) {
      case 'in_step':
        cursor.left = stored?.next ?? position
        cursor.rebuildUntil = rebuildUntil > cursor.left ? rebuildUntil : undefined
        // Whoever completed it may have died before it could say so.
        if (stored?.rebuildUntil !== undefined && cursor.rebuildUntil === undefined) {
          await this.#store.markRebuild(partition, undefined)
        }
        break
      case 'behind_nothing':
        await this.#store.overwrite(partition, position)
        cursor.rebuildUntil = rebuildUntil > 0 ? rebuildUntil : undefined
        if (stored?.next === undefined && rebuildUntil === 0 && range.end > position) {
          await this.#setRebuild(partition, cursor, range.end)
          this.#telemetry.firstFill(partition, range.end)
        }
        cursor.left = position
        break
      case 'foreign':
        await this.#store.overwrite(partition, position)
        await this.#setRebuild(partition, cursor, undefined)
        this.#telemetry.progressOverwritten(partition, stored?.next, position)
        cursor.left = position
        break
      case 'lost':
        await this.#forgetUntilRewound(partition, cursor, Math.max(position, rebuildUntil))
        this.#telemetry.cacheLost(partition, stored?.next, position, verdict.rewindTo)
        return { kind: 'rewind', to: verdict.rewindTo }
    }
    cursor.isRewinding = false
    this.#reportRebuild()
    return IN_STEP
  }

  /** Until the first chunk from there: what was fetched before must not advance anything. */
  async #forgetUntilRewound(partition: number, cursor: Cursor, until: number): Promise<void> {
    const { left } = cursor
    cursor.left = undefined
    try {
      await this.#setRebuild(partition, cursor, until)
    } catch (error) {
      // Nobody will rewind: whoever compares next must find it out again.
      cursor.left = left
      throw error
    }
    cursor.isRewinding = true
  }

  async #setRebuild(partition: number, cursor: Cursor, until: number | undefined): Promise<void> {
    await this.#store.markRebuild(partition, until)
    cursor.rebuildUntil = until
    this.#reportRebuild()
  }

  #reportRebuild(): void {
    this.#telemetry.rebuilding(this.isRebuilding)
  }
}
