import type { Kafka } from 'kafkajs'
import type { Coordinates } from '../core/records/coordinates.ts'
import type { SourceRecord } from '../core/records/source-record.ts'
import type { TopicBounds } from './topic-bounds.ts'
import { TopicReader, type ReaderGroup } from './topic-reader.ts'

export type FoundRecord =
  | { readonly kind: 'found'; readonly record: SourceRecord }
  /** Kafka has deleted it, or it never existed. */
  | { readonly kind: 'gone'; readonly reason: string }

/** Reads records of one topic by their coordinates. Rejects with a ServiceError. */
export type RecordFinder = {
  /** Results are in the order of `coordinates`. */
  find(coordinates: readonly Coordinates[], stop: AbortSignal): Promise<FoundRecord[]>
  close(): Promise<void>
}

export function createRecordFinder(
  kafka: Kafka,
  topic: string,
  bounds: TopicBounds,
  group: ReaderGroup,
  monotonicNow: () => number,
  warn?: (text: string) => void,
): RecordFinder {
  const reader = new TopicReader(kafka, topic, group, monotonicNow, warn)
  const nameOf = ({ partition, offset }: Coordinates) => `${partition}:${offset}`

  return {
    async find(coordinates, stop) {
      if (coordinates.length === 0) return []
      const boundsOf = new Map((await bounds.read(topic)).map((found) => [found.partition, found]))
      const wanted = [
        ...new Map(coordinates.map((wantedRecord) => [nameOf(wantedRecord), wantedRecord])).values(),
      ]
        .filter(({ partition, offset }) => {
          const partitionBounds = boundsOf.get(partition)
          return (
            partitionBounds !== undefined &&
            offset >= partitionBounds.earliest &&
            offset < partitionBounds.end
          )
        })
        .toSorted((a, b) => a.offset - b.offset)
      const found = new Map<string, SourceRecord>()
      await reader.read(
        wanted.map(({ partition, offset }) => ({ partition, from: offset, to: offset + 1 })),
        async (record, partition) => {
          const { headers = {}, key, offset, timestampMs, value } = record
          // Its bytes are views of the fetched batch.
          const copied = { key: key && Buffer.from(key), value: value && Buffer.from(value) }
          found.set(nameOf({ partition, offset }), { offset, timestampMs, headers, ...copied })
        },
        { stop },
      )
      return coordinates.map((wantedRecord): FoundRecord => {
        const record = found.get(nameOf(wantedRecord))
        if (record !== undefined) return { kind: 'found', record }
        const partitionBounds = boundsOf.get(wantedRecord.partition)
        const where = `${topic} ${nameOf(wantedRecord)}`
        if (partitionBounds === undefined)
          return { kind: 'gone', reason: `${topic} has no partition ${wantedRecord.partition}` }
        if (wantedRecord.offset >= partitionBounds.end) {
          return {
            kind: 'gone',
            reason: `${where} does not exist: the partition ends at ${partitionBounds.end}`,
          }
        }
        return {
          kind: 'gone',
          reason:
            wantedRecord.offset < partitionBounds.earliest
              ? `Kafka has deleted ${where}: the partition begins at ${partitionBounds.earliest}`
              : `there is no record at ${where}`,
        }
      })
    },
    close: () => reader.close(),
  }
}
