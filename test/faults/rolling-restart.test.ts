import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import {
  consumesMore,
  sumOf,
  survivesWithClients,
  type RunningScenario,
} from '../support/faults/scenario-with-clients.ts'
import { openWorkerScenario, type WorkerScenario } from '../support/processes/worker-scenario.ts'
import { reserveOwnKafkaCluster, type OwnKafka } from '../support/servers/servers.ts'

const PARTITIONS = 6
const BROKERS = 3
const LOAD = { seed: 1, devices: 200, perSecond: 200, awkwardPercent: 5, invalidPercent: 1 }
const OFFSETS_TOPIC = '__consumer_offsets'

let brokers: OwnKafka[]

beforeAll(async () => {
  brokers = await reserveOwnKafkaCluster(BROKERS, {
    security: 'sasl_tls',
    jvmArgs: ['-Xmx256m'],
    // An acknowledged record is on two brokers or more.
    properties: { 'min.insync.replicas': '2' },
  })
  await Promise.all(brokers.map((broker) => broker.start()))
}, 240_000)
afterAll(() => Promise.all(brokers.map((broker) => broker.stop())))

const DISTURBANCES: Readonly<Record<string, (running: RunningScenario) => Promise<void>>> = {
  async 'each broker is restarted in turn'({ report, scenario }) {
    const waits: number[] = []
    for (const broker of brokers) waits.push(await goesOnWithout(scenario, broker, 'SIGTERM'))
    report.saw(`300 more records ${waits.join(', ')} ms after each SIGTERM`)
  },
  async 'all leaders and the coordinator move while every broker runs'({ scenario }) {
    await allInSync(scenario)
    const moved = await moveLeaders(scenario)
    await consumesMore(scenario, 300)
    await replicateOnAll(scenario, moved)
  },
  async 'the coordinator is killed, and then the controller'({ report, scenario }) {
    const { admin } = scenario
    const coordinator = await patiently(async () => {
      // The coordinator of a group leads the partition of its offsets, and there is only one.
      const { topics } = await admin.fetchTopicMetadata({ topics: [OFFSETS_TOPIC] })
      return brokerOf(topics[0]?.partitions[0]?.leader)
    })
    const coordinatorMs = await goesOnWithout(scenario, coordinator, 'SIGKILL')
    const controller = await patiently(async () => brokerOf((await admin.describeCluster()).controller))
    const controllerMs = await goesOnWithout(scenario, controller, 'SIGKILL')
    report.saw(
      `300 more records ${coordinatorMs} ms after SIGKILL of the coordinator, ${controllerMs} ms after that of the controller`,
    )
  },
}

describe('with three brokers that require SASL and TLS, workers and the clients of an API lose nothing', () => {
  test.for(Object.entries(DISTURBANCES))('when %s', async ([name, disturb], context) => {
    const [alice = '', password = ''] = Object.entries(brokers[0]?.users ?? {})[0] ?? []
    const scenario = await openWorkerScenario(context, {
      // The test itself uses the internal listeners, without a login.
      kafka: { brokers: brokers.flatMap(({ internalBrokers }) => internalBrokers) },
      partitions: PARTITIONS,
      replicationFactor: BROKERS,
      ownRedis: {},
      env: {
        KAFKA_BOOTSTRAP_SERVERS: brokers.flatMap((broker) => broker.brokers).join(','),
        KAFKA_SSL: 'true',
        KAFKA_SSL_CA_FILE: brokers[0]?.tls?.caPath ?? '',
        KAFKA_SASL_MECHANISM: 'plain',
        KAFKA_SASL_USERNAME: alice,
        KAFKA_SASL_PASSWORD: password,
      },
    })
    const { report } = await survivesWithClients(context, {
      id: 'K3',
      name: `Three brokers with SASL and TLS: ${name}`,
      scenario,
      load: LOAD,
      publishTo: { isCluster: false, server: async () => scenario.redisServer },
      mayGoBack: false,
      disturb,
    })
    expect(await sumOf(scenario, 'cache_loss_total')).toBe(0)
    expect(await sumOf(scenario, 'offset_out_of_range_total')).toBe(0)
    report.saw(`${await sumOf(scenario, 'consumer_restarts_total')} new consumers`)
  })
})

function brokerOf(nodeId: number | null | undefined): OwnKafka {
  const broker = brokers[(nodeId ?? 0) - 1]
  if (broker === undefined) throw new Error(`no broker ${nodeId}`)
  return broker
}

async function allInSync({ admin, topic }: WorkerScenario): Promise<void> {
  await patiently(
    async () => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic, OFFSETS_TOPIC] })
      for (const { isr } of topics.flatMap(({ partitions }) => partitions)) expect(isr).toHaveLength(BROKERS)
    },
    { timeoutMs: 120_000 },
  )
}

/** @returns the milliseconds until 300 more records were consumed. */
async function goesOnWithout(
  scenario: WorkerScenario,
  broker: OwnKafka,
  signal: 'SIGTERM' | 'SIGKILL',
): Promise<number> {
  await allInSync(scenario)
  await broker.kill(signal)
  const downAt = performance.now()
  await consumesMore(scenario, 300)
  const ms = Math.round(performance.now() - downAt)
  await broker.start()
  return ms
}

type Assignment = { topic: string; partitionAssignment: { partition: number; replicas: number[] }[] }

/** Takes every partition away from its leader. @returns the assignment with which the leaders have moved. */
async function moveLeaders(scenario: WorkerScenario): Promise<Assignment[]> {
  const { admin, topic } = scenario
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic, OFFSETS_TOPIC] })
  const moved = topics.map(({ name, partitions }) => ({
    topic: name,
    partitionAssignment: partitions.map(({ leader, partitionId, replicas }) => ({
      partition: partitionId,
      replicas: replicas.filter((replica) => replica !== leader),
    })),
  }))
  await admin.alterPartitionReassignments({ topics: moved })
  await patiently(async () => {
    const now = await admin.fetchTopicMetadata({ topics: [topic, OFFSETS_TOPIC] })
    for (const { name, partitions } of now.topics) {
      const of = moved.find((one) => one.topic === name)?.partitionAssignment ?? []
      for (const { leader, partitionId } of partitions)
        expect(of.find(({ partition }) => partition === partitionId)?.replicas).toContain(leader)
    }
  })
  return moved
}

async function replicateOnAll(scenario: WorkerScenario, moved: readonly Assignment[]): Promise<void> {
  const everywhere = moved.map(({ partitionAssignment, topic }) => ({
    topic,
    partitionAssignment: partitionAssignment.map(({ partition, replicas }) => ({
      partition,
      // The first is the preferred leader, which stays.
      replicas: [...new Set([...replicas, ...brokers.map((_, at) => at + 1)])],
    })),
  }))
  await scenario.admin.alterPartitionReassignments({ topics: everywhere })
  await allInSync(scenario)
}
