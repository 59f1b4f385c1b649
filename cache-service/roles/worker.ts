import { progressKey, SWEEPER_LEASE_KEY } from '../../shared/contract/keys.ts'
import { fixedKeys } from '../core/fixed-keys.ts'
import { createKafka } from '../kafka/client.ts'
import { createDeadLetterProducer } from '../kafka/dead-letter-producer.ts'
import { createGroupReader } from '../kafka/group-reader.ts'
import { createLagOffsets, createPartitionOffsets } from '../kafka/partition-offsets.ts'
import { DeviceHints } from '../pipeline/worker/device-hints.ts'
import { GroupWatch } from '../pipeline/worker/group-watch.ts'
import { createMeasurements } from '../pipeline/worker/measurements.ts'
import { ReportSchedule } from '../pipeline/worker/report-schedule.ts'
import { WorkerFigures } from '../pipeline/worker/worker-figures.ts'
import { createReportBuilder } from '../pipeline/worker/report-builder.ts'
import { createRedis, databaseName, startConnecting } from '../redis/client.ts'
import { createDeviceIndex } from '../redis/devices/device-index.ts'
import { createHintAppender } from '../redis/events/event-streams.ts'
import { createLease } from '../redis/lease.ts'
import { createSweeper, SWEEP_LEASE_MS } from '../redis/devices/sweeper.ts'
import { createWorkerReporter } from '../redis/workers/worker-reports.ts'
import { ServerCheck } from '../redis/server-check.ts'
import { createWorkerTelemetry } from '../telemetry/worker-telemetry.ts'
import { awaitFirstConnection } from './first-connection.ts'
import type { OpenedRole, ProcessParts } from './process-parts.ts'
import type { RoleContext } from './role-context.ts'
import { createWorkerCore } from './worker-core.ts'
import type { ReadinessCheck } from '../lifecycle/readiness.ts'

const PROBE_INTERVAL_MS = 3_000
/** Of all lanes together. A fetch can decompress to many times its size. */
const MAX_DECODED_BYTES = 8 * 1024 * 1024

/** Kafka → Redis. When the process stops, it finishes the current chunk, commits, and leaves the group. */
export async function openWorker(context: RoleContext, parts: ProcessParts): Promise<OpenedRole> {
  const { config, log } = context
  const { metrics, monitor, monotonicNow, now, random, releases } = parts
  const topic = config.kafka.validatedDataTopic
  const telemetry = createWorkerTelemetry(log, metrics, topic, config.kafka.groupId, { now, monotonicNow })
  releases.push('worker', () => telemetry.stopped())
  const kafka = createKafka(config.kafka, log)
  const offsets = createPartitionOffsets(kafka, topic, config.kafka.groupId)
  releases.push('offset reader', () => offsets.disconnect())
  const lagOffsets = createLagOffsets(kafka, topic, config.kafka.groupId)
  releases.push('lag reader', () => lagOffsets.disconnect())
  const group = createGroupReader(kafka, config.kafka.groupId)
  releases.push('group reader', () => group.disconnect())
  const deadLetters = createDeadLetterProducer(kafka, config.kafka.errorTopic, telemetry)
  releases.push('dead-letter producer', () => deadLetters.disconnect())

  const redis = createRedis(config.redis, context.processId, telemetry, random)
  releases.push('Redis', () => redis.disconnect())
  const connecting = startConnecting(redis)
  // Reports, hints and the sweeper have a connection of their own, so that they never delay a chunk. Its failures are not logged:
  // the first connection fails with it, and logs that.
  const silent = { redisConnected: () => undefined, redisFailed: () => undefined }
  const reportRedis = createRedis(config.redis, `${context.processId}-reports`, silent, random)
  releases.push('Redis for reports', () => reportRedis.disconnect())
  const reportConnecting = startConnecting(reportRedis)
  const reporter = createWorkerReporter(reportRedis, context.processId, now)
  // Best effort: the report expires by itself.
  releases.push('report', () => reporter.remove().catch(() => undefined))
  const index = createDeviceIndex(reportRedis)

  const serverCheck = new ServerCheck(
    redis,
    fixedKeys.worker(progressKey(config.kafka.groupId, topic)),
    telemetry,
  )
  const figures = new WorkerFigures(topic, { now, monotonicNow })
  const reports = new ReportSchedule(monotonicNow)
  const hints = new DeviceHints(createHintAppender(reportRedis))
  const core = createWorkerCore({
    config,
    processId: context.processId,
    serviceVersion: context.version,
    maxDecodedBytes: MAX_DECODED_BYTES,
    kafka,
    redis,
    offsets,
    deadLetters,
    hints,
    figures,
    rebuildingChanged: (isRebuilding) => {
      hints.rebuilding(isRebuilding)
      reports.changed()
    },
    assigned: (partitions) => {
      hints.assigned(partitions)
      measurements.measureLagNow()
      groupWatch.checkNow()
    },
    telemetry,
    monitor,
    now,
    monotonicNow,
    random,
  })
  const { consumer, guard, isRedisReady, lag, lanes, probe, progress, progressCheck } = core
  const groupWatch = new GroupWatch({
    topic,
    groupId: config.kafka.groupId,
    readGroup: () => group.read(),
    readPositions: () => lagOffsets.read(),
    progress,
    isRedisReady,
    consumer,
    idleLanes: () => lanes.idle,
    telemetry,
    monitor,
    now: monotonicNow,
  })
  const measurements = createMeasurements({
    lag,
    groupWatch,
    lagPollIntervalMs: config.kafka.lagPollIntervalMs,
    readPositions: () => lagOffsets.read(),
    countDevices: () => index.count(),
    isRedisReady,
    consumer,
    figures,
    telemetry,
    monitor,
  })
  const checks: ReadinessCheck[] = [
    () => (context.stop.aborted ? ['stopping'] : []),
    () => consumer.notReadyReasons(),
    () => groupWatch.notReadyReasons(),
    () => probe.notReadyReasons(),
    () => serverCheck.notReadyReasons(),
    () => guard.notReadyReasons(),
  ]
  const buildReport = createReportBuilder({
    id: context.processId,
    version: context.version,
    group: config.kafka.groupId,
    topic,
    figures,
    consumer,
    guard,
    groupWatch,
    checks,
    now,
    monotonicNow,
  })
  telemetry.started({
    kafka: config.kafka.brokers,
    topic,
    errorTopic: config.kafka.errorTopic,
    group: config.kafka.groupId,
    redis: databaseName(config.redis),
  })

  const services = [
    consumer,
    probe.service(PROBE_INTERVAL_MS, monitor),
    serverCheck.service(monitor),
    createSweeper(index, createLease(reportRedis, SWEEPER_LEASE_KEY, context.processId, SWEEP_LEASE_MS), {
      everyMs: config.cache.sweepIntervalMs,
      monitor,
      telemetry,
      monotonicNow,
    }),
    progressCheck.service,
    groupWatch.service(),
    ...measurements.services,
    ...hints.services(monitor),
    reports.service(() => reporter.write(buildReport()), monitor),
  ]
  await Promise.all([awaitFirstConnection(connecting), awaitFirstConnection(reportConnecting)])
  return { services, checks }
}
