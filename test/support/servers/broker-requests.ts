import kafkajs, { type Admin } from 'kafkajs'
import { readBytes } from '../../../cache-service/kafka/kafkajs-consumer.ts'
import { loadKafkaJs } from '../../../cache-service/kafka/kafkajs-copy.ts'
import { fetchResponse, withEarliestOffsets } from '../../../cache-service/kafka/kafkajs-out-of-range.ts'
import type { PartitionData } from '../../../cache-service/kafka/fetched-partition.ts'

export type Joined = {
  readonly memberId: string
  readonly generation: number
  readonly isLeader: boolean
  readonly partitions: readonly number[]
}

/** Single requests of the Kafka protocol, without what a consumer makes of them. Refusals are the errors of KafkaJS. */
export type BrokerRequests = {
  readonly admin: Admin
  /** Nothing waits for records. */
  fetch(topic: string, partition: number, offset: number, maxBytes: number): Promise<PartitionData>
  /** One connection for each pending join: a broker reads no further request of a connection before it has answered. */
  join(groupId: string, topic: string, memberId: string | undefined, partitions: number): Promise<Joined>
  leave(groupId: string, memberId: string): Promise<void>
  heartbeat(groupId: string, memberId: string, generation: number): Promise<void>
  commit(group: CommitRequest): Promise<void>
  disconnect(): Promise<void>
}

type CommitRequest = {
  readonly groupId: string
  readonly topic: string
  readonly memberId: string
  readonly generation: number
  readonly partition: number
  readonly offset: number
}

type Broker = {
  fetch(request: object): Promise<{
    readonly responses: readonly { readonly partitions: readonly PartitionData[] }[]
  }>
  joinGroup(request: object): Promise<{
    readonly generationId: number
    readonly memberId: string
    readonly leaderId: string
    readonly members: readonly { readonly memberId: string }[]
  }>
  syncGroup(request: object): Promise<{ readonly memberAssignment: Buffer }>
  leaveGroup(request: object): Promise<unknown>
  heartbeat(request: object): Promise<unknown>
  offsetCommit(request: object): Promise<unknown>
}
type Cluster = {
  addTargetTopic(topic: string): Promise<void>
  findTopicPartitionMetadata(
    topic: string,
  ): readonly { readonly partitionId: number; readonly leader: number }[]
  findBroker(of: { readonly nodeId: number }): Promise<Broker>
  findGroupCoordinator(group: { readonly groupId: string }): Promise<Broker>
}

const READ_COMMITTED = 1
const SESSION_MS = 60_000
const PROTOCOL = 'assigner'

/** The cluster of the admin client that was created last. */
let created: Cluster | undefined
const copy = loadKafkaJs({
  'src/protocol/requests/fetch/v4/decodeMessages.js': () => readBytes,
  'src/protocol/requests/fetch/v0/response.js': fetchResponse,
  'src/broker/index.js': withEarliestOffsets,
  'src/admin/index.js': (original) => (options: { readonly cluster: Cluster }) => {
    created = options.cluster
    return (original as (options: object) => Admin)(options)
  },
})

export async function connectBrokerRequests(brokers: readonly string[]): Promise<BrokerRequests> {
  const admin = new copy.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING }).admin()
  const cluster = created
  if (cluster === undefined) throw new Error('KafkaJS has created no cluster')
  await admin.connect()
  const { MemberAssignment, MemberMetadata } = copy.AssignerProtocol
  const coordinatorOf = (groupId: string) => cluster.findGroupCoordinator({ groupId })

  async function leaderOf(topic: string, partition: number): Promise<Broker> {
    await cluster?.addTargetTopic(topic)
    const found = cluster
      ?.findTopicPartitionMetadata(topic)
      .find(({ partitionId }) => partitionId === partition)
    const leader = await cluster?.findBroker({ nodeId: found?.leader ?? 1 })
    if (leader === undefined) throw new Error(`partition ${partition} of ${topic} has no leader`)
    return leader
  }

  return {
    admin,
    disconnect: () => admin.disconnect(),

    async fetch(topic, partition, offset, maxBytes) {
      const leader = await leaderOf(topic, partition)
      const { responses } = await leader.fetch({
        isolationLevel: READ_COMMITTED,
        maxWaitTime: 0,
        minBytes: 0,
        maxBytes: 2 ** 20,
        topics: [{ topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes }] }],
      })
      const data = responses[0]?.partitions[0]
      if (data === undefined) throw new Error('the broker has answered without the partition')
      return data
    },

    async join(groupId, topic, memberId, partitions) {
      const coordinator = await coordinatorOf(groupId)
      const metadata = MemberMetadata.encode({ version: 0, topics: [topic], userData: Buffer.alloc(0) })
      const joined = await coordinator.joinGroup({
        groupId,
        sessionTimeout: SESSION_MS,
        rebalanceTimeout: SESSION_MS,
        memberId: memberId ?? '',
        groupProtocols: [{ name: PROTOCOL, metadata }],
      })
      const isLeader = joined.leaderId === joined.memberId
      const all = Array.from({ length: partitions }, (_, partition) => partition)
      const groupAssignment = joined.members.map((member, i) => ({
        memberId: member.memberId,
        memberAssignment: MemberAssignment.encode({
          version: 0,
          assignment: { [topic]: all.filter((partition) => partition % joined.members.length === i) },
          userData: Buffer.alloc(0),
        }),
      }))
      const { memberAssignment } = await coordinator.syncGroup({
        groupId,
        generationId: joined.generationId,
        memberId: joined.memberId,
        groupAssignment: isLeader ? groupAssignment : [],
      })
      return {
        memberId: joined.memberId,
        generation: joined.generationId,
        isLeader,
        partitions: MemberAssignment.decode(memberAssignment)?.assignment[topic] ?? [],
      }
    },

    async leave(groupId, memberId) {
      await (await coordinatorOf(groupId)).leaveGroup({ groupId, memberId })
    },

    async heartbeat(groupId, memberId, generation) {
      await (await coordinatorOf(groupId)).heartbeat({ groupId, memberId, groupGenerationId: generation })
    },

    async commit({ generation, groupId, memberId, offset, partition, topic }) {
      const coordinator = await coordinatorOf(groupId)
      const partitions = [{ partition, offset: String(offset) }]
      await coordinator.offsetCommit({
        groupId,
        memberId,
        groupGenerationId: generation,
        topics: [{ topic, partitions }],
      })
    },
  }
}
