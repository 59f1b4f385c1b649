import type { ServiceError } from '../../shared/errors.ts'
import { failureFields, operatorHint } from '../core/operator-hint.ts'
import type { LagReport, TopicLagReport } from '../core/workers/lag-report.ts'
import { LAG_STATES } from '../core/workers/lag-state.ts'
import { createLagMetrics } from './lag-metrics.ts'
import type { Logger } from './logger.ts'
import { createLoopFailed } from './loop-failed.ts'
import type { ProcessMetrics } from './process-metrics.ts'
import { createRedisTelemetry } from './redis-telemetry.ts'

export type LagTelemetry = ReturnType<typeof createLagTelemetry>

/** One function per thing that happens; it logs and counts it. What lasts is logged when it begins, changes and ends. */
export function createLagTelemetry(
  log: Logger,
  processMetrics: ProcessMetrics,
  now: () => number,
  monotonicNow: () => number,
) {
  const metrics = createLagMetrics(processMetrics)
  const redis = createRedisTelemetry(log, processMetrics, monotonicNow, {
    fails: 'Redis does not accept writes',
    works: 'Redis accepts writes again',
  })
  const perPartition = [metrics.lag, metrics.lagSeconds, metrics.retentionSeconds, metrics.deletedUnread]
  /** What was logged last, by what it is about. */
  const logged = new Map<string, string>()

  function isNews(about: string, text: string): boolean {
    const isSame = (logged.get(about) ?? '') === text
    logged.set(about, text)
    return !isSame
  }

  function setTopic(consumergroup: string, { partitions, topic }: TopicLagReport): void {
    for (const state of LAG_STATES)
      metrics.partitions.set(
        { consumergroup, topic, state },
        partitions.filter((one) => one.state === state).length,
      )
    for (const { deleted_unread, partition, records, seconds, seconds_until_deleted } of partitions) {
      const labels = { consumergroup, topic, partition: String(partition) }
      if (records === null) continue
      metrics.lag.set(labels, records)
      metrics.deletedUnread.set(labels, deleted_unread)
      if (seconds !== null) metrics.lagSeconds.set(labels, seconds)
      if (seconds_until_deleted !== null) metrics.retentionSeconds.set(labels, seconds_until_deleted)
    }
  }

  function logTopic(group: string, { partitions, problem, topic }: TopicLagReport): void {
    const about = { group, topic }
    if (isNews(`topic ${group} ${topic}`, problem ?? '')) {
      if (problem === null) log.info(about, 'the topic of the group can be read again')
      else log.warn({ ...about, problem }, 'a topic of the group cannot be read')
    }
    const faults = Map.groupBy(partitions, ({ state }) => state)
    faults.delete('ok')
    faults.delete('unknown')
    const numbers = Object.fromEntries(
      [...faults].map(([state, those]) => [state, those.map(({ partition }) => partition)]),
    )
    if (!isNews(`lag ${group} ${topic}`, faults.size === 0 ? '' : JSON.stringify(numbers))) return
    if (faults.size === 0) log.info(about, 'the group reads the topic again')
    else log.warn({ ...about, partitions: numbers }, 'the group does not keep up with the topic')
  }

  return {
    started: (facts: Record<string, unknown>) => log.info(facts, 'lag monitor started'),
    stopped: () => log.info('lag monitor stopped'),
    loopFailed: createLoopFailed(log, monotonicNow),

    /** @param reports of the groups that could be measured: the series of all others are removed. */
    measured(reports: readonly LagReport[]) {
      for (const gauge of [...perPartition, metrics.partitions, metrics.members]) gauge.reset()
      for (const { group, members_total, problem, topics } of reports) {
        metrics.members.set({ consumergroup: group }, members_total)
        metrics.isMeasured.set({ consumergroup: group }, 1)
        metrics.lastSuccess.set({ consumergroup: group }, now() / 1000)
        if (isNews(`group ${group}`, problem ?? '')) {
          if (problem === null) log.info({ group }, 'the lag of the group is known again')
          else log.warn({ group, problem }, 'the lag of the group is not known')
        }
        for (const topic of topics) {
          setTopic(group, topic)
          logTopic(group, topic)
        }
      }
    },
    unmeasured(group: string, error: ServiceError) {
      metrics.isMeasured.set({ consumergroup: group }, 0)
      if (!isNews(`group ${group}`, error.message)) return
      const fields = { group, ...failureFields(error) }
      if (error.failureClass === 'operator') log.error(fields, operatorHint(error))
      else log.warn(fields, 'the lag of the group could not be measured: trying again')
    },
    reportFailed: (error: ServiceError) => redis.failed(error),

    // ---- Redis

    keyMistyped: redis.keyMistyped,
    keyTypeRestored: redis.keyTypeRestored,
    redisConnected: (where: string) => redis.connected(where),
    nodeFailed: (node: string, error: ServiceError) => redis.nodeFailed(node, error),
    nodeRecovered: (node: string, how: 'answers' | 'replaced') => redis.nodeRecovered(node, how),
    redisWorks: () => redis.works(),
    redisFailed: (error: ServiceError) => redis.failed(error),
    /** The worker warns about it. */
    unsafeEviction: (_policy: string) => undefined,
  }
}
