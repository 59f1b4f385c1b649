import type { DeadLetterFilter } from '../../../core/dead-letters/filter.ts'
import type { StoredDeadLetter } from '../../../core/dead-letters/stored-dead-letter.ts'
import {
  scanDeadLetters,
  type DeadLetterScanDependencies,
  type ScannedDeadLetters,
} from '../../../pipeline/replay/dead-letter-scan.ts'
import type { Progress } from '../../terminal/progress.ts'
import type { Session } from '../../session.ts'
import { openTopics, type TopicAccess } from '../../sources/topic-access.ts'

/** The error topic, opened for a command. */
export type DeadLetterTopic = {
  readonly topics: TopicAccess
  readonly errorTopic: string
  /** Shows a progress bar, which `endProgress` removes. */
  readonly scan: DeadLetterScanDependencies
  endProgress(): void
}

/** Rejects with a ServiceError if Kafka does not answer. */
export async function openDeadLetterTopic(session: Session): Promise<DeadLetterTopic> {
  const { errorTopic } = session.config.kafka
  const topics = await openTopics(session)
  let bar: Progress | undefined
  return {
    topics,
    errorTopic,
    scan: {
      errorTopic,
      bounds: topics.bounds,
      reader: topics.reader(errorTopic, 'dead-letters'),
      stop: session.stop,
      progress: (read, total) => {
        bar ??= session.progress(`reading ${errorTopic}`, total)
        bar.set(read)
      },
    },
    endProgress: () => {
      bar?.end()
      bar = undefined
    },
  }
}

export async function readDeadLetters(
  deadLetterTopic: DeadLetterTopic,
  filter: DeadLetterFilter,
  visit: (deadLetter: StoredDeadLetter) => void,
  lastOffsets?: number,
): Promise<ScannedDeadLetters> {
  try {
    return await scanDeadLetters(deadLetterTopic.scan, filter, visit, lastOffsets)
  } finally {
    deadLetterTopic.endProgress()
  }
}

/** A dead letter as it is printed. The names are those of the Kafka headers. */
export type DeadLetterRow = {
  readonly dead_letter: string
  readonly written_at: string
  readonly reason: string
  readonly device_id: string | null
  readonly source_topic: string
  readonly source_partition: number
  readonly source_offset: number
  readonly replay_count: number
  readonly request_id: string
  readonly error: string
}

export function deadLetterRow(deadLetter: StoredDeadLetter): DeadLetterRow {
  return {
    dead_letter: `${deadLetter.partition}:${deadLetter.offset}`,
    written_at: new Date(deadLetter.writtenAtMs).toISOString(),
    reason: deadLetter.reason,
    device_id: deadLetter.deviceId ?? null,
    source_topic: deadLetter.source.topic,
    source_partition: deadLetter.source.partition,
    source_offset: deadLetter.source.offset,
    replay_count: Number.isFinite(deadLetter.replayCount) ? deadLetter.replayCount : -1,
    request_id: deadLetter.requestId,
    error: deadLetter.error,
  }
}

export function reportForeignMessages(session: Session, { foreign }: ScannedDeadLetters): void {
  if (foreign > 0) session.info(`${foreign} messages of other services were ignored`)
}
