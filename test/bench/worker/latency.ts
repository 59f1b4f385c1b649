import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createSimulatedProducer } from '../../simulator/produce.ts'
import type { ServiceProgram } from '../../support/processes/service-process.ts'
import { createTopic, uniqueName } from '../../support/test-scope.ts'
import { cpuUs, type Figures } from './figures.ts'
import { startBenchWorkers, type BenchServers } from './servers.ts'
import { record } from './workloads.ts'

const DEVICES = 1_000
/** A worker that has just started is slower, and so are a topic that has just been created and a broker: its code is compiled meanwhile. */
export const WARM_UP_MS = 20_000
const TICK_MS = 10
/** Probes are few, and polled together, so that looking for them costs little. */
const PROBE_INTERVAL_MS = 50
const POLL_INTERVAL_MS = 1
const POLLED_PROBES = 10

type Probe = { readonly key: string; readonly sentMs: number; readonly counts: boolean }

function createProbes(reader: Redis) {
  const pending: Probe[] = []
  const latencies: number[] = []
  const finishing = new AbortController()
  const polling = (async () => {
    while (!finishing.signal.aborted || pending.length > 0) {
      const polled = pending.slice(0, POLLED_PROBES)
      const found = await Promise.all(polled.map(({ key }) => reader.exists(key)))
      for (const [i, probe] of polled.entries()) {
        if (found[i] === 0) continue
        pending.splice(pending.indexOf(probe), 1)
        if (probe.counts) latencies.push(performance.now() - probe.sentMs)
      }
      await sleep(POLL_INTERVAL_MS)
    }
  })()
  return {
    /** Call just before the record is sent. */
    expect(deviceId: string, counts: boolean): void {
      pending.push({ key: `device:${deviceId}:metadata`, sentMs: performance.now(), counts })
    },
    async finish(): Promise<readonly number[]> {
      finishing.abort()
      await polling
      return latencies
    },
  }
}

/** The time from producing a record until a reader sees it in Redis, at a steady load, and what that load costs. */
export async function measureLatency(
  servers: BenchServers,
  load: { readonly perSecond: number; readonly seconds: number; readonly partitions: number },
  env: Readonly<Record<string, string>>,
  program?: ServiceProgram,
): Promise<Figures> {
  const { kafka, redis } = servers
  const topic = uniqueName('latency')
  await createTopic(kafka.brokers, topic, { partitions: load.partitions })
  const producer = createSimulatedProducer({ brokers: kafka.brokers, topic })
  await producer.connect()
  const reader = new Redis(redis.url)
  const [worker] = await startBenchWorkers(servers, topic, env, program, 1)
  if (worker === undefined) throw new Error('no worker was started')
  await worker.ready()
  const probes = createProbes(reader)
  const sending: Promise<unknown>[] = []
  const processes = { worker: worker.pid, Redis: redis.pid, Kafka: kafka.pid }
  const cpuOfAll = () => Object.entries(processes).map(([name, pid]) => [name, cpuUs(pid)] as const)
  const startedMs = performance.now()
  let before: { readonly cpu: ReadonlyMap<string, number>; readonly sent: number } | undefined
  let sent = 0
  let probedMs = 0
  for (let elapsedMs = 0; elapsedMs < load.seconds * 1000; elapsedMs = performance.now() - startedMs) {
    const isWarm = elapsedMs > WARM_UP_MS
    if (isWarm) before ??= { cpu: new Map(cpuOfAll()), sent }
    const due = Math.floor((elapsedMs * load.perSecond) / 1000)
    const records = Array.from({ length: due - sent }, (_, i) =>
      record(sent + i, `efento-${(sent + i) % DEVICES}`),
    )
    sent = due
    if (elapsedMs - probedMs >= PROBE_INTERVAL_MS) {
      probedMs = elapsedMs
      const probeId = `probe-${sent}`
      records.push(record(sent, probeId))
      probes.expect(probeId, isWarm)
    }
    if (records.length > 0) sending.push(producer.send(records))
    await sleep(TICK_MS)
  }
  const after = cpuOfAll()
  await Promise.all(sending)
  const latencies = await probes.finish()
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
