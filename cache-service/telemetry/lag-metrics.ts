import { Gauge } from 'prom-client'
import type { ProcessMetrics } from './process-metrics.ts'

/**
 * The metrics of the lag monitor. They have other names than the worker's, so that a sum never counts a partition twice. All
 * are absent until they are known.
 */
export function createLagMetrics({ registry }: ProcessMetrics) {
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Gauge<L>({ name: `cache_service_${name}`, help, labelNames: [...labelNames], registers: [registry] })
  const ofPartition = ['consumergroup', 'topic', 'partition'] as const

  return {
    lag: gauge(
      'group_lag',
      'Records between the committed offset of any group and the end of the partition, as the lag monitor measures it.',
      ofPartition,
    ),
    lagSeconds: gauge(
      'group_lag_seconds',
      'Age of the first record that the group has not read; 0 if the lag is 0.',
      ofPartition,
    ),
    retentionSeconds: gauge(
      'group_retention_seconds',
      'Seconds until Kafka may delete the first record that the group has not read; absent if none is unread, or unknown.',
      ofPartition,
    ),
    deletedUnread: gauge(
      'group_deleted_unread_records',
      'Offsets after the committed one that Kafka has already deleted.',
      ofPartition,
    ),
    partitions: gauge('group_partitions', 'Partitions that the group reads, by state of their lag.', [
      'consumergroup',
      'topic',
      'state',
    ]),
    members: gauge('group_members', 'Members of the group.', ['consumergroup']),
    isMeasured: gauge(
      'group_lag_measured',
      '1 if the last measurement of the lag of the group succeeded, else 0.',
      ['consumergroup'],
    ),
    lastSuccess: gauge(
      'group_lag_last_success_timestamp_seconds',
      'Unix time at which the lag of the group was last measured.',
      ['consumergroup'],
    ),
  }
}
