import type { ServiceError } from '../../shared/errors.ts'
import { probeKey, progressKey, SWEEPER_LEASE_KEY } from '../../shared/contract/keys.ts'
import { createKafka } from '../kafka/client.ts'
import { registerCodecs } from '../kafka/codecs.ts'
import { createDeadLetterProducer } from '../kafka/dead-letter-producer.ts'
import { createPartitionOffsets } from '../kafka/partition-offsets.ts'
import { WorkerConsumer } from '../kafka/worker-consumer.ts'
import { createLoop } from '../lifecycle/loops.ts'
import { settledWithin } from '../lifecycle/sleep.ts'
import { createChunkApplier } from '../pipeline/worker/chunk-applier.ts'
import { DeviceHints } from '../pipeline/worker/device-hints.ts'
import { LagMeter } from '../pipeline/worker/lag-meter.ts'
import { ProgressGuard } from '../pipeline/worker/progress-guard.ts'
import { WorkerReportBook } from '../pipeline/worker/worker-report.ts'
import { createRedis, startConnecting } from '../redis/client.ts'
import { createDeviceIndex } from '../redis/devices/device-index.ts'
import { createDeviceWriter } from '../redis/devices/device-writer.ts'
import { createHintAppender } from '../redis/events/event-streams.ts'
import { createLease } from '../redis/lease.ts'
import { createProgressStore } from '../redis/workers/progress-store.ts'
import { createSweeper, SWEEP_LEASE_MS } from '../redis/devices/sweeper.ts'
import { createWorkerReporter } from '../redis/workers/worker-reports.ts'
import { createWriteProbe } from '../redis/probe.ts'
import { createWorkerTelemetry } from '../telemetry/worker-telemetry.ts'
import type { OpenedRole, ProcessParts } from './process-parts.ts'
import type { RoleContext } from './role-context.ts'

const PROBE_INTERVAL_MS = 3_000
const PROGRESS_CHECK_INTERVAL_MS = 3_000
const SUMMARY_INTERVAL_MS = 10_000
const DEVICES_INTERVAL_MS = 5_000
const REPORT_INTERVAL_MS = 5_000
/** How soon a report follows a change that others must know of. */
const REPORT_LOOK_INTERVAL_MS = 250
const FIRST_CONNECT_MS = 1_000

/** Kafka → Redis, as a part of a process: told to stop, it finishes the chunk in hand, commits and leaves the group. */
export async function openWorker(context: RoleContext, parts: ProcessParts): Promise<OpenedRole> {
  const { config, log } = context
  const { metrics, monitor, now, random, releases } = parts
  const topic = config.kafka.validatedDataTopic
  const book = new WorkerReportBook({ id: context.processId, version: context.version, topic }, now)
  let nextReportMs = 0
  const telemetry = book.watch(
    createWorkerTelemetry(log, metrics, topic, config.kafka.groupId, now),
    () => (nextReportMs = 0),
  )
  releases.push('worker', () => telemetry.stopped())
  registerCodecs(telemetry.decodeFailed)
  const kafka = createKafka(config.kafka, log, telemetry)
  const offsets = createPartitionOffsets(kafka, topic, config.kafka.groupId)
  releases.push('offset reader', () => offsets.disconnect())
  const lagOffsets = createPartitionOffsets(kafka, topic, config.kafka.groupId)
  releases.push('lag reader', () => lagOffsets.disconnect())
  const deadLetters = createDeadLetterProducer(kafka, config.kafka.errorTopic, telemetry)
  releases.push('dead-letter producer', () => deadLetters.disconnect())

  const redis = createRedis(config.redis, context.processId, telemetry, random)
  releases.push('Redis', () => redis.disconnect())
  const connecting = startConnecting(redis)
  // What only informs others has a connection of its own, so that it is never in the way of a chunk. Of its
  // failures the other one speaks.
  const silent = { redisConnected: () => undefined, redisFailed: () => undefined }
  const reportRedis = createRedis(config.redis, `${context.processId}-reports`, silent, random)
  releases.push('Redis for reports', () => reportRedis.disconnect())
  void startConnecting(reportRedis)
  const reporter = createWorkerReporter(reportRedis, context.processId, now)
  // Best effort: it runs out by itself.
  releases.push('report', () => reporter.remove().catch(() => undefined))
  const writer = createDeviceWriter(redis, {
    maxKeys: config.redis.scriptMaxKeys,
    maxBytes: config.redis.scriptMaxBytes,
  })
  const index = createDeviceIndex(redis)
  const probe = createWriteProbe(redis, probeKey(context.processId), telemetry, now)

  const hints = new DeviceHints(createHintAppender(reportRedis))
  const guard = new ProgressGuard(createProgressStore(redis, progressKey(config.kafka.groupId)), offsets, {
    ...telemetry,
    rebuilding(yes) {
      telemetry.rebuilding(yes)
      hints.rebuilding(yes)
    },
  })
  const lag = new LagMeter(now)
  const consumer = new WorkerConsumer({
    kafka,
    config: config.kafka,
    limits: { maxRecords: config.cache.chunkMaxRecords, maxBytes: config.cache.chunkMaxBytes },
    apply: createChunkApplier({
      topic,
      settings: config.cache,
      serviceVersion: context.version,
      writer,
      index,
      deadLetters,
      guard,
      lag,
      hints,
      telemetry,
      now,
    }),
    // What failed on Kafka's side is tried by the next attempt itself.
    probe: (failure: ServiceError) => (failure.side === 'redis' ? probe.attempt() : Promise.resolve()),
    assigned: (partitions) => {
      guard.assigned(partitions)
      checkProgress().catch((error: unknown) => telemetry.loopFailed('progress check', error))
    },
    telemetry,
    monitor,
    now,
    random,
  })
  const checkProgress = async () => {
    // Without Redis there is nothing to compare with; the probe speaks of that.
    if (redis.status === 'ready') await guard.check((partition, to) => consumer.seek(partition, to))
  }

  const checks = [
    () => (context.stop.aborted ? ['stopping'] : []),
    () => consumer.notReadyReasons(),
    () => probe.notReadyReasons(),
    () => (guard.hasCompared ? [] : ['comparing: whether Redis holds what was read before']),
    () => (guard.isRebuilding ? ['rebuilding: reading again what Redis does not hold'] : []),
  ]
  telemetry.started({
    kafka: config.kafka.brokers,
    topic,
    errorTopic: config.kafka.errorTopic,
    group: config.kafka.groupId,
    redis: `${config.redis.host}:${config.redis.port}/${config.redis.db}`,
  })

  const loop = (name: string, everyMs: number, turn: () => Promise<void>, firstAfterMs = 0) =>
    createLoop({
      name,
      everyMs,
      firstAfterMs,
      monitor,
      turn,
      failed: (error) => telemetry.loopFailed(name, error),
    })
  let totalLag: number | undefined
  const services = [
    consumer,
    probe.service(PROBE_INTERVAL_MS, monitor),
    createSweeper(index, createLease(redis, SWEEPER_LEASE_KEY, context.processId, SWEEP_LEASE_MS), {
      everyMs: config.cache.sweepIntervalMs,
      monitor,
      telemetry,
      now,
    }),
    loop('progress check', PROGRESS_CHECK_INTERVAL_MS, checkProgress),
    loop('lag', config.kafka.lagPollIntervalMs, async () => {
      const lags = lag.measure(await lagOffsets.read(), consumer.partitions)
      telemetry.lagMeasured(lags)
      totalLag = [...lags.values()].reduce((sum, { records }) => sum + records, 0)
    }),
    loop('devices', DEVICES_INTERVAL_MS, async () => {
      if (redis.status === 'ready') telemetry.devicesCounted(await index.count())
    }),
    loop('summary', SUMMARY_INTERVAL_MS, async () => telemetry.summary(totalLag), SUMMARY_INTERVAL_MS),
    ...hints.services(monitor),
    createLoop({
      name: 'report',
      everyMs: REPORT_LOOK_INTERVAL_MS,
      monitor,
      turn: async () => {
        if (now() < nextReportMs) return
        nextReportMs = now() + REPORT_INTERVAL_MS
        await reporter.write(book.report(checks))
      },
      // While Redis is away there is nobody to report to; the probe speaks of that.
      failed: () => (nextReportMs = 0),
    }),
  ]
  // So that a healthy start is quiet and quick: the first write finds its connection.
  await settledWithin(connecting, FIRST_CONNECT_MS)
  return { services, checks }
}
