// Corrections of what KafkaJS writes, and requests that it lacks: see kafkajs.ts.

import type { Admin } from 'kafkajs'
import { consumerGroupDescribe, CONSUMER_GROUP_DESCRIBE, type NewerGroup } from './consumer-group-describe.ts'
import type { Internal } from './kafkajs-copy.ts'
import { leaderlessPartitions, type LeaderAwareCluster } from './kafkajs-leaders.ts'

const ADMIN_METADATA_MAX_AGE_MS = 1_000
const READ_UNCOMMITTED = 0
/** Only offsets that exist are asked for, so that a broker answers at once. */
const ONE_BATCH_MAX_WAIT_MS = 1_000

type Encoder = {
  size(): number
  writeInt8(value: number): Encoder
  writeArray(values: readonly string[]): Encoder
  writeBoolean(value: boolean): Encoder
  writeBufferInternal(bytes: Buffer): void
  writeVarInt(value: number): Encoder
  writeVarLong(value: unknown): Encoder
  writeVarIntString(value: string): Encoder
  writeVarIntBytes(value: unknown): Encoder
  writeEncoder(value: Encoder): Encoder
}

type MetadataRequest = {
  readonly apiKey: number
  readonly apiVersion: number
  readonly apiName: string
  readonly encode: () => Promise<Encoder>
}

/**
 * A client of KafkaJS that knows no topic yet asks for the metadata of all topics, and fails if a partition of any of
 * them has no leader. Here it asks for the metadata of no topic, which still names the brokers. Requests of later versions
 * build on this one, and earlier versions are older than the record format that we read.
 */
export function metadataRequest(original: unknown, internal: Internal) {
  const create = original as (options: object) => MetadataRequest
  const Encoder = internal('src/protocol/encoder.js') as new () => Encoder
  return (options: { readonly topics: readonly string[]; readonly allowAutoTopicCreation?: boolean }) => ({
    ...create(options),
    encode: async () =>
      new Encoder().writeArray(options.topics).writeBoolean(options.allowAutoTopicCreation ?? true),
  })
}

type RecordToWrite = {
  readonly offsetDelta?: number
  readonly timestampDelta?: unknown
  readonly key: unknown
  readonly value: unknown
  readonly headers?: Readonly<Record<string, unknown>>
}
/** KafkaJS reads null headers, but fails to compute the size of one that it writes. */
export function recordEncoder(_original: unknown, internal: Internal): (record: RecordToWrite) => Encoder {
  const Encoder = internal('src/protocol/encoder.js') as new () => Encoder
  return ({ headers = {}, key, offsetDelta = 0, timestampDelta = 0, value }) => {
    const fields = Object.entries(headers).flatMap(([name, values]) =>
      (Array.isArray(values) ? values : [values]).map((one: unknown) => [name, one] as const),
    )
    const body = new Encoder()
      .writeInt8(0)
      .writeVarLong(timestampDelta)
      .writeVarInt(offsetDelta)
      .writeVarIntBytes(key)
      .writeVarIntBytes(value)
      .writeVarInt(fields.length)
    for (const [name, one] of fields) body.writeVarIntString(name).writeVarIntBytes(one)
    return new Encoder().writeVarInt(body.size()).writeEncoder(body)
  }
}

type Coordinator = {
  readonly versions: Readonly<Record<number, { readonly maxVersion: number } | undefined>> | null
  readonly connectionPool: { send(protocol: object): Promise<readonly NewerGroup[]> }
}
type Cluster = LeaderAwareCluster & {
  readonly brokerPool: { metadataMaxAge: number }
  isolationLevel: number | undefined
  findGroupCoordinator(group: { readonly groupId: string }): Promise<Coordinator>
  findBroker(of: { readonly nodeId: number }): Promise<Broker>
}
type Broker = {
  fetch(request: object): Promise<{
    readonly responses: readonly { readonly partitions: readonly { readonly messages: Buffer }[] }[]
  }>
}
type CreateAdmin = (options: { readonly cluster: Cluster }) => Admin

/** The admin clients of the private copy. */
const clusters = new WeakMap<Admin, { readonly cluster: Cluster; readonly internal: Internal }>()

/**
 * An admin client has no setting for the age of its metadata: for five minutes it would not see added partitions. Requests
 * about a topic of which a partition has no leader are rejected, because an answer for a part could be taken for all.
 */
export function adminClient(original: unknown, internal: Internal): CreateAdmin {
  const create = original as CreateAdmin
  return (options) => {
    options.cluster.brokerPool.metadataMaxAge = ADMIN_METADATA_MAX_AGE_MS
    options.cluster.passesOverLeaderless = false
    const admin = create(options)
    clusters.set(admin, { cluster: options.cluster, internal })
    return admin
  }
}

/** By default the end of a partition is where its first open transaction begins; after this, records behind that count. */
export function countOpenTransactions(admin: Admin): void {
  const cluster = clusters.get(admin)?.cluster
  if (cluster !== undefined) cluster.isolationLevel = READ_UNCOMMITTED
}

/** Offsets are then those of the partitions that have a leader. */
export function passOverLeaderless(admin: Admin): void {
  const cluster = clusters.get(admin)?.cluster
  if (cluster !== undefined) cluster.passesOverLeaderless = true
}

/** @returns by the metadata of the last request about the topic. */
export function leaderlessPartitionsOf(admin: Admin, topic: string): number[] {
  const cluster = clusters.get(admin)?.cluster
  return cluster === undefined ? [] : leaderlessPartitions(cluster, topic)
}

/**
 * The bytes of the record batch that holds the offset, or of the next one; empty if there is none. KafkaJS can otherwise read
 * records only as a member of a consumer group.
 *
 * The admin client must have asked for the offsets of the topic before: it then knows the leaders.
 */
export async function fetchOneBatch(
  admin: Admin,
  {
    offset,
    partition,
    topic,
  }: { readonly topic: string; readonly partition: number; readonly offset: number },
): Promise<Buffer> {
  const cluster = clusters.get(admin)?.cluster
  const found = cluster
    ?.findTopicPartitionMetadata(topic)
    .find(({ partitionId }) => partitionId === partition)
  if (cluster === undefined || found === undefined) return Buffer.alloc(0)
  const broker = await cluster.findBroker({ nodeId: found.leader })
  // A broker sends the first batch even if it is larger than the maximum.
  const partitions = [{ partition, fetchOffset: String(offset), maxBytes: 1 }]
  const { responses } = await broker.fetch({
    isolationLevel: READ_UNCOMMITTED,
    maxWaitTime: ONE_BATCH_MAX_WAIT_MS,
    minBytes: 1,
    maxBytes: 1,
    topics: [{ topic, partitions }],
  })
  return responses[0]?.partitions[0]?.messages ?? Buffer.alloc(0)
}

/** undefined: there is no such group of the newer protocol (consumer-group-describe.ts). */
export async function describeConsumerGroup(admin: Admin, groupId: string): Promise<NewerGroup | undefined> {
  const client = clusters.get(admin)
  const coordinator = await client?.cluster.findGroupCoordinator({ groupId })
  const version = coordinator?.versions?.[CONSUMER_GROUP_DESCRIBE]
  if (client === undefined || coordinator === undefined || version === undefined) return undefined
  const { request, response } = consumerGroupDescribe(groupId, version.maxVersion)
  const Encoder = client.internal('src/protocol/encoder.js') as new () => Encoder
  const encode = async () => {
    const encoder = new Encoder()
    encoder.writeBufferInternal(request.body)
    return encoder
  }
  const groups = await coordinator.connectionPool.send({ request: { ...request, encode }, response })
  return groups.find((group) => group.groupId === groupId && group.errorCode === 0)
}
