import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { createSimulatedProducer } from '../../simulator/produce.ts'
import type { ServiceProgram } from '../../support/processes/service-process.ts'
import { createTopic, uniqueName } from '../../support/test-scope.ts'
import { cpuUs, residentMiB, type Figures } from './figures.ts'
import { startBenchWorkers, type BenchServers } from './servers.ts'
import type { Workload } from './workloads.ts'

const RECORDS_PER_SEND = 20_000
const SAMPLE_INTERVAL_MS = 100
const LONGEST_RUN_MS = 600_000

/** Writes the backlog. @returns its topic. */
export async function writeBacklog(
  { kafka }: BenchServers,
  workload: Workload,
  records: number,
  note: (text: string) => void,
): Promise<string> {
  const topic = uniqueName('backlog')
  await createTopic(kafka.brokers, topic, { partitions: workload.partitions })
  const producer = createSimulatedProducer({ brokers: kafka.brokers, topic })
  await producer.connect()
  for (let from = 0; from < records; from += RECORDS_PER_SEND) {
    const count = Math.min(RECORDS_PER_SEND, records - from)
    await producer.send(Array.from({ length: count }, (_, i) => workload.record(from + i)))
    note(`${workload.name}: ${from + count} of ${records} records written`)
  }
  await producer.disconnect()
  return topic
}

type Sample = { atMs: number; consumed: number; workerUs: number; redisUs: number; kafkaUs: number }

/**
 * Starts workers on the backlog with an empty Redis. The rate and the processor times are those between two scrapes of
 * their metrics: the first after `warmUp` records, and the last before the end of the backlog.
 */
export async function readBacklog(
  servers: BenchServers,
  backlog: {
    readonly topic: string
    readonly records: number
    readonly warmUp: number
    readonly workers: number
  },
  env: Readonly<Record<string, string>>,
  program?: ServiceProgram,
): Promise<Figures> {
  const { kafka, redis } = servers
  const workers = await startBenchWorkers(servers, backlog.topic, env, program, backlog.workers)
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  let first: Sample | undefined
  let last: Sample | undefined
  const deadline = performance.now() + LONGEST_RUN_MS
  for (;;) {
    const consumed = sum(await Promise.all(workers.map((worker) => worker.consumed().catch(() => 0))))
    if (consumed >= backlog.records) break
    const ended = workers.find(({ isRunning }) => !isRunning)
    if (ended !== undefined || performance.now() > deadline)
      throw new Error(`a worker stopped at ${consumed} of ${backlog.records}: ${lastOutput(ended)}`)
    if (consumed >= backlog.warmUp) {
      last = {
        atMs: performance.now(),
        consumed,
        workerUs: sum(workers.map(({ pid }) => cpuUs(pid))),
        redisUs: cpuUs(redis.pid),
        kafkaUs: cpuUs(kafka.pid),
      }
      first ??= last
    }
    await sleep(SAMPLE_INTERVAL_MS)
  }
  const peak = Math.max(...workers.map(({ pid }) => residentMiB(pid, 'peak')))
  for (const worker of workers) {
    const exit = await worker.stop()
    if (exit !== 0) throw new Error(`a worker ended with ${exit}: ${lastOutput(worker)}`)
  }
  if (first === undefined || last === undefined || first === last)
    throw new Error('the backlog is too short to be measured: raise --records or lower --warm-up')
  const records = last.consumed - first.consumed
  return {
    'records/s': (records * 1000) / (last.atMs - first.atMs),
    'worker, µs/record': (last.workerUs - first.workerUs) / records,
    'Redis, µs/record': (last.redisUs - first.redisUs) / records,
    'Kafka, µs/record': (last.kafkaUs - first.kafkaUs) / records,
    'peak MiB': peak,
  }
}

/** @param parses whether the values are parsed as JSON. */
export async function readCeiling(
  { kafka }: BenchServers,
  topic: string,
  records: number,
  parses: boolean,
): Promise<Figures> {
  const program = join(import.meta.dirname, 'ceiling-consumer.ts')
  const args = [kafka.brokers.join(), topic, uniqueName('ceiling'), String(records), parses ? 'json' : '']
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args])
  const { cpuUs: perRecord, rate }: { cpuUs: number; rate: number } = JSON.parse(stdout)
  return { 'records/s': rate, 'µs/record': perRecord }
}

function lastOutput(worker: { readonly output: string } | undefined): string {
  return worker?.output.slice(-2000) ?? ''
}
