import { afterAll, beforeAll, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { indexedDevices, startPollingReader } from '../support/oracle/polling-reader.ts'
import { consumesMore, valueOf } from '../support/processes/worker-facts.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { reserveOwnKafkaCluster, type OwnKafka } from '../support/servers/servers.ts'

const PARTITIONS = 6
const LOAD = { seed: 1, devices: 200, perSecond: 200, awkwardPercent: 5, invalidPercent: 1 }

let brokers: OwnKafka[]

beforeAll(async () => {
  brokers = await reserveOwnKafkaCluster(3, {
    jvmArgs: ['-Xmx256m'],
    // An acknowledged record is on two brokers or more.
    properties: { 'min.insync.replicas': '2' },
  })
  await Promise.all(brokers.map((broker) => broker.start()))
}, 240_000)
afterAll(() => Promise.all(brokers.map((broker) => broker.stop())))

test('a worker goes on while each of three brokers is restarted in turn, and then its coordinator and the controller are killed', async (context) => {
  const report = reportFault(context, 'K3')
  const addresses = { brokers: brokers.flatMap((broker) => broker.brokers) }
  const scenario = await openWorkerScenario(context, {
    kafka: addresses,
    partitions: PARTITIONS,
    replicationFactor: 3,
  })
  const { admin, oracle, redis, topic } = scenario
  const worker = await scenario.startWorker()
  const load = scenario.startLoad(LOAD)
  await worker.ready(120_000)
  await consumesMore(worker, 500)
  const reader = startPollingReader(redis, indexedDevices(redis))
  context.onTestFinished(async () => void (await reader.stop()))

  const allInSync = () =>
    patiently(
      async () => {
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
        const replicas = topics.flatMap(({ partitions }) => partitions.map(({ isr }) => isr.length))
        expect(replicas).toEqual(Array.from({ length: PARTITIONS }, () => 3))
      },
      { timeoutMs: 120_000 },
    )
  const goesOnWithout = async (broker: OwnKafka, signal: 'SIGTERM' | 'SIGKILL') => {
    await allInSync()
    await broker.kill(signal)
    const downAt = performance.now()
    await consumesMore(worker, 300)
    const ms = Math.round(performance.now() - downAt)
    expect(worker.isRunning).toBe(true)
    await broker.start()
    return ms
  }

  const waits: number[] = []
  for (const broker of brokers) waits.push(await goesOnWithout(broker, 'SIGTERM'))
  report.saw(`300 more records ${waits.join(', ')} ms after each SIGTERM`)

  const nodeOf = (nodeId: number | null | undefined) => {
    const broker = brokers[(nodeId ?? 0) - 1]
    if (broker === undefined) throw new Error(`no broker ${nodeId}`)
    return broker
  }
  const coordinator = await patiently(async () => {
    // The coordinator of a group leads the partition of its offsets, and there is only one.
    const { topics } = await admin.fetchTopicMetadata({ topics: ['__consumer_offsets'] })
    return nodeOf(topics[0]?.partitions[0]?.leader)
  })
  report.saw(`${await goesOnWithout(coordinator, 'SIGKILL')} ms after SIGKILL of the coordinator`)
  const controller = await patiently(async () => nodeOf((await admin.describeCluster()).controller))
  report.saw(`${await goesOnWithout(controller, 'SIGKILL')} ms after SIGKILL of the controller`)

  const recovered = report.startRecovery()
  await worker.ready(120_000)
  recovered()
  await load.stop()
  await oracle.assertCaughtUp({ consumed: scenario.consumed, redelivered: true }, 120_000)
  expect(await reader.stop()).toEqual([])
  expect(await valueOf(worker, 'cache_loss_total')).toBe(0)
  expect(await valueOf(worker, 'offset_out_of_range_total')).toBe(0)
  report.saw(`${await valueOf(worker, 'consumer_restarts_total')} new consumers`)
  expect(await worker.stop()).toBe(0)
}, 600_000)
