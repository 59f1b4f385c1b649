import kafkajs, { type Producer } from 'kafkajs'
import type { PartitionData } from '../../../cache-service/kafka/fetched-partition.ts'
import { committedOffsets } from '../../../cache-service/kafka/partition-offsets.ts'
import { Scheduler } from '../../simulation/scheduler.ts'
import { partitionData } from '../../simulation/servers/simulated-consumer.ts'
import { SimulatedKafka, type RecordToAppend } from '../../simulation/servers/simulated-kafka.ts'
import { createSeededRandom } from '../../simulator/seeded-random.ts'
import { patiently } from '../../support/eventually.ts'
import {
  connectBrokerRequests,
  type BrokerRequests,
  type Joined,
} from '../../support/servers/broker-requests.ts'
import { createTopic, uniqueName } from '../../support/test-scope.ts'

export const PARTITIONS = 2
export const MEMBERS = ['a', 'b', 'c'] as const
export type MemberName = (typeof MEMBERS)[number]

export type Bounds = { readonly earliest: number; readonly end: number }
/** One topic and one consumer group. A refusal is an error with the `type` of the protocol's error code. */
export type Server = {
  produce(partition: number, records: readonly RecordToAppend[]): Promise<void>
  transact(partition: number, records: readonly RecordToAppend[], isCommitted: boolean): Promise<void>
  deleteBefore(partition: number, offset: number): Promise<void>
  bounds(): Promise<readonly Bounds[]>
  fetch(partition: number, offset: number, maxBytes: number): Promise<PartitionData>
  join(memberId: string | undefined, of: MemberName): Promise<Joined>
  leave(memberId: string): Promise<void>
  heartbeat(memberId: string, generation: number): Promise<void>
  commit(memberId: string, generation: number, partition: number, offset: number): Promise<void>
  committed(): Promise<ReadonlyMap<number, number>>
  group(): Promise<{ readonly members: number; readonly isRebalancing: boolean }>
}

export function simulatedServer(): Server {
  const random = createSeededRandom(1)
  const kafka = new SimulatedKafka(PARTITIONS, Infinity, new Scheduler(random, 0), random)
  const logOf = (of: number) => {
    const log = kafka.partitions[of]
    if (log === undefined) throw new Error(`there is no partition ${of}`)
    return log
  }
  return {
    produce: async (of, batch) => void logOf(of).append(batch),
    transact: async (of, batch, isCommitted) => void logOf(of).appendTransaction(batch, isCommitted),
    deleteBefore: async (of, offset) => logOf(of).deleteBefore(offset),
    bounds: async () => kafka.partitions.map(({ earliest, end }) => ({ earliest, end })),
    fetch: async (of, offset, maxBytes) => {
      const log = logOf(of)
      return partitionData(of, log.fetch(offset, maxBytes), log.earliest)
    },
    join: (memberId) => kafka.join(memberId),
    leave: async (memberId) => kafka.leave(memberId),
    heartbeat: async (memberId, generation) => kafka.heartbeat(memberId, generation),
    commit: async (memberId, generation, of, offset) =>
      kafka.commit(memberId, generation, [{ partition: of, offset, life: 0 }]),
    committed: async () => new Map([...kafka.committed].filter(([, offset]) => offset >= 0)),
    group: async () => ({ members: kafka.members, isRebalancing: kafka.isRebalancing }),
  }
}

/** Of one broker, for one list of requests after the other. */
export type Clients = {
  readonly brokers: readonly string[]
  readonly producer: Producer
  readonly transactional: Producer
  readonly broker: BrokerRequests
  disconnect(): Promise<void>
}

export async function connectClients(brokers: readonly string[]): Promise<Clients> {
  const client = new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING })
  const producer = client.producer()
  const transactional = client.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    transactionalId: uniqueName('transaction'),
  })
  const broker = await connectBrokerRequests(brokers)
  await Promise.all([producer.connect(), transactional.connect()])
  // The first request makes a new broker create its coordinators.
  await patiently(() => broker.admin.fetchOffsets({ groupId: uniqueName('group') }))
  return {
    ...{ brokers, producer, transactional, broker },
    async disconnect() {
      await Promise.all([producer, transactional, broker].map((one) => one.disconnect()))
    },
  }
}

/** A topic and a group of their own. */
export async function realServer({
  broker,
  brokers,
  producer,
  transactional,
}: Clients): Promise<Server & { disconnect(): Promise<void> }> {
  /** A join that is never answered blocks its connection. */
  const connections = new Map<MemberName, BrokerRequests>()
  const [topic, groupId] = [uniqueName('simulated'), uniqueName('group')]
  await createTopic(brokers, topic, { partitions: PARTITIONS })
  const { admin } = broker
  // KafkaJS deletes records only of topics whose leaders it knows.
  await admin.fetchTopicOffsets(topic)
  const messages = (of: number, batch: readonly RecordToAppend[]) =>
    batch.map(({ key, timestampMs, value }) => ({
      partition: of,
      key,
      value,
      timestamp: String(timestampMs),
    }))
  return {
    async disconnect() {
      await Promise.all([...connections.values()].map((connection) => connection.disconnect()))
    },
    produce: async (of, batch) => void (await producer.send({ topic, messages: messages(of, batch) })),
    async transact(of, batch, isCommitted) {
      const transaction = await transactional.transaction()
      await transaction.send({ topic, messages: messages(of, batch) })
      await (isCommitted ? transaction.commit() : transaction.abort())
    },
    deleteBefore: (of, offset) =>
      admin.deleteTopicRecords({ topic, partitions: [{ partition: of, offset: String(offset) }] }),
    async bounds() {
      const found = await admin.fetchTopicOffsets(topic)
      return found
        .toSorted((a, b) => a.partition - b.partition)
        .map(({ high, low }) => ({ earliest: Number(low), end: Number(high) }))
    },
    fetch: (of, offset, maxBytes) => broker.fetch(topic, of, offset, maxBytes),
    async join(memberId, of) {
      const connection = connections.get(of) ?? (await connectBrokerRequests(brokers))
      connections.set(of, connection)
      return await connection.join(groupId, topic, memberId, PARTITIONS)
    },
    leave: (memberId) => broker.leave(groupId, memberId),
    heartbeat: (memberId, generation) => broker.heartbeat(groupId, memberId, generation),
    commit: (memberId, generation, of, offset) =>
      broker.commit({ groupId, topic, memberId, generation, partition: of, offset }),
    async committed() {
      const [found] = await admin.fetchOffsets({ groupId, topics: [topic] })
      return committedOffsets(found?.partitions ?? [])
    },
    async group() {
      const [found] = (await admin.describeGroups([groupId])).groups
      return {
        members: found?.members.length ?? 0,
        isRebalancing: found?.state.endsWith('Rebalance') === true,
      }
    },
  }
}
