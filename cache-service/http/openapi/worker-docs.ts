import type { OperationDocs } from './operation-docs.ts'

const DEAD_LETTER = {
  at: '2026-11-21T09:28:40.112Z',
  reason: 'bad_timestamp',
  topic: 'iot_validated_data',
  partition: 3,
  offset: '4711',
}

const REPORT = {
  id: 'cache-worker-1-4f2a',
  version: '0.1.0',
  group: 'cache_service_group',
  topic: 'iot_validated_data',
  started_at: '2026-11-21T08:00:00.000Z',
  reported_at: '2026-11-21T09:29:25.000Z',
  state: 'consuming',
  ready: true,
  reasons: [],
  rebuilding: false,
  rates: { records: 1234.5, applied: 1201.2, dead_letters: 0.2 },
  totals: { applied: 6_485_120, superseded: 180_022, dead_lettered: 1 },
  dead_letters_total: 1,
  lag: [{ partition: 3, records: 17, seconds: 0.2 }],
  unread: [],
  lag_records: 17,
  devices: 51_200,
  dead_letters: [DEAD_LETTER],
}

const LAG = {
  group: 'influxdb_ingestor',
  measured_at: '2026-11-21T09:29:25.000Z',
  problem: null,
  group_state: 'Stable',
  members: [{ client_id: 'ingestor-1', host: '10.0.0.9', topics: ['iot_validated_data'], partitions: 1 }],
  members_total: 1,
  shared_with: [],
  records: 120,
  topics: [
    {
      topic: 'iot_validated_data',
      problem: null,
      partitions: [
        {
          ...{ partition: 0, state: 'growing', committed: 48_100, earliest: 12_000, end: 48_220 },
          ...{ records: 120, seconds: 14.2, owner: 'ingestor-1 at 10.0.0.9' },
          ...{ deleted_unread: 0, seconds_until_deleted: 604_785.8 },
        },
      ],
    },
  ],
}

const alive = { alive: true, stuck: [] }
const ready = { ready: true, reasons: [] }

/** What the workers report, and the probes. */
export const WORKER_DOCS: Readonly<Record<string, OperationDocs>> = {
  listWorkers: {
    description: 'A worker reports every 5 seconds; a report older than 20 seconds is no longer shown.',
    replies: {
      200: {
        description: 'The latest report of each running worker. Empty: no worker runs.',
        example: { workers: [REPORT] },
      },
    },
  },
  listLag: {
    description:
      'The role `lag-monitor` measures the groups in `LAG_GROUPS` every `LAG_POLL_INTERVAL_S`; a report older than 30 seconds, or three intervals, is no longer shown.',
    replies: {
      200: {
        description: 'The latest report of each group. Empty: no lag monitor runs.',
        example: { groups: [LAG] },
      },
    },
  },
  listDeadLetters: {
    replies: {
      200: {
        description: 'Up to 100 dead letters.',
        example: { dead_letters: [{ worker: REPORT.id, ...DEAD_LETTER }] },
      },
    },
  },
  getLiveness: {
    description: 'For an orchestrator that restarts processes. It does not depend on Redis or Kafka.',
    replies: {
      200: { description: 'Alive.', example: alive },
      503: {
        description: 'A loop is stuck: restart the process.',
        example: { alive: false, stuck: ['event follower'] },
      },
    },
  },
  getReadiness: {
    description:
      'For a load balancer. Succeeds only while Redis answers and the api follows the event streams.',
    replies: {
      200: { description: 'Ready.', example: ready },
      503: {
        description: 'Not ready: send requests elsewhere.',
        example: { ready: false, reasons: ['Redis at redis:6379 has not answered for 5 s'] },
      },
    },
  },
}
