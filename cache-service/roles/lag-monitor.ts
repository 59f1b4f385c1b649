import { lagProbeKey } from '../../shared/contract/keys.ts'
import { fixedKeys } from '../core/fixed-keys.ts'
import { lagGroupsOf } from '../core/workers/lag-groups.ts'
import { createKafka } from '../kafka/client.ts'
import { createGroupLagReader } from '../kafka/group-lag-reader.ts'
import { GroupLagMeter } from '../pipeline/lag-monitor/group-lag-meter.ts'
import { LagMonitor } from '../pipeline/lag-monitor/lag-monitor.ts'
import { createRedis, databaseName, startConnecting } from '../redis/client.ts'
import { createWriteProbe } from '../redis/probe.ts'
import { ServerCheck } from '../redis/server-check.ts'
import { createLagReporter } from '../redis/workers/lag-reports.ts'
import { createLagTelemetry } from '../telemetry/lag-telemetry.ts'
import { openCanary } from './canary.ts'
import { awaitFirstConnection } from './first-connection.ts'
import type { OpenedRole, ProcessParts } from './process-parts.ts'
import type { RoleContext } from './role-context.ts'

const PROBE_INTERVAL_MS = 3_000
/** A window of fewer samples would say little. */
const MIN_SAMPLES = 6
/** Measurements that may be missing before what came before them says nothing about the present. */
const MISSED_MEASUREMENTS = 3
const MIN_GAP_MS = 30_000

/** Kafka → metrics and reports about the lag of consumer groups, ours and others. It reads no topic as a member of a group. */
export async function openLagMonitor(context: RoleContext, parts: ProcessParts): Promise<OpenedRole> {
  const { config, log, processId } = context
  const { metrics, monitor, monotonicNow, now, random, releases } = parts
  const { groupId: workerGroup, lagPollIntervalMs: everyMs, validatedDataTopic } = config.kafka
  const telemetry = createLagTelemetry(log, metrics, now, monotonicNow)
  releases.push('lag monitor', () => telemetry.stopped())
  const kafka = createKafka(config.kafka, log)
  const reader = createGroupLagReader(kafka)
  releases.push('group lag reader', () => reader.disconnect())
  const redis = createRedis(config.redis, `${processId}-lag`, telemetry, random)
  releases.push('Redis of the lag monitor', () => redis.disconnect())
  const connecting = startConnecting(redis)

  const probe = createWriteProbe(
    redis,
    lagProbeKey(processId),
    telemetry,
    monotonicNow,
    () => undefined,
    // It writes nothing but its reports.
    'owner of the key',
  )
  const serverCheck = new ServerCheck(redis, fixedKeys['lag-monitor'](), telemetry)
  const maxGapMs = Math.max(MIN_GAP_MS, MISSED_MEASUREMENTS * everyMs)
  const limits = { windowMs: Math.max(config.lagMonitor.windowMs, MIN_SAMPLES * everyMs), maxGapMs }
  const groups = lagGroupsOf('lag-monitor', workerGroup, config.lagMonitor)
  const meters = groups.map(
    (groupId) =>
      new GroupLagMeter({
        groupId,
        workerTopic: groupId === workerGroup ? validatedDataTopic : undefined,
        reader,
        limits,
        now,
        monotonicNow,
      }),
  )
  const reporter = createLagReporter(redis, maxGapMs, now)
  const lagMonitor = new LagMonitor({
    meters,
    everyMs,
    writeReport: (report) => reporter.write(report),
    telemetry,
    monitor,
  })
  telemetry.started({
    kafka: config.kafka.brokers,
    groups,
    redis: databaseName(config.redis),
  })
  const canary = openCanary(context, parts, { kafka, redis })
  await awaitFirstConnection(connecting)
  return {
    services: [
      ...[lagMonitor.service(), ...canary],
      ...[probe.service(PROBE_INTERVAL_MS, monitor), serverCheck.service(monitor)],
    ],
    checks: [
      () => lagMonitor.notReadyReasons(),
      () => probe.notReadyReasons(),
      () => serverCheck.notReadyReasons(),
    ],
  }
}
