import type { Kafka } from 'kafkajs'
import { causesOf, kafkaError, type ServiceError } from '../../shared/errors.ts'
import { RETRY } from './client.ts'
import type { PartitionBounds, TopicBounds } from './topic-bounds.ts'
import { TopicReader, type ReaderGroup } from './topic-reader.ts'

/** Checks what Kafka permits, without writing anything. A ServiceError is the reason why it does not. */
export type KafkaPermissions = {
  /**
   * Reads the newest records of the topic. An empty topic counts as permitted.
   * @returns the record time (ms) of the newest record of each partition in which one was found.
   */
  read(
    topic: string,
    bounds: readonly PartitionBounds[],
    stop: AbortSignal,
  ): Promise<ServiceError | ReadonlyMap<number, number>>
  write(topic: string): Promise<ServiceError | undefined>
}

/**
 * Neither -1, 0 nor 1: a broker rejects the request, but only after it has checked the permission, and before it
 * writes anything. A test fails if that ever changes.
 */
const INVALID_ACKS = 2
/** Of each partition: the last offsets may hold no record. */
const SAMPLED_OFFSETS = 5

export function createKafkaPermissions(
  kafka: Kafka,
  readerGroup: ReaderGroup,
  bounds: TopicBounds,
  monotonicNow: () => number,
): KafkaPermissions {
  return {
    async read(topic, partitions, stop) {
      const reader = new TopicReader(kafka, topic, readerGroup, monotonicNow)
      const newestMs = new Map<number, number>()
      const ranges = partitions.map(({ earliest, end, partition }) => {
        return { partition, from: Math.max(earliest, end - SAMPLED_OFFSETS), to: end }
      })
      try {
        // Without a record, a read can't be denied, and nothing is read.
        await reader.read(
          ranges,
          async ({ timestampMs }, partition) => void newestMs.set(partition, timestampMs),
          { stop },
        )
        return newestMs
      } catch (error) {
        stop.throwIfAborted()
        return kafkaError(error)
      } finally {
        await reader.close()
      }
    },

    async write(topic) {
      // Fails at once for a missing topic, which KafkaJS would report only after its own retries.
      await bounds.read(topic)
      const producer = kafka.producer({ allowAutoTopicCreation: false, retry: { ...RETRY, retries: 0 } })
      try {
        await producer.connect()
        await producer.send({ topic, acks: INVALID_ACKS, messages: [{ value: null, partition: 0 }] })
        throw new Error('Kafka accepted a request that it should have rejected')
      } catch (thrown) {
        if (answerOf(thrown) === 'INVALID_REQUIRED_ACKS') return undefined
        return kafkaError(thrown, topic)
      } finally {
        await producer.disconnect().catch(() => undefined)
      }
    },
  }
}

function answerOf(thrown: unknown): string | undefined {
  for (const error of causesOf(thrown)) {
    if ('type' in error && typeof error.type === 'string') return error.type
  }
  return undefined
}
