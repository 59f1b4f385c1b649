// Corrections of what KafkaJS does about partitions without a leader, whose broker is down: see kafkajs.ts.

import type { Internal } from './kafkajs-copy.ts'

const LEADER_NOT_AVAILABLE = 5
const NO_LEADER = -1
const LEADERLESS_METADATA_MAX_AGE_MS = 1_000

type PartitionMetadata = {
  readonly partitionErrorCode: number
  readonly partitionId: number
  readonly leader: number
}
type Metadata = {
  readonly topicMetadata: readonly {
    readonly topic: string
    readonly partitionMetadata: readonly PartitionMetadata[]
  }[]
}
type MetadataResponse = {
  readonly decode: unknown
  readonly parse: (data: Metadata) => Promise<Metadata>
}

/** KafkaJS rejects all metadata if one partition has no leader, so that no other partition could be read either. */
export function metadataResponse(original: unknown): MetadataResponse {
  const { decode, parse } = original as MetadataResponse
  return {
    decode,
    async parse(data) {
      const topicMetadata = data.topicMetadata.map((topic) => ({
        ...topic,
        partitionMetadata: topic.partitionMetadata.filter(
          ({ partitionErrorCode }) => partitionErrorCode !== LEADER_NOT_AVAILABLE,
        ),
      }))
      await parse({ ...data, topicMetadata })
      return data
    },
  }
}

type TopicOffsetsRequest = { readonly topic: string; readonly partitions: readonly { partition: number }[] }
type TopicOffsets = { readonly topic: string; readonly partitions: readonly object[] }

export type LeaderAwareCluster = {
  /** Whether offsets are asked of the other partitions if some have no leader. Otherwise the request is rejected. */
  passesOverLeaderless: boolean
  findTopicPartitionMetadata(topic: string): readonly PartitionMetadata[]
}
type ClusterClass = new (...args: unknown[]) => {
  readonly brokerPool: {
    metadata: Metadata | null
    metadataExpireAt: number | null
    metadataMaxAge: number
  }
  findBroker(of: { readonly nodeId: string | number }): Promise<unknown>
  fetchTopicsOffset(topics: readonly TopicOffsetsRequest[]): Promise<readonly TopicOffsets[]>
  findTopicPartitionMetadata(topic: string): readonly PartitionMetadata[]
  refreshMetadata(): Promise<void>
  refreshMetadataIfNecessary(): Promise<void>
}

/** The rest of KafkaJS reads from, and writes to, only partitions that have a leader; the others are asked for again soon. */
export function withLeaderlessPartitions(original: unknown, internal: Internal): ClusterClass {
  const Cluster = original as ClusterClass
  const { createErrorFromCode } = internal('src/protocol/error.js') as {
    createErrorFromCode: (code: number) => Error
  }
  return class extends Cluster implements LeaderAwareCluster {
    passesOverLeaderless = true
    #hastened: Metadata | null = null

    override async refreshMetadataIfNecessary(): Promise<void> {
      const { brokerPool } = this
      const { metadata, metadataExpireAt, metadataMaxAge } = brokerPool
      const soonAfterAll = metadataMaxAge - LEADERLESS_METADATA_MAX_AGE_MS
      if (metadata !== this.#hastened && metadataExpireAt !== null && soonAfterAll > 0) {
        this.#hastened = metadata
        const topics = metadata?.topicMetadata ?? []
        if (topics.some(({ partitionMetadata }) => partitionMetadata.some(isLeaderless)))
          brokerPool.metadataExpireAt = metadataExpireAt - soonAfterAll
      }
      await super.refreshMetadataIfNecessary()
    }

    /** KafkaJS looks for the leader of a partition by its id: here by the one that stands for none. */
    override async findBroker({ nodeId }: { readonly nodeId: string | number }): Promise<unknown> {
      if (Number(nodeId) !== NO_LEADER) return await super.findBroker({ nodeId })
      await this.refreshMetadata()
      throw createErrorFromCode(LEADER_NOT_AVAILABLE)
    }

    override async fetchTopicsOffset(
      topics: readonly TopicOffsetsRequest[],
    ): Promise<readonly TopicOffsets[]> {
      if (!this.passesOverLeaderless) return await super.fetchTopicsOffset(topics)
      const led = topics.map((request) => {
        const leaderless = leaderlessPartitions(this, request.topic)
        return {
          ...request,
          partitions: request.partitions.filter(({ partition }) => !leaderless.includes(partition)),
        }
      })
      const found = await super.fetchTopicsOffset(led)
      return topics.map(({ topic }) => found.find((one) => one.topic === topic) ?? { topic, partitions: [] })
    }
  }
}

export function leaderlessPartitions(
  cluster: Pick<LeaderAwareCluster, 'findTopicPartitionMetadata'>,
  topic: string,
): number[] {
  return cluster
    .findTopicPartitionMetadata(topic)
    .filter(isLeaderless)
    .map(({ partitionId }) => partitionId)
}

function isLeaderless({ leader }: PartitionMetadata): boolean {
  return leader === NO_LEADER
}
