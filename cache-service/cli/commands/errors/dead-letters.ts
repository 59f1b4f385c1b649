import type { LetterFilter } from '../../../core/dead-letters/filter.ts'
import type { StoredLetter } from '../../../core/dead-letters/stored-dead-letter.ts'
import type { LetterScanDependencies, ScannedLetters } from '../../../pipeline/replay/dead-letter-scan.ts'
import { scanLetters } from '../../../pipeline/replay/dead-letter-scan.ts'
import type { Progress } from '../../terminal/progress.ts'
import type { Session } from '../../session.ts'
import { openTopics, type TopicAccess } from '../../sources/topic-access.ts'

/** The dead letters, opened for a command. */
export type LetterBox = {
  readonly topics: TopicAccess
  readonly errorTopic: string
  /** For whoever reads on its own; the bar is ended by `ended`. */
  readonly scan: LetterScanDependencies
  ended(): void
}

/** Rejects with a ServiceError if Kafka does not answer. */
export async function openLetterBox(session: Session): Promise<LetterBox> {
  const { errorTopic } = session.config.kafka
  const topics = await openTopics(session)
  let bar: Progress | undefined
  return {
    topics,
    errorTopic,
    scan: {
      errorTopic,
      bounds: topics.bounds,
      reader: topics.reader(errorTopic, 'letters'),
      stop: session.stop,
      progress: (read, total) => {
        bar ??= session.progress(`reading ${errorTopic}`, total)
        bar.set(read)
      },
    },
    ended: () => {
      bar?.end()
      bar = undefined
    },
  }
}

export async function readLetters(
  box: LetterBox,
  filter: LetterFilter,
  visit: (letter: StoredLetter) => void,
  lastOffsets?: number,
): Promise<ScannedLetters> {
  try {
    return await scanLetters(box.scan, filter, visit, lastOffsets)
  } finally {
    box.ended()
  }
}

/** A letter as it is printed; the names are those of the headers. */
export type LetterRow = {
  readonly letter: string
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

export function letterRow(letter: StoredLetter): LetterRow {
  return {
    letter: `${letter.partition}:${letter.offset}`,
    written_at: new Date(letter.writtenAtMs).toISOString(),
    reason: letter.reason,
    device_id: letter.deviceId ?? null,
    source_topic: letter.source.topic,
    source_partition: letter.source.partition,
    source_offset: letter.source.offset,
    replay_count: Number.isFinite(letter.replayCount) ? letter.replayCount : -1,
    request_id: letter.requestId,
    error: letter.error,
  }
}

export function sayForeign(session: Session, { foreign }: ScannedLetters): void {
  if (foreign > 0) session.say(`${foreign} messages of other services were passed over`)
}
