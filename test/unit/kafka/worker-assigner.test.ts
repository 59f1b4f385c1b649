import kafkajs from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { readAssignment, readSubscription } from '../../../cache-service/kafka/member-bytes.ts'
import {
  isWorkerSubscription,
  WORKER_PROTOCOL,
  workerAssigner,
} from '../../../cache-service/kafka/worker-assigner.ts'

/** For a topic `t` with this number of partitions. */
function openAssigner(partitions: number) {
  const findTopicPartitionMetadata = () =>
    Array.from({ length: partitions }, (_, partitionId) => ({ partitionId }))
  type Config = Parameters<typeof workerAssigner>[0]
  return workerAssigner({ cluster: { findTopicPartitionMetadata } } as unknown as Config)
}

/** Member → its partitions of `t`. */
async function assign(partitions: number, members: Readonly<Record<string, Buffer>>) {
  const assignments = await openAssigner(partitions).assign({
    members: Object.entries(members).map(([memberId, memberMetadata]) => ({ memberId, memberMetadata })),
    topics: ['t'],
  })
  return Object.fromEntries(
    assignments.map(({ memberAssignment, memberId }) => [
      memberId,
      readAssignment(memberAssignment)?.get('t'),
    ]),
  )
}

const worker = (...topics: string[]) => openAssigner(1).protocol({ topics }).metadata
const earlier = (...topics: string[]) =>
  kafkajs.AssignerProtocol.MemberMetadata.encode({ version: 0, topics, userData: Buffer.alloc(0) })

describe('the assigner of the workers', () => {
  test('assigns the partitions to the members in turn, by member id', async () => {
    expect(await assign(5, { b: worker('t'), a: worker('t') })).toEqual({ a: [0, 2, 4], b: [1, 3] })
  })

  test('assigns nothing to a member that does not read the topic', async () => {
    expect(await assign(3, { a: worker('u'), b: worker('t'), c: earlier('v') })).toEqual({ b: [0, 1, 2] })
  })

  test('assigns partitions also to workers of an earlier release, and to a member that it cannot read', async () => {
    expect(await assign(3, { a: worker('t'), b: earlier('t'), c: Buffer.of(1) })).toEqual({
      a: [0],
      b: [1],
      c: [2],
    })
  })

  test('has the name of the assigner of earlier releases, and marks its member as a worker', () => {
    expect(WORKER_PROTOCOL).toBe('RoundRobinAssigner')
    const [ours, theirs] = [worker('t'), earlier('t')].map((bytes) => readSubscription(bytes))
    expect(ours !== undefined && isWorkerSubscription(ours)).toBe(true)
    expect(theirs !== undefined && isWorkerSubscription(theirs)).toBe(false)
  })
})
