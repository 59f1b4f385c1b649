import type { Kafka } from 'kafkajs'
import { createChunkApplier } from '../../cache-service/pipeline/worker/chunk-applier.ts'
import { DecodedBytes } from '../../cache-service/pipeline/worker/decoded-bytes.ts'
import { LagMeter } from '../../cache-service/pipeline/worker/lag-meter.ts'
import { Lanes } from '../../cache-service/pipeline/worker/lanes.ts'
import { createProgressCheck } from '../../cache-service/pipeline/worker/progress-check.ts'
import { ProgressGuard } from '../../cache-service/pipeline/worker/progress-guard.ts'
import { WorkerFigures } from '../../cache-service/pipeline/worker/worker-figures.ts'
import { WorkerConsumer } from '../../cache-service/kafka/worker-consumer.ts'
import type { GroupPosition } from '../../cache-service/kafka/partition-offsets.ts'
import type { KafkaConfig } from '../../cache-service/config/config.ts'
import type { DeadLetter } from '../../cache-service/core/dead-letters/dead-letter.ts'
import { LoopMonitor } from '../../cache-service/lifecycle/loops.ts'
import { createDeviceWriter } from '../../cache-service/redis/devices/device-writer.ts'
import { createWriteProbe } from '../../cache-service/redis/probe.ts'
import { createProgressStore } from '../../cache-service/redis/workers/progress-store.ts'
import type { WorkerTelemetry } from '../../cache-service/telemetry/worker-telemetry.ts'
import { probeKey } from '../../shared/contract/keys.ts'
import { kafkaError } from '../../shared/errors.ts'
import type { SeededRandom } from '../simulator/seeded-random.ts'
import type { Scheduler } from './scheduler.ts'
import { SimulatedRedisClient } from './servers/redis-client.ts'
import { SimulatedConsumer } from './servers/simulated-consumer.ts'
import type { SimulatedKafka } from './servers/simulated-kafka.ts'
import type { SimulatedRedis } from './servers/simulated-redis.ts'

export const TOPIC = 'validated-data'
export const GROUP = 'cache'
export const PROGRESS_KEY = `cache_service:progress:${GROUP}:${TOPIC}`
export const PARSE_SETTINGS = {
  metadataTtlMs: 86_400_000,
  maxFutureSkewMs: 300_000,
  maxRecordBytes: 1_048_576,
  extraFields: 'all' as const,
}
export const SESSION_MS = 10_000

const KAFKA: KafkaConfig = {
  brokers: ['simulated:9092'],
  clientId: 'simulated',
  validatedDataTopic: TOPIC,
  errorTopic: 'iot_errors',
  groupId: GROUP,
  fetchMaxWaitMs: 500,
  fetchMaxBytes: 4096,
  fetchMaxBytesPerPartition: 2048,
  commitIntervalMs: 500,
  sessionTimeoutMs: SESSION_MS,
  stallTimeoutMs: 60_000,
  lagPollIntervalMs: 1_000,
  tls: undefined,
  sasl: undefined,
}

export type WorkerSurroundings = {
  readonly scheduler: Scheduler
  readonly kafka: SimulatedKafka
  readonly redis: SimulatedRedis
  readonly random: SeededRandom
  readonly note: (what: string) => void
  readonly deadLettersSent: (deadLetters: readonly DeadLetter[]) => void
  /** The process would have exited: a bug. */
  readonly failed: (error: unknown) => void
}

export type SimulatedWorker = {
  readonly name: string
  readonly redisClient: SimulatedRedisClient
  stop(): void
}

/** A worker of the real code, from the fetch handler to the scripts' arguments, on the simulated servers. */
export function startWorker(name: string, surroundings: WorkerSurroundings): SimulatedWorker {
  const { failed, kafka, note, random, redis, scheduler } = surroundings
  const now = () => Math.floor(scheduler.nowMs)
  const monotonicNow = () => scheduler.nowMs
  const telemetry = notingTelemetry((what) => note(`${name} ${what}`))
  const redisClient = new SimulatedRedisClient(redis, scheduler, random)
  const client = redisClient.asRedis()
  const monitor = new LoopMonitor(monotonicNow)
  const stop = new AbortController()

  const writer = createDeviceWriter(client, { maxKeys: 8, maxBytes: 65_536 })
  const progress = createProgressStore(client, PROGRESS_KEY)
  const probe = createWriteProbe(client, probeKey(name), telemetry, monotonicNow)
  const guard = new ProgressGuard(
    progress,
    {
      read: () => readPositions(kafka),
      disconnect: async () => undefined,
    },
    telemetry,
    () => undefined,
  )
  const lag = new LagMeter({ now, monotonicNow })
  const lanes = new Lanes({
    steps: createChunkApplier({
      topic: TOPIC,
      settings: PARSE_SETTINGS,
      serviceVersion: 'simulated',
      writer,
      deadLetters: {
        send: async (deadLetters) => {
          try {
            await kafka.request(() => surroundings.deadLettersSent(deadLetters))
          } catch (error) {
            throw kafkaError(error)
          }
        },
        disconnect: async () => undefined,
      },
      guard,
      lag,
      hints: { note: () => undefined },
      figures: new WorkerFigures(TOPIC, { now, monotonicNow }),
      telemetry,
      now,
      monotonicNow,
    }),
    limits: { maxRecords: 10, maxBytes: 65_536 },
    maxQueuedBytes: KAFKA.fetchMaxBytesPerPartition,
    queued: { bytes: 0, maxBytes: 2 * KAFKA.fetchMaxBytes },
    decodedBytes: new DecodedBytes(4096),
    probe: (failure) => (failure.side === 'redis' ? probe.attempt() : Promise.resolve()),
    seek: (partition, offset) => consumer.seek(partition, offset),
    changed: (partition) => consumer.laneChanged(partition),
    fatal: failed,
    telemetry,
    monotonicNow,
    random: () => random.fraction(),
  })
  const consumer: WorkerConsumer = new WorkerConsumer({
    kafka: { consumer: () => simulatedConsumer().asConsumer() } as unknown as Kafka,
    config: KAFKA,
    intake: lanes,
    revoked: () => {
      guard.assigned([])
      lag.assigned()
    },
    assigned: (partitions) => {
      guard.assigned(partitions)
      lag.assigned()
      progressCheck.checkNow()
    },
    telemetry,
    monitor,
    monotonicNow,
    random: () => random.fraction(),
  })
  const simulatedConsumer = () =>
    new SimulatedConsumer(kafka, scheduler, random, {
      topic: TOPIC,
      heartbeatInterval: 3_000,
      maxBytes: KAFKA.fetchMaxBytesPerPartition,
      maxWaitMs: KAFKA.fetchMaxWaitMs,
      retries: 5,
    })
  const progressCheck = createProgressCheck({
    guard,
    isRedisReady: () => redisClient.status === 'ready',
    rewind: (partition, to) => lanes.rewind(partition, to),
    telemetry,
    monitor,
  })
  scheduler.as(name, () => {
    for (const service of [consumer, progressCheck.service]) service.run(stop.signal).catch(failed)
  })
  return { name, redisClient, stop: () => scheduler.as(name, () => stop.abort()) }
}

async function readPositions(kafka: SimulatedKafka): Promise<ReadonlyMap<number, GroupPosition>> {
  try {
    const committed = await kafka.request(() => new Map(kafka.committed))
    return await kafka.request(
      () =>
        new Map(
          kafka.partitions.map(({ earliest, end }, partition) => [
            partition,
            { committed: committed.get(partition), earliest, end },
          ]),
        ),
    )
  } catch (error) {
    throw kafkaError(error)
  }
}

const SILENT = new Set(['consumerState', 'redisWorks', 'rebuilding', 'deadLettersSent', 'chunkApplied'])

/** Every function of the telemetry, as a line of the trace. */
function notingTelemetry(note: (what: string) => void): WorkerTelemetry {
  const functions = new Map<string, (...facts: unknown[]) => void>()
  return new Proxy({} as WorkerTelemetry, {
    get: (_target, name) => {
      const text = String(name)
      const known = functions.get(text)
      if (known !== undefined) return known
      const noteCall = SILENT.has(text)
        ? () => undefined
        : (...facts: unknown[]) => note(`${text} ${facts.map(describe).join(' ')}`)
      functions.set(text, noteCall)
      return noteCall
    },
  })
}

function describe(fact: unknown): string {
  if (fact instanceof Error) return fact.message
  return typeof fact === 'object' ? JSON.stringify(fact) : String(fact)
}
