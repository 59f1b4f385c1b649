import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { openWorkerScenario, type WorkerScenario } from '../support/processes/worker-scenario.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'
import { update } from '../support/records/tagged-records.ts'
import { startKafkaBehind } from '../support/servers/kafka-behind-proxy.ts'
import { API_KEYS, startKafkaProxy, type KafkaProxy } from '../support/servers/kafka-proxy.ts'
import type { OwnKafka } from '../support/servers/servers.ts'

const COORDINATOR_LOAD_IN_PROGRESS = 14

let kafka: OwnKafka
let proxy: KafkaProxy
let stop: () => Promise<void>

beforeAll(async () => {
  ;({ kafka, proxy, stop } = await startKafkaBehind(startKafkaProxy))
})
afterAll(() => stop?.())

const forward = () => 'forward' as const
const brokersOf = (own: OwnKafka) => ({ brokers: own.internalBrokers })

/** The test's own clients bypass the proxy, which only the workers use. */
async function openScenario(
  context: Parameters<typeof openWorkerScenario>[0],
  options: Parameters<typeof openWorkerScenario>[1] = {},
): Promise<WorkerScenario> {
  proxy.use(forward)
  return await openWorkerScenario(context, {
    ...options,
    kafka: brokersOf(kafka),
    env: { KAFKA_BOOTSTRAP_SERVERS: kafka.brokers.join(','), ...options.env },
  })
}

const backoffsOf = (worker: WorkerProcess) =>
  worker
    .logLines()
    .filter(({ reason }) => reason === 'stalled')
    .map(({ delayMs }) => Number(delayMs))

describe('a worker', () => {
  test('reads an idle partition again although Kafka refuses its commits meanwhile', async (context) => {
    const scenario = await openScenario(context, { partitions: 1 })
    await scenario.send(Array.from({ length: 100 }, (_, i) => update({ deviceId: `d-${i}` })))
    const worker = await scenario.startWorker()
    await worker.ready()
    await patiently(async () => expect(await scenario.redis.scard('devices')).toBe(100))
    const committed = async () => {
      const [found] = await scenario.admin.fetchOffsets({ groupId: scenario.group, topics: [scenario.topic] })
      return Number(found?.partitions[0]?.offset)
    }
    await patiently(async () => expect(await committed()).toBe(100))
    const before = proxy.seen.get(API_KEYS.offsetCommit) ?? 0
    proxy.use((apiKey) =>
      apiKey === API_KEYS.offsetCommit ? { errorCode: COORDINATOR_LOAD_IN_PROGRESS } : 'forward',
    )
    await scenario.redis.flushdb()
    await patiently(async () => expect(await scenario.redis.scard('devices')).toBe(100))
    await scenario.send([update({ deviceId: 'd-100' })])
    await patiently(async () => expect(proxy.seen.get(API_KEYS.offsetCommit)).toBeGreaterThan(before))
    proxy.use(forward)
    await patiently(async () => expect(await committed()).toBe(101))
    await worker.ready()
    expect(await scenario.redis.scard('devices')).toBe(101)
  })

  test('waits longer after each consumer that joined the group without getting anywhere', async (context) => {
    const scenario = await openScenario(context, { partitions: 1, env: { KAFKA_STALL_TIMEOUT_S: '1' } })
    const worker = await scenario.startWorker()
    await worker.ready()
    proxy.use((apiKey) => (apiKey === API_KEYS.fetch ? 'swallow' : 'forward'))
    // With full jitter a delay is between nothing and 100 ms × 2 ^ (failures - 1).
    await patiently(() => expect(Math.max(...backoffsOf(worker))).toBeGreaterThan(400), {
      timeoutMs: 90_000,
    })
    proxy.use(forward)
    await scenario.send([update({ deviceId: 'd' })])
    await patiently(async () => expect(await worker.consumed()).toBe(1))
  }, 150_000)
})
