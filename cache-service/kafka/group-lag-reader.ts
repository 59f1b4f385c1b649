import type { Admin, Kafka } from 'kafkajs'
import { kafkaError, type ServiceError } from '../../shared/errors.ts'
import type { SourceRecord } from '../core/records/source-record.ts'
import type { ConsumerGroup } from '../core/workers/consumer-group.ts'
import { retentionOf, type Retention } from '../core/workers/retention-risk.ts'
import { createAdminConnection } from './admin-connection.ts'
import { readGroup } from './group-reader.ts'
import { countOpenTransactions, fetchOneBatch, passOverLeaderless } from './kafkajs-requests.ts'
import { committedOffsets, readPositions, type GroupPositions } from './partition-offsets.ts'
import { decodeRecords, readRecordBatches, UndecodableBatchError } from './record-batch.ts'
import { topicSettings } from './topic-bounds.ts'

export type GroupTopic =
  | { readonly kind: 'read'; readonly positions: GroupPositions; readonly retention: Retention }
  /** The topic does not exist, or may not be described. */
  | { readonly kind: 'refused'; readonly error: ServiceError }

export type GroupReading = {
  readonly group: ConsumerGroup
  /** Of which the group has committed offsets, or which its members read. */
  readonly topics: ReadonlyMap<string, GroupTopic>
}

/** Reads any consumer group. Connects on first use, reconnects after a failure; every method rejects with a ServiceError. */
export type GroupLagReader = {
  /** @param expected topics that the group is meant to read, even if it does not yet. */
  read(groupId: string, expected: readonly string[]): Promise<GroupReading>
  /** The first record at the offset or after it, of a topic that was read before; undefined: there is none, or it can't be decoded. */
  recordAt(topic: string, partition: number, offset: number): Promise<SourceRecord | undefined>
  disconnect(): Promise<void>
}

/** Batches without records, such as the ends of transactions, are passed over. */
const MAX_BATCHES = 4

export function createGroupLagReader(kafka: Kafka): GroupLagReader {
  const { request, disconnect } = createAdminConnection(kafka, (admin) => {
    passOverLeaderless(admin)
    countOpenTransactions(admin)
  })

  async function readTopic(topic: string, committed: ReadonlyMap<number, number>): Promise<GroupTopic> {
    try {
      return await request(topic, (admin) => describeTopic(admin, topic, committed))
    } catch (error) {
      if (!isAboutTopic(error)) throw error
    }
    // A client asks for the metadata of all topics that it knows, and one that was deleted fails them all. This is another client.
    try {
      return await request(topic, (admin) => describeTopic(admin, topic, committed))
    } catch (error) {
      if (!isAboutTopic(error)) throw error
      return { kind: 'refused', error: kafkaError(error, topic) }
    }
  }

  return {
    async read(groupId, expected) {
      const [group, committed] = await request(undefined, async (admin) => {
        const found = await readGroup(admin, groupId)
        return [found, await admin.fetchOffsets({ groupId })] as const
      })
      const offsets = new Map(
        committed.map(({ topic, partitions }) => [topic, committedOffsets(partitions)] as const),
      )
      const topics = new Map<string, GroupTopic>()
      for (const topic of topicsOf(group, offsets, expected))
        topics.set(topic, await readTopic(topic, offsets.get(topic) ?? new Map<number, number>()))
      return { group, topics }
    },
    recordAt: (topic, partition, offset) =>
      request(topic, (admin) => findRecord(admin, topic, partition, offset)),
    disconnect,
  }
}

function topicsOf(
  { members }: ConsumerGroup,
  committed: ReadonlyMap<string, ReadonlyMap<number, number>>,
  expected: readonly string[],
): string[] {
  const names = new Set(expected)
  for (const [topic, offsets] of committed) if (offsets.size > 0) names.add(topic)
  for (const { partitions, topics = [] } of members)
    for (const topic of [...topics, ...partitions.keys()]) names.add(topic)
  return [...names].toSorted()
}

async function describeTopic(
  admin: Admin,
  topic: string,
  committed: ReadonlyMap<number, number>,
): Promise<GroupTopic> {
  const positions = await readPositions(admin, topic, committed)
  // Not needed for the lag, and a permission of its own.
  const settings = await topicSettings(admin, topic).catch(() => new Map<string, string>())
  return { kind: 'read', positions, retention: retentionOf(settings) }
}

function isAboutTopic(error: unknown): boolean {
  return ['TOPIC_MISSING', 'NOT_AUTHORIZED'].includes(kafkaError(error).code)
}

async function findRecord(
  admin: Admin,
  topic: string,
  partition: number,
  from: number,
): Promise<SourceRecord | undefined> {
  let offset = from
  for (let read = 0; read < MAX_BATCHES; read++) {
    const [batch] = readRecordBatches(await fetchOneBatch(admin, { topic, partition, offset })).batches
    if (batch === undefined) return undefined
    if (!batch.isControl) {
      try {
        const { records } = await decodeRecords(batch)
        const found = records.find((record) => record.offset >= from)
        if (found !== undefined) return found
      } catch (error) {
        if (!(error instanceof UndecodableBatchError)) throw error
        return undefined
      }
    }
    offset = batch.nextOffset
  }
  return undefined
}
