import { recordTimeMs } from '../../core/records/source-record.ts'
import type { Chunk } from '../../core/records/chunk.ts'
import type { PartitionOffsetRange } from '../../kafka/partition-offsets.ts'

export type Lag = {
  readonly records: number
  /** Age of the first record that is not durable yet; undefined: there is one, but we have not seen it. */
  readonly seconds: number | undefined
}

/** Lag as an operator means it: from Kafka's own offsets, since a consumer that is stuck knows nothing. */
export class LagMeter {
  readonly #now: () => number
  /** Record time of the first record not yet durable, or, if none is in hand, of the last one that is. */
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

  measure(ranges: ReadonlyMap<number, PartitionOffsetRange>, owned: readonly number[]): Map<number, Lag> {
    const lags = new Map<number, Lag>()
    for (const partition of owned) {
      const range = ranges.get(partition)
      if (range === undefined) continue
      const records = Math.max(0, range.end - Math.max(range.committed ?? range.earliest, range.earliest))
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
