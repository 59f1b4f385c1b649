import type { Admin, Kafka } from 'kafkajs'
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
  /** The session timeouts that a broker allows the members of a group. @param topic any that exists. */
  sessionLimits(topic: string): Promise<{ readonly minMs: number; readonly maxMs: number } | undefined>
  disconnect(): Promise<void>
}

const TOPIC_RESOURCE = 2
const BROKER_RESOURCE = 4

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
    settings: (topic) => request(topic, (admin) => topicSettings(admin, topic)),
    sessionLimits: (topic) =>
      request(topic, async (admin) => {
        const { brokers } = await admin.describeCluster()
        const settings = await settingsOf(admin, BROKER_RESOURCE, String(brokers[0]?.nodeId))
        const minMs = Number(settings.get('group.min.session.timeout.ms') ?? NaN)
        const maxMs = Number(settings.get('group.max.session.timeout.ms') ?? NaN)
        return Number.isNaN(minMs + maxMs) ? undefined : { minMs, maxMs }
      }),
    disconnect,
  }
}

export async function topicSettings(admin: Admin, topic: string): Promise<Map<string, string>> {
  return await settingsOf(admin, TOPIC_RESOURCE, topic)
}

async function settingsOf(admin: Admin, type: number, name: string): Promise<Map<string, string>> {
  const described = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type, name }] })
  const entries = described.resources[0]?.configEntries ?? []
  return new Map(entries.map(({ configName, configValue }) => [configName, configValue]))
}
