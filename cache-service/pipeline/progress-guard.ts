import { kafkaError } from '../../shared/errors.ts'
import { judgeProgress } from '../core/progress.ts'
import type { ApplyChunk } from '../kafka/batch-handler.ts'
import type { PartitionOffsets } from '../kafka/partition-offsets.ts'
import type { ProgressStore } from '../redis/progress-store.ts'

type Chunk = Parameters<ApplyChunk>[0]

export type GuardVerdict =
  | { readonly kind: 'in_step' }
  /** Read again from there: Redis lost what Kafka still has. */
  | { readonly kind: 'rewind'; readonly to: number }
  /** The partition was taken away, or is being rewound: nothing of the chunk counts. */
  | { readonly kind: 'abandoned' }

export type GuardEvents = {
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
  readonly #events: GuardEvents
  #cursors = new Map<number, Cursor>()

  constructor(store: ProgressStore, offsets: PartitionOffsets, events: GuardEvents) {
    this.#store = store
    this.#offsets = offsets
    this.#events = events
  }

  /** A new generation: nothing is known of any partition. */
  assigned(partitions: readonly number[]): void {
    this.#cursors = new Map(
      partitions.map((partition) => [
        partition,
        { left: undefined, rebuildUntil: undefined, comparing: undefined },
      ]),
    )
    this.#reportRebuild()
  }

  get isRebuilding(): boolean {
    return [...this.#cursors.values()].some(({ rebuildUntil }) => rebuildUntil !== undefined)
  }

  /** Before a chunk is written. */
  async beforeChunk({ partition, position }: Chunk): Promise<GuardVerdict> {
    const cursor = this.#cursors.get(partition)
    if (cursor === undefined) return ABANDONED
    await cursor.comparing
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
      this.#events.rebuilt(partition, next)
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
    for (const [partition, cursor] of cursors) {
      const { left } = cursor
      if (left !== undefined && (stored.get(partition)?.next ?? -1) >= left) continue
      if (cursor.comparing !== undefined || this.#cursors !== cursors) continue
      const verdict = await this.#compare(partition, cursor, left)
      if (verdict.kind === 'rewind') rewind(partition, verdict.to)
    }
  }

  /** @param position up to where we believe to have applied; undefined: up to the group's commit, if there is one. */
  async #compare(partition: number, cursor: Cursor, position: number | undefined): Promise<GuardVerdict> {
    cursor.comparing = this.#compareWithKafka(partition, cursor, position)
    try {
      return await cursor.comparing
    } finally {
      cursor.comparing = undefined
    }
  }

  async #compareWithKafka(
    partition: number,
    cursor: Cursor,
    believed: number | undefined,
  ): Promise<GuardVerdict> {
    const range = (await this.#offsets.read()).get(partition)
    if (range === undefined) throw kafkaError(new Error(`Kafka does not know partition ${partition}`))
    // Without a commit nothing has been applied: the first chunk begins at the earliest record.
    const position = believed ?? range.committed
    if (position === undefined) return IN_STEP
    const stored = (await this.#store.load([partition])).get(partition)
    const verdict = judgeProgress(stored?.next, position, range.earliest, range.end)
    const rebuildUntil = Math.max(stored?.rebuildUntil ?? 0, cursor.rebuildUntil ?? 0)
    if (verdict.kind === 'lost') {
      // Forgotten until the first chunk from there: what was fetched before must not advance anything.
      cursor.left = undefined
      await this.#setRebuild(partition, cursor, Math.max(position, rebuildUntil))
      this.#events.cacheLost(partition, stored?.next, position, verdict.rewindTo)
      return { kind: 'rewind', to: verdict.rewindTo }
    }
    if (verdict.kind === 'behind_nothing') {
      await this.#store.overwrite(partition, position)
      if (stored?.next === undefined && rebuildUntil === 0 && range.end > position) {
        await this.#setRebuild(partition, cursor, range.end)
        this.#events.firstFill(partition, range.end)
      }
    }
    if (verdict.kind === 'foreign') {
      await this.#store.overwrite(partition, position)
      await this.#setRebuild(partition, cursor, undefined)
      this.#events.progressOverwritten(partition, stored?.next, position)
    } else if (rebuildUntil > 0) {
      cursor.rebuildUntil = rebuildUntil
    }
    cursor.left = verdict.kind === 'in_step' ? (stored?.next ?? position) : position
    this.#reportRebuild()
    return IN_STEP
  }

  async #setRebuild(partition: number, cursor: Cursor, until: number | undefined): Promise<void> {
    await this.#store.markRebuild(partition, until)
    cursor.rebuildUntil = until
    this.#reportRebuild()
  }

  #reportRebuild(): void {
    this.#events.rebuilding(this.isRebuilding)
  }
}
