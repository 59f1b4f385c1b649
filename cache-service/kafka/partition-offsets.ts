import type { Kafka } from 'kafkajs'
import { createAdminConnection } from './admin-connection.ts'

export type GroupPosition = {
  /** The next offset to read as committed by the group; undefined: none (Kafka's -1 and -2 are none). */
  readonly committed: number | undefined
  readonly earliest: number
  readonly end: number
}

/** Where the partitions and the group stand, asked of an admin client that reconnects when asked again. */
export type PartitionOffsets = {
  /** Rejects with a ServiceError. Committed is read before the end, so that lag is never negative by more than a race. */
  read(): Promise<Map<number, GroupPosition>>
  disconnect(): Promise<void>
}

export function createPartitionOffsets(kafka: Kafka, topic: string, groupId: string): PartitionOffsets {
  const { ask, disconnect } = createAdminConnection(kafka)

  return {
    read: () =>
      ask(topic, async (admin) => {
        const committed = await admin.fetchOffsets({ groupId, topics: [topic] })
        const bounds = await admin.fetchTopicOffsets(topic)
        const committedOf = new Map(
          committed[0]?.partitions.map(({ partition, offset }) => [partition, Number(offset)]),
        )
        return new Map(
          bounds.map(({ partition, low, high }) => {
            const offset = committedOf.get(partition)
            const known = offset !== undefined && offset >= 0 ? offset : undefined
            return [partition, { committed: known, earliest: Number(low), end: Number(high) }]
          }),
        )
      }),
    disconnect,
  }
}
