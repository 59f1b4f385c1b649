import type { RecordFinder } from '../../kafka/record-finder.ts'
import type { TopicBounds } from '../../kafka/topic-bounds.ts'
import type { TopicReader } from '../../kafka/topic-reader.ts'
import type { Session } from '../session.ts'

/** Access to the Kafka topics for a command. Everything that it opens is closed with the session. */
export type TopicAccess = {
  readonly kafka: Awaited<ReturnType<Session['kafka']>>
  readonly bounds: TopicBounds
  /** @param purpose unique per reader and finder, because it is part of the name of the consumer group. */
  reader(topic: string, purpose: string): TopicReader
  finder(topic: string, purpose: string): RecordFinder
}

/** Loads KafkaJS only when it is needed, so that `--help` stays fast. Rejects with a ServiceError if Kafka can't be reached. */
export async function openTopics(session: Session): Promise<TopicAccess> {
  const { config, context, releases } = session
  const kafka = await session.kafka()
  const [{ createRecordFinder }, { createTopicBounds }, { TopicReader: Reader }] = await Promise.all([
    import('../../kafka/record-finder.ts'),
    import('../../kafka/topic-bounds.ts'),
    import('../../kafka/topic-reader.ts'),
  ])
  const warn = (text: string) => session.warn(text)
  const bounds = createTopicBounds(kafka)
  releases.push('topic bounds', () => bounds.disconnect())
  // The prefix is the group of the workers, so that one prefixed ACL covers both.
  const groupFor = (purpose: string) => ({
    id: `${config.kafka.groupId}.${context.processId}.${purpose}`,
    sessionTimeoutMs: config.kafka.sessionTimeoutMs,
  })
  return {
    kafka,
    bounds,
    reader(topic, purpose) {
      const reader = new Reader(kafka, topic, groupFor(purpose), context.monotonicNow, warn)
      releases.push(`reader of ${topic}`, () => reader.close())
      return reader
    },
    finder(topic, purpose) {
      const finder = createRecordFinder(kafka, topic, bounds, groupFor(purpose), context.monotonicNow, warn)
      releases.push(`finder of records of ${topic}`, () => finder.close())
      return finder
    },
  }
}
