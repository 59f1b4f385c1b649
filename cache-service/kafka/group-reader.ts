import type { Admin, Kafka } from 'kafkajs'
import type { ConsumerGroup, GroupMember } from '../core/workers/consumer-group.ts'
import { createAdminConnection } from './admin-connection.ts'
import type { NewerMember } from './consumer-group-describe.ts'
import { describeConsumerGroup } from './kafkajs-requests.ts'
import { readAssignment, readSubscription } from './member-bytes.ts'
import { isWorkerSubscription, WORKER_PROTOCOL } from './worker-assigner.ts'

/** Reads who is in the consumer group. Connects on first use, reconnects after a failure. */
export type GroupReader = {
  /** Rejects with a ServiceError. */
  read(): Promise<ConsumerGroup>
  disconnect(): Promise<void>
}

type ClassicGroup = Awaited<ReturnType<Admin['describeGroups']>>['groups'][number]

export function createGroupReader(kafka: Kafka, groupId: string): GroupReader {
  const { request, disconnect } = createAdminConnection(kafka)
  return { read: () => request(undefined, (admin) => readGroup(admin, groupId)), disconnect }
}

/** A group that does not exist has the state `Dead`. */
export async function readGroup(admin: Admin, groupId: string): Promise<ConsumerGroup> {
  const [classic] = (await admin.describeGroups([groupId])).groups
  if (classic !== undefined && classic.members.length > 0) return classicGroup(classic)
  const newer = await describeConsumerGroup(admin, groupId)
  if (newer !== undefined)
    return { state: newer.state, isSettled: true, members: newer.members.map(newerMember) }
  return { state: classic?.state ?? 'Dead', isSettled: true, members: [] }
}

/** Until a group has agreed on a protocol, its members say nothing. */
function classicGroup({ members, protocol, protocolType, state }: ClassicGroup): ConsumerGroup {
  const isOfWorkers = protocolType === 'consumer' && (protocol === WORKER_PROTOCOL || protocol === '')
  return {
    state,
    isSettled: state === 'Stable',
    members: members.map(({ clientHost, clientId, memberAssignment, memberMetadata }): GroupMember => {
      const subscription = readSubscription(memberMetadata)
      const isWorker = subscription !== undefined && isWorkerSubscription(subscription)
      return {
        clientId,
        host: hostOf(clientHost),
        topics: subscription?.topics,
        partitions: readAssignment(memberAssignment) ?? new Map(),
        kind: !isOfWorkers ? 'other_program' : isWorker ? 'worker' : 'unidentified',
      }
    }),
  }
}

/** Such a group does not show what its members say about themselves. Workers use the classic protocol. */
function newerMember({
  assignment,
  clientHost,
  clientId,
  isOfNewerProtocol,
  topics,
}: NewerMember): GroupMember {
  return {
    clientId,
    host: hostOf(clientHost),
    // A subscription by a regular expression names no topics.
    topics: topics.length === 0 ? undefined : topics,
    partitions: assignment,
    kind: isOfNewerProtocol === true ? 'other_program' : 'unidentified',
  }
}

/** Kafka writes `/10.0.0.7`, or `name/10.0.0.7`. */
function hostOf(clientHost: string): string {
  return clientHost.replace(/^\//, '')
}
