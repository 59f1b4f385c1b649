import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createSimulatedProducer } from '../../simulator/produce.ts'
import { eventually } from '../../support/eventually.ts'
import { startWorker, type WorkerProgram } from '../../support/processes/worker-process.ts'
import { createTopic, uniqueName } from '../../support/test-scope.ts'
import { cpuUs, type Figures } from './figures.ts'
import type { BenchServers } from './servers.ts'
import { record } from './workloads.ts'

const DEVICES = 1_000
const WARM_UP_MS = 3_000
const TICK_MS = 10

/**
 * The time from producing a record until a reader sees it in Redis, at a steady load, and what that load costs. One probe
 * record is sent with each tick of 10 ms.
 */
export async function measureLatency(
  { errorTopic, kafka, redis }: BenchServers,
  load: { readonly perSecond: number; readonly seconds: number; readonly partitions: number },
  env: Readonly<Record<string, string>>,
  program?: WorkerProgram,
): Promise<Figures> {
  const topic = uniqueName('latency')
  await createTopic(kafka.brokers, topic, { partitions: load.partitions })
  const producer = createSimulatedProducer({ brokers: kafka.brokers, topic })
  await producer.connect()
  const reader = new Redis(redis.url)
  await reader.flushall()
  const worker = await startWorker(
    {
      KAFKA_BOOTSTRAP_SERVERS: kafka.brokers.join(),
      KAFKA_VALIDATED_DATA_TOPIC: topic,
      KAFKA_ERROR_TOPIC: errorTopic,
      KAFKA_CONSUMER_GROUP_ID: uniqueName('bench'),
      REDIS_URL: redis.url,
      ...env,
    },
    program,
  )
  await worker.ready()
  const latencies: number[] = []
  const pending: Promise<unknown>[] = []
  const processes = { worker: worker.pid, Redis: redis.pid, Kafka: kafka.pid }
  const cpuOfAll = () => Object.entries(processes).map(([name, pid]) => [name, cpuUs(pid)] as const)
  const startedMs = performance.now()
  let before: { readonly cpu: ReadonlyMap<string, number>; readonly sent: number } | undefined
  let sent = 0
  for (let elapsedMs = 0; elapsedMs < load.seconds * 1000; elapsedMs = performance.now() - startedMs) {
    const isWarm = elapsedMs > WARM_UP_MS
    if (isWarm) before ??= { cpu: new Map(cpuOfAll()), sent }
    const due = Math.floor((elapsedMs * load.perSecond) / 1000)
    if (due > sent) {
      const first = sent
      const records = Array.from({ length: due - first }, (_, i) =>
        record(first + i, `efento-${(first + i) % DEVICES}`),
      )
      sent = due
      const probeId = `probe-${sent}`
      const producedMs = performance.now()
      pending.push(producer.send([...records, record(sent, probeId)]))
      const isThere = async () => {
        if ((await reader.exists(`device:${probeId}:metadata`)) === 0) throw new Error('not there yet')
      }
      const seen = eventually(isThere, { everyMs: 1, timeoutMs: 60_000 })
      pending.push(seen.then(() => isWarm && latencies.push(performance.now() - producedMs)))
    }
    await sleep(TICK_MS)
  }
  const after = cpuOfAll()
  await Promise.all(pending)
  reader.disconnect()
  await producer.disconnect()
  await worker.stop()
  const sorted = latencies.toSorted((a, b) => a - b)
  const quantile = (q: number) => sorted[Math.floor(sorted.length * q)] ?? 0
  const costs = after.map(([name, us]) => [
    `${name}, µs/record`,
    (us - (before?.cpu.get(name) ?? 0)) / (sent - (before?.sent ?? 0)),
  ])
  return {
    'median, ms': quantile(0.5),
    'p99, ms': quantile(0.99),
    ...Object.fromEntries(costs),
  }
}
