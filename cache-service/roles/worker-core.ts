import type { ServiceError } from '../../shared/errors.ts'
import { probeKey } from '../../shared/contract/keys.ts'
import type { Config } from '../config/config.ts'
import type { DeadLetterProducer } from '../kafka/dead-letter-producer.ts'
import type { PartitionOffsets } from '../kafka/partition-offsets.ts'
import { WorkerConsumer, type WorkerConsumerDependencies } from '../kafka/worker-consumer.ts'
import type { Clocks } from '../lifecycle/clocks.ts'
import type { LoopMonitor } from '../lifecycle/loops.ts'
import { createChunkApplier } from '../pipeline/worker/chunk-applier.ts'
import { DecodedBytes } from '../pipeline/worker/decoded-bytes.ts'
import type { DeviceHints } from '../pipeline/worker/device-hints.ts'
import { LagMeter } from '../pipeline/worker/lag-meter.ts'
import { Lanes } from '../pipeline/worker/lanes.ts'
import { createProgressCheck } from '../pipeline/worker/progress-check.ts'
import { ProgressGuard } from '../pipeline/worker/progress-guard.ts'
import type { WorkerFigures } from '../pipeline/worker/worker-figures.ts'
import type { createRedis } from '../redis/client.ts'
import { connectionsOf } from '../redis/connections-of.ts'
import { createDeviceWriter } from '../redis/devices/device-writer.ts'
import { createWriteProbe } from '../redis/probe.ts'
import { createReplicaWait } from '../redis/replicas.ts'
import { createProgressStore } from '../redis/workers/group-progress.ts'
import type { WorkerTelemetry } from '../telemetry/worker-telemetry.ts'

export type WorkerCoreDependencies = Clocks & {
  readonly config: Pick<Config, 'kafka' | 'cache'> & {
    readonly redis: Pick<Config['redis'], 'scriptMaxKeys' | 'scriptMaxBytes' | 'timeoutMs' | 'waitReplicas'>
  }
  readonly processId: string
  readonly serviceVersion: string
  /** Decoded bytes of all lanes together. */
  readonly maxDecodedBytes: number
  readonly kafka: WorkerConsumerDependencies['kafka']
  readonly redis: ReturnType<typeof createRedis>
  readonly offsets: PartitionOffsets
  readonly deadLetters: DeadLetterProducer
  readonly hints: Pick<DeviceHints, 'note'>
  readonly figures: WorkerFigures
  readonly rebuildingChanged: (isRebuilding: boolean) => void
  /** Called for each new generation of the group, when the parts below know of it. */
  readonly assigned: (partitions: readonly number[]) => void
  readonly telemetry: WorkerTelemetry
  readonly monitor: LoopMonitor
  readonly random: () => number
}

/** The parts that carry records from Kafka to Redis, and what each tells the others. The simulation runs them as well. */
export function createWorkerCore(dependencies: WorkerCoreDependencies) {
  const { config, figures, hints, monitor, monotonicNow, now, offsets, random, redis, telemetry } =
    dependencies
  const topic = config.kafka.validatedDataTopic
  const { scriptMaxBytes, scriptMaxKeys, timeoutMs, waitReplicas } = config.redis
  const probeRedisKey = probeKey(dependencies.processId)
  const replicated = createReplicaWait(redis, {
    replicas: waitReplicas,
    key: probeRedisKey,
    timeoutMs,
  })
  const limits = { maxKeys: scriptMaxKeys, maxBytes: scriptMaxBytes }
  const writer = createDeviceWriter(redis, limits, replicated)
  const probe = createWriteProbe(
    redis,
    probeRedisKey,
    telemetry,
    monotonicNow,
    () => lanes.redisRecovered(),
    'all masters',
  )
  const progress = createProgressStore(redis, config.kafka.groupId, topic)
  const guard = new ProgressGuard(progress, offsets, telemetry, dependencies.rebuildingChanged)
  const lag = new LagMeter({ now, monotonicNow })
  const lanes = new Lanes({
    steps: createChunkApplier({
      topic,
      settings: config.cache,
      serviceVersion: dependencies.serviceVersion,
      writer,
      deadLetters: dependencies.deadLetters,
      connections: () => connectionsOf(redis),
      guard,
      lag,
      hints,
      figures,
      telemetry,
      now,
      monotonicNow,
    }),
    limits: { maxRecords: config.cache.chunkMaxRecords, maxBytes: config.cache.chunkMaxBytes },
    maxQueuedBytes: config.kafka.fetchMaxBytesPerPartition,
    queued: { bytes: 0, maxBytes: 2 * config.kafka.fetchMaxBytes },
    decodedBytes: new DecodedBytes(dependencies.maxDecodedBytes),
    // A failure of Kafka needs no probe: the next attempt at the chunk is one.
    probe: (failure: ServiceError) => (failure.side === 'redis' ? probe.attempt() : Promise.resolve()),
    seek: (partition, offset) => consumer.seek(partition, offset),
    changed: (partition) => consumer.laneChanged(partition),
    fatal: (error) => consumer.fail(error),
    telemetry,
    monotonicNow,
    random,
  })
  const consumer: WorkerConsumer = new WorkerConsumer({
    kafka: dependencies.kafka,
    config: config.kafka,
    intake: lanes,
    revoked: () => {
      guard.assigned([])
      lag.assigned()
    },
    assigned: (partitions) => {
      guard.assigned(partitions)
      lag.assigned()
      progressCheck.checkNow()
      dependencies.assigned(partitions)
    },
    telemetry,
    monitor,
    monotonicNow,
    random,
  })
  const isRedisReady = () => redis.status === 'ready'
  const progressCheck = createProgressCheck({
    guard,
    isRedisReady,
    rewind: (partition, to) => lanes.rewind(partition, to),
    telemetry,
    monitor,
  })
  return { consumer, guard, isRedisReady, lag, lanes, probe, progress, progressCheck }
}
