import type { Admin, Kafka } from 'kafkajs'
import type { Position } from '../core/workers/records-behind.ts'
import { createAdminConnection } from './admin-connection.ts'
import { countOpenTransactions, leaderlessPartitionsOf, passOverLeaderless } from './kafkajs-requests.ts'

export type GroupPosition = Position

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
        return await readPositions(admin, topic, committedOffsets(committed[0]?.partitions ?? []))
      }),
    disconnect,
  }
}

/** By partition: the offset that the group has committed, which is the next to read. Kafka returns -1 or -2 for none. */
export function committedOffsets(
  partitions: readonly { readonly partition: number; readonly offset: string }[],
): ReadonlyMap<number, number> {
  const offsets = partitions.map(({ offset, partition }) => [partition, Number(offset)] as const)
  return new Map(offsets.filter(([, offset]) => offset >= 0))
}

/** @param committed was read before, so that lag can be too high, but hardly ever negative. */
export async function readPositions(
  admin: Admin,
  topic: string,
  committed: ReadonlyMap<number, number>,
): Promise<GroupPositions> {
  const bounds = await admin.fetchTopicOffsets(topic)
  const positions = new Map<number, GroupPosition | undefined>(
    leaderlessPartitionsOf(admin, topic).map((partition) => [partition, undefined]),
  )
  for (const { high, low, partition } of bounds)
    positions.set(partition, {
      committed: committed.get(partition),
      earliest: Number(low),
      end: Number(high),
    })
  return positions
}
