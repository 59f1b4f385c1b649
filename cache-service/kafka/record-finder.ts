import type { Kafka } from 'kafkajs'
import type { SourceRecord } from '../core/records/source-record.ts'
import type { TopicBounds } from './topic-bounds.ts'
import { TopicReader } from './topic-reader.ts'

export type RecordPlace = { readonly partition: number; readonly offset: number }

export type FoundRecord =
  | { readonly kind: 'found'; readonly record: SourceRecord }
  /** Kafka has deleted it, or it never existed. */
  | { readonly kind: 'gone'; readonly why: string }

/** Reads records of one topic by their coordinates. Rejects with a ServiceError. */
export type RecordFinder = {
  /** Results are in the order of `places`. */
  find(places: readonly RecordPlace[], stop: AbortSignal): Promise<FoundRecord[]>
  close(): Promise<void>
}

export function createRecordFinder(
  kafka: Kafka,
  topic: string,
  bounds: TopicBounds,
  groupId: string,
  now: () => number,
): RecordFinder {
  const reader = new TopicReader(kafka, topic, groupId, now)
  const nameOf = ({ partition, offset }: RecordPlace) => `${partition}:${offset}`

  return {
    async find(places, stop) {
      if (places.length === 0) return []
      const boundsOf = new Map((await bounds.read(topic)).map((found) => [found.partition, found]))
      const wanted = [...new Map(places.map((place) => [nameOf(place), place])).values()]
        .filter(({ partition, offset }) => {
          const range = boundsOf.get(partition)
          return range !== undefined && offset >= range.earliest && offset < range.end
        })
        .toSorted((a, b) => a.offset - b.offset)
      const found = new Map<string, SourceRecord>()
      await reader.read(
        wanted.map(({ partition, offset }) => ({ partition, from: offset, to: offset + 1 })),
        async (record, partition) => {
          // Its bytes are views of the fetched batch.
          const value = record.value === null ? null : Buffer.from(record.value)
          found.set(nameOf({ partition, offset: Number(record.offset) }), { ...record, value })
        },
        { stop },
      )
      return places.map((place): FoundRecord => {
        const record = found.get(nameOf(place))
        if (record !== undefined) return { kind: 'found', record }
        const range = boundsOf.get(place.partition)
        const where = `${topic} ${nameOf(place)}`
        if (range === undefined) return { kind: 'gone', why: `${topic} has no partition ${place.partition}` }
        if (place.offset >= range.end) {
          return { kind: 'gone', why: `${where} does not exist: the partition ends at ${range.end}` }
        }
        return {
          kind: 'gone',
          why:
            place.offset < range.earliest
              ? `Kafka has deleted ${where}: the partition begins at ${range.earliest}`
              : `there is no record at ${where}`,
        }
      })
    },
    close: () => reader.close(),
  }
}
