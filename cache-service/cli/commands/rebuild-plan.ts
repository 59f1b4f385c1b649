import { judgeRetention } from '../../core/doctor.ts'
import { eventTimeFromMs } from '../../core/event-time.ts'
import type { RebuildTarget } from '../../core/workers/rebuild.ts'
import { reportsOf, type WorkerReport } from '../../core/workers/worker-report.ts'
import { createDeviceIndex, type DeviceIndex } from '../../redis/devices/device-index.ts'
import { countDevicesBefore } from '../../redis/devices/device-ages.ts'
import { createProgressStore } from '../../redis/workers/group-progress.ts'
import type { ProgressStore } from '../../redis/workers/progress-store.ts'
import { createWorkerReports } from '../../redis/workers/worker-reports.ts'
import type { RedisClient, Session } from '../session.ts'
import { openTopics } from '../sources/topic-access.ts'

export type RebuildPlan = {
  readonly group: string
  readonly topic: string
  readonly partitions: readonly PartitionPlan[]
  /** Time of the oldest record in the topic, formatted like an event time; undefined: the topic is empty. */
  readonly oldestRecord: string | undefined
  /** How the retention of the topic compares with the lifetime of a device. */
  readonly retention: string
  readonly isRetentionShort: boolean
  readonly devices: number
  /** Estimated number of those devices that no longer have a record in the topic. */
  readonly devicesOutOfReach: number
  /** Number of workers of the group that report. */
  readonly workers: number
  readonly index: DeviceIndex
  readonly store: ProgressStore
  /** Reads the reports of the workers of the group. */
  readonly readReports: () => Promise<readonly WorkerReport[]>
}

export type PartitionPlan = RebuildTarget & {
  /** The next offset of the workers, as stored in Redis. */
  readonly progress: number | undefined
  readonly oldestRecord: string | undefined
}

/** Rejects with a ServiceError if Kafka or Redis fails. */
export async function planRebuild(session: Session, redis: RedisClient): Promise<RebuildPlan> {
  const { config, context, stop } = session
  const { groupId: group, validatedDataTopic: topic } = config.kafka
  const topics = await openTopics(session)
  const firstBounds = await topics.bounds.read(topic)
  const firstTimesMs = new Map<number, number>()
  await topics.reader(topic, 'first-records').read(
    firstBounds.map(({ partition, earliest, end }) => ({ partition, from: earliest, to: end })),
    async ({ timestampMs }, partition) => {
      firstTimesMs.set(partition, timestampMs)
      return false
    },
    { stop },
  )
  const store = createProgressStore(redis, group, topic)
  const stored = await store.peek(firstBounds.map(({ partition }) => partition))
  // After the progress, which would otherwise be beyond the end while records arrive.
  const bounds = await topics.bounds.read(topic)
  const oldestMs = firstTimesMs.size === 0 ? undefined : Math.min(...firstTimesMs.values())
  const oldestRecord = oldestMs === undefined ? undefined : eventTimeFromMs(Math.max(0, oldestMs)).text
  const settings = await topics.bounds.settings(topic).catch(() => new Map<string, string>())
  const retention = judgeRetention(settings, config.cache.metadataTtlMs)
  const progress = session.progress('devices checked')
  const index = createDeviceIndex(redis)
  const { devices, older } = await countDevicesBefore(redis, index, {
    beforeMs: oldestMs ?? context.now(),
    metadataTtlMs: config.cache.metadataTtlMs,
    now: context.now,
    stop,
    progress: (count) => progress.set(count),
  })
  progress.end()
  const reports = createWorkerReports(redis)
  const readReports = async () => reportsOf({ group, topic }, await reports.read())
  return {
    group,
    topic,
    partitions: bounds.map(({ partition, earliest, end }) => {
      const firstMs = firstTimesMs.get(partition)
      return {
        partition,
        from: earliest,
        until: end,
        progress: stored.get(partition)?.next,
        oldestRecord: firstMs === undefined ? undefined : eventTimeFromMs(Math.max(0, firstMs)).text,
      }
    }),
    oldestRecord,
    retention: retention.detail,
    isRetentionShort: retention.verdict === 'warning',
    devices,
    devicesOutOfReach: older,
    workers: (await readReports()).length,
    index,
    store,
    readReports,
  }
}
