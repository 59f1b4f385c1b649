import { recordTimeMs } from '../../core/records/source-record.ts'
import type { Chunk } from '../../core/records/chunk.ts'
import { recordsBehind } from '../../core/workers/records-behind.ts'
import type { GroupPositions } from '../../kafka/partition-offsets.ts'
import type { Clocks } from '../../lifecycle/clocks.ts'

export type Lag = {
  readonly records: number
  /** Age of the first record that is not durable yet; undefined: this worker has not fetched it yet. */
  readonly seconds: number | undefined
}

/** What is known of one partition, in the current generation of the consumer group. */
type Followed = {
  /** Chunks that are prepared or being written, in order. */
  pending: { readonly position: number; readonly next: number; readonly firstRecordMs: number | undefined }[]
  /** Everything before this offset is durable; undefined: nothing has been yet. */
  durable: number | undefined
  /** When offsets after `durable` were first seen, by the monotonic clock; undefined: not yet. */
  unreadSinceMs: number | undefined
}

/**
 * Measures lag by Kafka's own offsets, since a consumer that is stuck does not know how far behind it is.
 *
 * The age is that of the first record that is fetched and not durable. While there is none, but Kafka has more than is
 * durable, it is the time for which that has been so: the record itself has not been seen. Offsets without records, such
 * as the ends of transactions, have no age.
 */
export class LagMeter {
  readonly #clocks: Clocks
  #partitions = new Map<number, Followed>()

  constructor(clocks: Clocks) {
    this.#clocks = clocks
  }

  /** A new generation of the group: what was known may have happened long ago, or at another worker. */
  assigned(): void {
    this.#partitions = new Map()
  }

  began({ next, partition, position, records }: Chunk): void {
    const followed = this.#follow(partition)
    // A rewind abandoned what was pending.
    if (followed.pending.at(-1)?.next !== position) followed.pending = []
    const [first] = records
    const firstRecordMs = first === undefined ? undefined : recordTimeMs(first, this.#clocks.now())
    followed.pending.push({ position, next, firstRecordMs })
  }

  durable({ next, partition }: Chunk): void {
    const followed = this.#follow(partition)
    followed.pending = followed.pending.filter((chunk) => chunk.position >= next)
    followed.durable = next
    followed.unreadSinceMs = undefined
  }

  measure(positions: GroupPositions, owned: readonly number[]): Map<number, Lag> {
    const lags = new Map<number, Lag>()
    for (const partition of owned) {
      const position = positions.get(partition)
      if (position === undefined) continue
      const records = recordsBehind(position)
      const seconds = records === 0 ? 0 : this.#secondsBehind(partition, position.end)
      lags.set(partition, { records, seconds })
    }
    return lags
  }

  #secondsBehind(partition: number, end: number): number | undefined {
    const followed = this.#follow(partition)
    const pending = followed.pending.find(({ firstRecordMs }) => firstRecordMs !== undefined)
    if (pending?.firstRecordMs !== undefined)
      return Math.max(0, this.#clocks.now() - pending.firstRecordMs) / 1000
    if (followed.durable === undefined) return undefined
    // Durable, but not committed yet.
    if (followed.durable >= end) return 0
    const nowMs = this.#clocks.monotonicNow()
    followed.unreadSinceMs ??= nowMs
    return (nowMs - followed.unreadSinceMs) / 1000
  }

  #follow(partition: number): Followed {
    const followed = this.#partitions.get(partition) ?? {
      pending: [],
      durable: undefined,
      unreadSinceMs: undefined,
    }
    this.#partitions.set(partition, followed)
    return followed
  }
}
