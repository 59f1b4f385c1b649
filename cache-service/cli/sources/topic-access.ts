import type { RecordFinder } from '../../kafka/record-finder.ts'
import type { TopicBounds } from '../../kafka/topic-bounds.ts'
import type { TopicReader } from '../../kafka/topic-reader.ts'
import type { Session } from '../session.ts'

/** Kafka's topics, for a command that reads them. What is opened is closed with the session. */
export type TopicAccess = {
  readonly kafka: Awaited<ReturnType<Session['kafka']>>
  readonly bounds: TopicBounds
  /** @param purpose of this reader or finder alone: it names their consumer group. */
  reader(topic: string, purpose: string): TopicReader
  finder(topic: string, purpose: string): RecordFinder
}

/** KafkaJS is loaded only now, so that `--help` stays quick. Rejects with a ServiceError if Kafka does not answer. */
export async function openTopics(session: Session): Promise<TopicAccess> {
  const { config, context, log, releases } = session
  const kafka = await session.kafka()
  const [{ registerCodecs }, { createRecordFinder }, { createTopicBounds }, { TopicReader: Reader }] =
    await Promise.all([
      import('../../kafka/codecs.ts'),
      import('../../kafka/record-finder.ts'),
      import('../../kafka/topic-bounds.ts'),
      import('../../kafka/topic-reader.ts'),
    ])
  registerCodecs((codec, error) => log.error({ codec, err: error }, 'a batch cannot be decompressed'))
  const bounds = createTopicBounds(kafka)
  releases.push('topic bounds', () => bounds.disconnect())
  // Begins with the workers' group, for users who may read groups by that prefix.
  const groupFor = (purpose: string) => `${config.kafka.groupId}.${context.processId}.${purpose}`
  return {
    kafka,
    bounds,
    reader(topic, purpose) {
      const reader = new Reader(kafka, topic, groupFor(purpose), context.now)
      releases.push(`reader of ${topic}`, () => reader.close())
      return reader
    },
    finder(topic, purpose) {
      const finder = createRecordFinder(kafka, topic, bounds, groupFor(purpose), context.now)
      releases.push(`finder of records of ${topic}`, () => finder.close())
      return finder
    },
  }
}
