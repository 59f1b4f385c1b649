import type { LagReport, PartitionLagReport } from '../../../cache-service/core/workers/lag-report.ts'

/** A partition that is read, apart from the overrides. */
export function partitionLag(more: Partial<PartitionLagReport> = {}): PartitionLagReport {
  return {
    ...{ partition: 0, state: 'ok', committed: 7, earliest: 0, end: 10, records: 3, seconds: 1.5 },
    ...{ owner: 'worker-1 at 10.0.0.7', deleted_unread: 0, seconds_until_deleted: 3_600 },
    ...more,
  }
}

/** The report of a group that reads one topic, apart from the overrides. */
export function lagReport(more: Partial<LagReport> & Pick<LagReport, 'group'>): LagReport {
  return {
    measured_at: '2026-01-01T00:00:05.000Z',
    problem: null,
    group_state: 'Stable',
    members: [{ client_id: 'worker-1', host: '10.0.0.7', topics: ['iot_validated_data'], partitions: 1 }],
    members_total: 1,
    shared_with: [],
    records: 3,
    topics: [{ topic: 'iot_validated_data', problem: null, partitions: [partitionLag()] }],
    ...more,
  }
}
