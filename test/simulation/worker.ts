import { WorkerFigures } from '../../cache-service/pipeline/worker/worker-figures.ts'
import type { GroupPosition } from '../../cache-service/kafka/partition-offsets.ts'
import type { CacheConfig, KafkaConfig } from '../../cache-service/config/config.ts'
import type { DeadLetter } from '../../cache-service/core/dead-letters/dead-letter.ts'
import { LoopMonitor } from '../../cache-service/lifecycle/loops.ts'
import { createWorkerCore } from '../../cache-service/roles/worker-core.ts'
import type { WorkerTelemetry } from '../../cache-service/telemetry/worker-telemetry.ts'
import { kafkaError } from '../../shared/errors.ts'
import type { SeededRandom } from '../simulator/seeded-random.ts'
import type { Scheduler } from './scheduler.ts'
import { SimulatedConsumer } from './servers/simulated-consumer.ts'
import type { SimulatedKafka } from './servers/simulated-kafka.ts'
import type { RedisServers, WorkerRedis } from './servers/redis-servers.ts'
import { GROUP, TOPIC } from './settings.ts'

/** Small, so that a few records make several chunks and calls. */
export const CACHE: CacheConfig = {
  metadataTtlMs: 86_400_000,
  maxFutureSkewMs: 300_000,
  maxRecordBytes: 1_048_576,
  extraFields: 'all',
  sweepIntervalMs: 300_000,
  chunkMaxRecords: 4,
  chunkMaxBytes: 65_536,
}
export const SESSION_MS = 4_000

const KAFKA: KafkaConfig = {
  brokers: ['simulated:9092'],
  clientId: 'simulated',
  validatedDataTopic: TOPIC,
  errorTopic: 'iot_errors',
  groupId: GROUP,
  fetchMaxWaitMs: 1_000,
  fetchMaxBytes: 4096,
  fetchMaxBytesPerPartition: 1024,
  commitIntervalMs: 1_000,
  sessionTimeoutMs: SESSION_MS,
  stallTimeoutMs: 60_000,
  lagPollIntervalMs: 1_000,
  tls: undefined,
  sasl: undefined,
}

const CONFIG = {
  kafka: KAFKA,
  cache: CACHE,
  redis: { scriptMaxKeys: 2, scriptMaxBytes: 65_536, timeoutMs: 5_000, waitReplicas: 0 },
}

export type WorkerSurroundings = {
  readonly scheduler: Scheduler
  readonly kafka: SimulatedKafka
  readonly redis: RedisServers
  readonly random: SeededRandom
  readonly note: (describe: () => string) => void
  readonly deadLettersSent: (deadLetters: readonly DeadLetter[]) => void
  /** A worker has reported that Redis lost data. */
  readonly lossReported: () => void
  /** The process would have exited: a bug. */
  readonly failed: (error: unknown) => void
}

export type SimulatedWorker = {
  readonly name: string
  readonly redisClient: WorkerRedis
  stop(): void
  /** Ends what it waits for, without letting it finish: Node.js keeps signals that something waits for for as long as it lives. */
  abandon(): void
  /** Why it is not ready. */
  notReadyReasons(): readonly string[]
  /** Resolves when it has stopped. */
  readonly ended: Promise<unknown>
}

/** A worker of the real code, from the fetch handler to the scripts' arguments, on the simulated servers. */
export function startWorker(name: string, surroundings: WorkerSurroundings): SimulatedWorker {
  const { failed, kafka, note, random, redis, scheduler } = surroundings
  const now = () => Math.floor(scheduler.nowMs)
  const monotonicNow = () => scheduler.nowMs
  const telemetry = notingTelemetry((line) => note(() => `${name} ${line()}`), surroundings.lossReported)
  const redisClient = redis.open(name)
  const monitor = new LoopMonitor(monotonicNow)
  const stop = new AbortController()

  const { consumer, guard, progressCheck } = createWorkerCore({
    config: CONFIG,
    processId: name,
    serviceVersion: 'simulated',
    maxDecodedBytes: 2048,
    kafka: { consumer: () => simulatedConsumer().asConsumer() },
    redis: redisClient.asRedis(),
    offsets: { read: () => readPositions(kafka), disconnect: async () => undefined },
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
    hints: { note: () => undefined },
    figures: new WorkerFigures(TOPIC, { now, monotonicNow }),
    rebuildingChanged: () => undefined,
    assigned: () => undefined,
    telemetry,
    monitor,
    now,
    monotonicNow,
    random: () => random.fraction(),
  })
  const simulatedConsumer = () =>
    new SimulatedConsumer(kafka, scheduler, random, {
      topic: TOPIC,
      heartbeatInterval: SESSION_MS / 3,
      maxBytes: KAFKA.fetchMaxBytesPerPartition,
      maxWaitMs: KAFKA.fetchMaxWaitMs,
      retries: 5,
    })
  const { promise: ended, resolve: end } = Promise.withResolvers<unknown>()
  scheduler.as(name, () => {
    end(
      Promise.all([consumer, progressCheck.service].map((service) => service.run(stop.signal).catch(failed))),
    )
  })
  return {
    name,
    redisClient,
    stop: () => scheduler.as(name, () => stop.abort()),
    abandon: () => stop.abort(),
    notReadyReasons: () => [...consumer.notReadyReasons(), ...guard.notReadyReasons()],
    ended,
  }
}

async function readPositions(kafka: SimulatedKafka): Promise<ReadonlyMap<number, GroupPosition>> {
  try {
    const committed = await kafka.request(() => new Map(kafka.committed))
    return await kafka.request(() => {
      kafka.assertTopic()
      return new Map(
        kafka.partitions.map(({ earliest, end }, partition) => [
          partition,
          { committed: committedOrNone(committed.get(partition)), earliest, end },
        ]),
      )
    })
  } catch (error) {
    throw kafkaError(error)
  }
}

/** A negative offset stands for none. */
function committedOrNone(committed: number | undefined): number | undefined {
  return committed !== undefined && committed >= 0 ? committed : undefined
}

const SILENT = new Set(['consumerState', 'redisWorks', 'rebuilding', 'deadLettersSent', 'chunkApplied'])

/** Every function of the telemetry, as a line of the trace. */
function notingTelemetry(note: (describe: () => string) => void, lossReported: () => void): WorkerTelemetry {
  const functions = new Map<string, (...facts: unknown[]) => void>()
  return new Proxy({} as WorkerTelemetry, {
    get: (_target, name) => {
      const text = String(name)
      const known = functions.get(text)
      if (known !== undefined) return known
      const noteCall = SILENT.has(text)
        ? () => undefined
        : (...facts: unknown[]) => {
            note(() => `${text} ${facts.map(describe).join(' ')}`)
            if (text === 'cacheLost') lossReported()
          }
      functions.set(text, noteCall)
      return noteCall
    },
  })
}

function describe(fact: unknown): string {
  if (fact instanceof Error) return fact.message
  return typeof fact === 'object' ? JSON.stringify(fact) : String(fact)
}
