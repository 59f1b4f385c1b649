import { matchesFilter, type DeadLetterFilter } from '../../core/dead-letters/filter.ts'
import { parseDeadLetter, type StoredDeadLetter } from '../../core/dead-letters/stored-dead-letter.ts'
import type { TopicBounds } from '../../kafka/topic-bounds.ts'
import type { OffsetRange, ReadProgress, TopicReader } from '../../kafka/topic-reader.ts'

export type DeadLetterScanDependencies = {
  readonly errorTopic: string
  readonly bounds: TopicBounds
  readonly reader: TopicReader
  readonly stop: AbortSignal
  readonly progress: ReadProgress
}

export type ScannedDeadLetters = {
  readonly read: number
  readonly matching: number
  /** Messages of other services in the same topic, and unreadable ones. */
  readonly foreign: number
  /** Partitions of which only the last `lastOffsets` offsets were read. */
  readonly cut: readonly number[]
}

/**
 * Calls and awaits `visit` for every dead letter that is now in the error topic and matches the filter, in offset
 * order within a partition. Rejects with a ServiceError, or with the error that `visit` threw.
 *
 * @param lastOffsets maximum number of offsets to read per partition, from the end.
 */
export async function scanDeadLetters(
  { errorTopic, bounds, reader, stop, progress }: DeadLetterScanDependencies,
  filter: DeadLetterFilter,
  visit: (deadLetter: StoredDeadLetter) => Promise<void> | void,
  lastOffsets = Infinity,
): Promise<ScannedDeadLetters> {
  const counts = { read: 0, matching: 0, foreign: 0 }
  const wanted = await rangesOf(bounds, errorTopic, filter)
  const cut = wanted.filter(({ from, to }) => to - from > lastOffsets).map(({ partition }) => partition)
  const ranges = wanted.map(({ from, partition, to }) => ({
    partition,
    from: Math.max(from, to - lastOffsets),
    to,
  }))
  await reader.read(
    ranges,
    async (record, partition) => {
      counts.read++
      const parsed = parseDeadLetter(record, partition)
      if (parsed.kind === 'foreign') {
        counts.foreign++
      } else if (matchesFilter(parsed.deadLetter, filter)) {
        counts.matching++
        await visit(parsed.deadLetter)
      }
    },
    { stop, progress },
  )
  return { ...counts, cut }
}

/** The smallest ranges that contain all matching dead letters; the filter decides on each dead letter in them. */
async function rangesOf(
  bounds: TopicBounds,
  topic: string,
  filter: DeadLetterFilter,
): Promise<OffsetRange[]> {
  const all = await bounds.read(topic)
  const { sinceMs } = filter
  const since = sinceMs === undefined ? undefined : await bounds.offsetsAt(topic, sinceMs)
  return all.flatMap(({ partition, earliest, end }) => {
    const spans = filter.deadLetters.filter((span) => span.partition === partition)
    if (filter.deadLetters.length > 0 && spans.length === 0) return []
    const first = Math.max(earliest, since?.get(partition) ?? 0)
    const from = Math.max(first, spans.length === 0 ? 0 : Math.min(...spans.map((span) => span.from)))
    const to = Math.min(end, spans.length === 0 ? end : Math.max(...spans.map((span) => span.to)) + 1)
    return [{ partition, from, to }]
  })
}
