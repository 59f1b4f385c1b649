import type { PartitionAssigner } from 'kafkajs'
import { kafkajs } from './kafkajs.ts'
import { readSubscription, type Subscription } from './member-bytes.ts'

/** The name of KafkaJS's own assigner: a group may hold workers of a release that used that one. */
export const WORKER_PROTOCOL = 'RoundRobinAssigner'

/** In the user data of its subscription, a worker says what it is. */
const WORKER_MARK = 'iot-device-cache/worker'

export function isWorkerSubscription({ userData }: Subscription): boolean {
  return userData?.toString('utf8') === WORKER_MARK
}

/**
 * Assigns partitions to members in turn, as KafkaJS's assigner does, but each only to a member that has subscribed to its
 * topic: KafkaJS gives partitions also to members of other topics, which never read them.
 */
export const workerAssigner: PartitionAssigner = ({ cluster }) => ({
  name: WORKER_PROTOCOL,
  version: 0,

  protocol: ({ topics }) => ({
    name: WORKER_PROTOCOL,
    metadata: kafkajs.AssignerProtocol.MemberMetadata.encode({
      version: 0,
      topics,
      userData: Buffer.from(WORKER_MARK),
    }),
  }),

  async assign({ members, topics }) {
    const subscribers = members
      .map(({ memberId, memberMetadata }) => ({
        memberId,
        topics: readSubscription(memberMetadata)?.topics ?? topics,
      }))
      .toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1))
    const assignments = new Map<string, Record<string, number[]>>()
    for (const topic of topics) {
      const owners = subscribers.filter((member) => member.topics.includes(topic))
      for (const [i, { partitionId }] of cluster.findTopicPartitionMetadata(topic).entries()) {
        const owner = owners[i % owners.length]
        if (owner === undefined) continue
        const assignment = assignments.get(owner.memberId) ?? {}
        ;(assignment[topic] ??= []).push(partitionId)
        assignments.set(owner.memberId, assignment)
      }
    }
    return [...assignments].map(([memberId, assignment]) => ({
      memberId,
      memberAssignment: kafkajs.AssignerProtocol.MemberAssignment.encode({
        version: 0,
        assignment,
        userData: Buffer.alloc(0),
      }),
    }))
  },
})
