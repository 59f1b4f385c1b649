import type { Admin, Kafka } from 'kafkajs'
import { createAdminConnection } from './admin-connection.ts'
import { countOpenTransactions, leaderlessPartitionsOf, passOverLeaderless } from './kafkajs-requests.ts'

export type GroupPosition = {
  /** The group's committed offset, which is the next to read; undefined if none (Kafka returns -1 or -2). */
  readonly committed: number | undefined
  readonly earliest: number
  readonly end: number
}

/** By partition; undefined: it has no leader, so that it can be neither read nor measured. */
export type GroupPositions = ReadonlyMap<number, GroupPosition | undefined>

/** Reads the offsets of a topic's partitions and of the group. Connects on first use, reconnects after a failure. */
export type PartitionOffsets = {
  /**
   * Rejects with a ServiceError. Committed offsets are read before end offsets, so that lag can be too high, but
   * hardly ever negative.
   */
  read(): Promise<GroupPositions>
  disconnect(): Promise<void>
}

/** The end of what a consumer may read: records of open transactions are not there yet. */
export function createPartitionOffsets(kafka: Kafka, topic: string, groupId: string): PartitionOffsets {
  return partitionOffsets(kafka, topic, groupId, () => undefined)
}

/** The end of what was written, which lag is measured by: an open transaction must not hide the records behind it. */
export function createLagOffsets(kafka: Kafka, topic: string, groupId: string): PartitionOffsets {
  return partitionOffsets(kafka, topic, groupId, countOpenTransactions)
}

function partitionOffsets(
  kafka: Kafka,
  topic: string,
  groupId: string,
  prepare: (admin: Admin) => void,
): PartitionOffsets {
  const { request, disconnect } = createAdminConnection(kafka, (admin) => {
    passOverLeaderless(admin)
    prepare(admin)
  })
  return {
    read: () =>
      request(topic, async (admin) => {
        const committed = await admin.fetchOffsets({ groupId, topics: [topic] })
        const bounds = await admin.fetchTopicOffsets(topic)
        const committedOf = new Map(
          committed[0]?.partitions.map(({ partition, offset }) => [partition, Number(offset)]),
        )
        const positions = new Map<number, GroupPosition | undefined>(
          leaderlessPartitionsOf(admin, topic).map((partition) => [partition, undefined]),
        )
        for (const { high, low, partition } of bounds) {
          const offset = committedOf.get(partition)
          const known = offset !== undefined && offset >= 0 ? offset : undefined
          positions.set(partition, { committed: known, earliest: Number(low), end: Number(high) })
        }
        return positions
      }),
    disconnect,
  }
}
