import { recordTimeMs } from '../../core/records/source-record.ts'
import type { Chunk } from '../../core/records/chunk.ts'
import type { GroupPosition } from '../../kafka/partition-offsets.ts'

export type Lag = {
  readonly records: number
  /** Age of the first record that is not durable yet; undefined: this worker has not fetched it yet. */
  readonly seconds: number | undefined
}

/** Measures lag by Kafka's own offsets, since a consumer that is stuck does not know how far behind it is. */
export class LagMeter {
  readonly #now: () => number
  /** Record time of the first record of the current chunk, or of the last durable record if there is none. */
  readonly #oldest = new Map<number, number>()

  constructor(now: () => number) {
    this.#now = now
  }

  began({ partition, records }: Chunk): void {
    this.#note(partition, records[0])
  }

  durable({ partition, records }: Chunk): void {
    this.#note(partition, records.at(-1))
  }

  measure(positions: ReadonlyMap<number, GroupPosition>, owned: readonly number[]): Map<number, Lag> {
    const lags = new Map<number, Lag>()
    for (const partition of owned) {
      const position = positions.get(partition)
      if (position === undefined) continue
      const { committed, earliest, end } = position
      const records = Math.max(0, end - Math.max(committed ?? earliest, earliest))
      const oldestMs = this.#oldest.get(partition)
      const ageS = oldestMs === undefined ? undefined : Math.max(0, this.#now() - oldestMs) / 1000
      lags.set(partition, { records, seconds: records === 0 ? 0 : ageS })
    }
    return lags
  }

  #note(partition: number, record: Chunk['records'][number] | undefined): void {
    if (record !== undefined) this.#oldest.set(partition, recordTimeMs(record, this.#now()))
  }
}
