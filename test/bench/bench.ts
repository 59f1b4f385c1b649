import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Command } from 'commander'
import { Redis } from 'ioredis'
import { createSimulatedProducer, type ProducedRecord } from '../simulator/produce.ts'
import { eventually } from '../support/eventually.ts'
import { startOwnKafka, startOwnRedis } from '../support/servers/servers.ts'
import { createTopic, uniqueName } from '../support/test-scope.ts'
import { startWorker } from '../support/processes/worker-process.ts'

/**
 * Measures how fast the worker reads a backlog, next to its ceiling in the same run (figures of different runs cannot be
 * compared), and how late a record is at a steady load. Kafka, Redis and the worker share the processors.
 */
const PARTITIONS = 3
const RECORD_BYTES = 380

type Series = { min: number; median: number; max: number }
/** Settings from the environment apply to this run only, to try them out. */
const settings = Object.fromEntries(
  Object.entries(process.env).filter(([name]) =>
    /^(CHUNK_|KAFKA_FETCH_|KAFKA_PARTITIONS_|REDIS_SCRIPT_)/.test(name),
  ),
)
const options = new Command('bench')
  .option('--records <n>', 'records in the backlog', '400000')
  .option('--runs <n>', 'runs of each kind', '3')
  .option('--devices <list>', 'numbers of devices', '1000,100000')
  .option('--latency-seconds <n>', 'length of the latency run (0: none)', '20')
  .option('--node-flags <flags>', 'flags for Node.js instead of those of `npm start`')
  .option('--json', 'print JSON instead of a table')
  .parse()
  .opts<{
    records: string
    runs: string
    devices: string
    latencySeconds: string
    nodeFlags?: string
    json?: true
  }>()

const kafka = await startOwnKafka()
const redisServer = await startOwnRedis()
const redis = new Redis(redisServer.url)
const results: Record<string, Record<string, Series | number>> = {}
try {
  const errorTopic = uniqueName('errors')
  await createTopic(kafka.brokers, errorTopic)
  for (const devices of options.devices.split(',').map(Number)) {
    results[`backlog, ${devices} devices`] = await benchBacklog(devices, Number(options.records), errorTopic)
  }
  if (Number(options.latencySeconds) > 0) {
    results['latency at 2000/s'] = await benchLatency(Number(options.latencySeconds), errorTopic)
  }
} finally {
  redis.disconnect()
  await redisServer.stop()
  await kafka.stop()
}
process.stdout.write(options.json ? `${JSON.stringify(results, undefined, 2)}\n` : table(results))

async function benchBacklog(devices: number, count: number, errorTopic: string) {
  const topic = uniqueName('backlog')
  await createTopic(kafka.brokers, topic, { partitions: PARTITIONS })
  const producer = createSimulatedProducer({ brokers: kafka.brokers, topic })
  await producer.connect()
  for (let sent = 0; sent < count; sent += 20_000) {
    await producer.send(records(sent, Math.min(count, sent + 20_000), devices))
    note(`${topic}: ${Math.min(count, sent + 20_000)} of ${count} records of ${devices} devices written`)
  }
  await producer.disconnect()
  const ceilings: number[] = []
  const workers: { rate: number; peakMiB: number; cpuUs: number }[] = []
  for (let run = 0; run <= Number(options.runs); run++) {
    const ceiling = await runCeiling(topic, count)
    const worker = await runWorker(topic, errorTopic, count)
    note(`run ${run}: worker ${Math.round(worker.rate)}/s, ceiling ${Math.round(ceiling)}/s`)
    if (run === 0) continue // warm-up
    ceilings.push(ceiling)
    workers.push(worker)
  }
  return {
    'worker, records/s': series(workers.map(({ rate }) => rate)),
    'ceiling, records/s': series(ceilings),
    'worker / ceiling': series(
      workers.map(({ rate }, i) => rate / (ceilings[i] ?? 1)),
      2,
    ),
    'worker, peak MiB': series(workers.map(({ peakMiB }) => peakMiB)),
    'worker, CPU µs per record': series(
      workers.map(({ cpuUs }) => cpuUs),
      2,
    ),
  }
}

async function runWorker(topic: string, errorTopic: string, count: number) {
  await redis.flushall()
  const worker = await startWorker(
    {
      KAFKA_BOOTSTRAP_SERVERS: kafka.brokers.join(),
      KAFKA_VALIDATED_DATA_TOPIC: topic,
      KAFKA_ERROR_TOPIC: errorTopic,
      KAFKA_CONSUMER_GROUP_ID: uniqueName('bench'),
      REDIS_URL: redisServer.url,
      ...settings,
    },
    options.nodeFlags?.split(' '),
  )
  const first = await eventually(
    async () => {
      const consumed = await worker.consumed()
      if (consumed === 0) throw new Error('nothing consumed yet')
      return { consumed, atMs: performance.now(), cpu: cpuSeconds(worker.pid) }
    },
    { timeoutMs: 60_000, everyMs: 5 },
  )
  await eventually(
    async () => {
      const consumed = await worker.consumed()
      if (consumed < count) throw new Error(`${consumed} of ${count}`)
    },
    { timeoutMs: 300_000, everyMs: 20 },
  )
  const elapsedMs = performance.now() - first.atMs
  const peakMiB =
    Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${worker.pid}/status`, 'utf8'))?.[1]) / 1024
  const cpuUs = ((cpuSeconds(worker.pid) - first.cpu) * 1e6) / (count - first.consumed)
  const exit = await worker.stop()
  if (exit !== 0) throw new Error(`the worker ended with ${exit}: ${worker.output.slice(-2000)}`)
  return { rate: ((count - first.consumed) * 1000) / elapsedMs, peakMiB, cpuUs }
}

async function runCeiling(topic: string, count: number): Promise<number> {
  const program = join(import.meta.dirname, 'ceiling-consumer.ts')
  const args = [program, kafka.brokers.join(), topic, uniqueName('ceiling'), String(count)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  const { rate }: { rate: number } = JSON.parse(stdout)
  return rate
}

/** The time from producing a record until a reader sees it in Redis. */
async function benchLatency(seconds: number, errorTopic: string) {
  const topic = uniqueName('latency')
  await createTopic(kafka.brokers, topic, { partitions: PARTITIONS })
  const producer = createSimulatedProducer({ brokers: kafka.brokers, topic })
  await producer.connect()
  await redis.flushall()
  const worker = await startWorker({
    KAFKA_BOOTSTRAP_SERVERS: kafka.brokers.join(),
    KAFKA_VALIDATED_DATA_TOPIC: topic,
    KAFKA_ERROR_TOPIC: errorTopic,
    KAFKA_CONSUMER_GROUP_ID: uniqueName('bench'),
    REDIS_URL: redisServer.url,
  })
  await worker.ready()
  const reader = new Redis(redisServer.url)
  const latencies: number[] = []
  let sent = 0
  const startedMs = Date.now()
  const pending: Promise<unknown>[] = []
  while (Date.now() - startedMs < seconds * 1000) {
    const due = Math.floor(((Date.now() - startedMs) * 2000) / 1000)
    const batch = records(sent, due, 1000)
    sent = due
    if (batch.length > 0) {
      const probeId = `probe-${sent}`
      const producedMs = performance.now()
      pending.push(producer.send([...batch, record(sent, probeId)]))
      const isWarm = Date.now() - startedMs > 3_000
      pending.push(
        eventually(
          async () => {
            if ((await reader.exists(`device:${probeId}:metadata`)) === 0) throw new Error('not there yet')
          },
          { everyMs: 1 },
        ).then(() => isWarm && latencies.push(performance.now() - producedMs)),
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await Promise.all(pending)
  reader.disconnect()
  await producer.disconnect()
  await worker.stop()
  const sorted = latencies.toSorted((a, b) => a - b)
  const quantile = (q: number) => Number((sorted[Math.floor(sorted.length * q)] ?? 0).toFixed(1))
  return {
    samples: sorted.length,
    'p50, ms': quantile(0.5),
    'p99, ms': quantile(0.99),
    'p99.99, ms': quantile(0.9999),
  }
}

function records(from: number, to: number, devices: number): ProducedRecord[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) =>
    record(from + i, `efento-${(from + i) % devices}`),
  )
}

/** The short form of the platform's records, padded to the size of an average one. */
function record(n: number, deviceId: string): ProducedRecord {
  const now = Date.now()
  const micros = String(n % 1000).padStart(3, '0')
  const text =
    `{"request_id": "a6a3a450-6513-470e-a69e-${String(n).padStart(12, '0')}", ` +
    `"timestamp": "${new Date(now).toISOString().slice(0, 23)}${micros}", "device_id": "${deviceId}", ` +
    `"values": [${(n % 1000) / 10}], "labels": ["temperature"], "display_names": ["Temperature"], "index": "", ` +
    `"metadata": {"datatype_id": "099950d8-36f6-45cc-81e7-4ef5e8e25d94", "datatype_name": "temperature", ` +
    `"datatype_unit": "\\u00b0C", "persist": true}`
  const value = Buffer.from(`${text.padEnd(RECORD_BYTES - 1)}}`)
  return { key: deviceId, value, timestampMs: now }
}

/** A Markdown table, ready for the README. */
function table(all: typeof results): string {
  const rows = Object.entries(all).flatMap(([kind, figures]) =>
    Object.entries(figures).map(([name, figure]) => {
      const [min, median, max] =
        typeof figure === 'number' ? ['', figure, ''] : [figure.min, figure.median, figure.max]
      const cells = [min, median, max].map((value) => value.toLocaleString('en').padStart(9))
      return `| ${kind.padEnd(24)} | ${name.padEnd(32)} | ${cells.join(' | ')} |`
    }),
  )
  const head = `| ${'what'.padEnd(24)} | ${''.padEnd(32)} | ${['min', 'median', 'max'].map((c) => c.padStart(9)).join(' | ')} |`
  const rule = `| ${'-'.repeat(24)} | ${'-'.repeat(32)} | ${'-'.repeat(8)}: | ${'-'.repeat(8)}: | ${'-'.repeat(8)}: |`
  return `${[head, rule, ...rows].join('\n')}\n`
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function series(values: readonly number[], digits = 0): Series {
  const sorted = values.toSorted((a, b) => a - b).map((value) => Number(value.toFixed(digits)))
  return { min: sorted[0] ?? 0, median: sorted[Math.floor(sorted.length / 2)] ?? 0, max: sorted.at(-1) ?? 0 }
}

function note(text: string): void {
  process.stderr.write(`${text}\n`)
}
