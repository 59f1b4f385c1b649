import { progressKey } from '../../../shared/contract/keys.ts'
import { judgeRetention } from '../../core/doctor.ts'
import { eventTimeFromMs } from '../../core/event-time.ts'
import type { RebuildTarget } from '../../core/workers/rebuild.ts'
import { createDeviceIndex, type DeviceIndex } from '../../redis/devices/device-index.ts'
import { countDevicesBefore } from '../../redis/devices/device-ages.ts'
import { createProgressStore, type ProgressStore } from '../../redis/workers/progress-store.ts'
import { createWorkerReports, type WorkerReports } from '../../redis/workers/worker-reports.ts'
import type { RedisClient, Session } from '../session.ts'
import { openTopics } from '../sources/topic-access.ts'

export type RebuildPlan = {
  readonly group: string
  readonly topic: string
  readonly partitions: readonly PartitionPlan[]
  /** The time of the oldest record that is left, in the shape of an event time; undefined: there is none. */
  readonly oldestRecord: string | undefined
  /** What the topic's retention means for the cache. */
  readonly retention: string
  readonly isRetentionShort: boolean
  readonly devices: number
  /** Of these: without a record that is left, as far as can be told. */
  readonly devicesOutOfReach: number
  /** Those that report. */
  readonly workers: number
  readonly index: DeviceIndex
  readonly store: ProgressStore
  readonly reports: WorkerReports
}

export type PartitionPlan = RebuildTarget & {
  /** Up to where the workers have read, as Redis has it. */
  readonly progress: number | undefined
  readonly oldestRecord: string | undefined
}

/** Rejects with a ServiceError if Kafka or Redis can't be asked. */
export async function planRebuild(session: Session, redis: RedisClient): Promise<RebuildPlan> {
  const { config, context, stop } = session
  const { groupId: group, validatedDataTopic: topic } = config.kafka
  const topics = await openTopics(session)
  const bounds = await topics.bounds.read(topic)
  const firstTimesMs = new Map<number, number>()
  await topics.reader(topic, 'first-records').read(
    bounds.map(({ partition, earliest, end }) => ({ partition, from: earliest, to: end })),
    async ({ timestamp }, partition) => {
      firstTimesMs.set(partition, Number(timestamp))
      return false
    },
    { stop },
  )
  const store = createProgressStore(redis, progressKey(group))
  const stored = await store.load(bounds.map(({ partition }) => partition))
  const oldestMs = firstTimesMs.size === 0 ? undefined : Math.min(...firstTimesMs.values())
  const oldestRecord = oldestMs === undefined ? undefined : eventTimeFromMs(Math.max(0, oldestMs)).text
  const settings = await topics.bounds.settings(topic).catch(() => new Map<string, string>())
  const retention = judgeRetention(settings, config.cache.metadataTtlMs)
  const looked = session.progress('looking at devices')
  const index = createDeviceIndex(redis)
  const { devices, older } = await countDevicesBefore(redis, index, {
    beforeMs: oldestMs ?? context.now(),
    metadataTtlMs: config.cache.metadataTtlMs,
    now: context.now,
    stop,
    progress: (count) => looked.set(count),
  })
  looked.end()
  const reports = createWorkerReports(redis, context.now)
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
    workers: (await reports.read()).length,
    index,
    store,
    reports,
  }
}
