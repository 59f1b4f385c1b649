import type { Kafka } from 'kafkajs'
import { createAdminConnection } from './admin-connection.ts'

/** The first offset that Kafka still has of a partition, and the one after the last. */
export type PartitionBounds = { readonly partition: number; readonly earliest: number; readonly end: number }

/** Reads offsets and settings of topics. Every method rejects with a ServiceError. */
export type TopicBounds = {
  /** Ordered by partition. */
  read(topic: string): Promise<PartitionBounds[]>
  /** By partition: the first offset whose record time is `ms` or later; the end offset if there is none. */
  offsetsAt(topic: string, ms: number): Promise<Map<number, number>>
  /** The topic's settings, such as `retention.ms`, by name. */
  settings(topic: string): Promise<Map<string, string>>
  disconnect(): Promise<void>
}

const TOPIC_RESOURCE = 2

export function createTopicBounds(kafka: Kafka): TopicBounds {
  const { request, disconnect } = createAdminConnection(kafka)

  return {
    read: (topic) =>
      request(topic, async (admin) => {
        const bounds = await admin.fetchTopicOffsets(topic)
        return bounds
          .map(({ partition, low, high }) => ({ partition, earliest: Number(low), end: Number(high) }))
          .toSorted((a, b) => a.partition - b.partition)
      }),
    offsetsAt: (topic, ms) =>
      request(topic, async (admin) => {
        const found = await admin.fetchTopicOffsetsByTimestamp(topic, ms)
        return new Map(found.map(({ partition, offset }) => [partition, Number(offset)]))
      }),
    settings: (topic) =>
      request(topic, async (admin) => {
        const { resources } = await admin.describeConfigs({
          includeSynonyms: false,
          resources: [{ type: TOPIC_RESOURCE, name: topic }],
        })
        const entries = resources[0]?.configEntries ?? []
        return new Map(entries.map(({ configName, configValue }) => [configName, configValue]))
      }),
    disconnect,
  }
}
