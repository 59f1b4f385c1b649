// The dashboards of Grafana. `node test/write-docs.ts` writes them to deploy/grafana/dashboards/, from where Grafana
// provisions them; a test compares the files, and has promtool parse every expression. It is one table of panels, hence its length.
import {
  renderDashboard,
  type DashboardParts,
  type Panel,
  type Query,
  type Unit,
  type Variable,
} from './panels.ts'

const INSTANCE: Variable = {
  name: 'instance',
  label: 'Instance',
  query: 'label_values(cache_service_build_info, instance)',
}
const GROUP: Variable = {
  name: 'group',
  label: 'Consumer group',
  query: 'label_values(cache_service_consumer_lag, consumergroup)',
}
const ANY_GROUP: Variable = {
  ...GROUP,
  query: 'label_values(cache_service_group_members, consumergroup)',
}
/** Every series of the instances that are selected. */
const I = 'instance=~"$instance"'
const G = `${I}, consumergroup=~"$group"`
const RATE = '[$__rate_interval]'

type Shape = Pick<Panel, 'limit' | 'isStacked'> & { readonly width?: number }

const chart = (
  title: string,
  description: string,
  unit: Unit,
  queries: readonly Query[],
  shape: Shape = {},
): Panel => ({
  type: 'timeseries',
  width: 12,
  title,
  description,
  unit,
  queries,
  ...shape,
})
const stat = (
  title: string,
  description: string,
  unit: Unit,
  expr: string,
  legend: string,
  shape: Shape = {},
): Panel => ({
  type: 'stat',
  width: 6,
  title,
  description,
  unit,
  queries: [{ expr, legend }],
  ...shape,
})
const query = (expr: string, legend: string): Query => ({ expr, legend })

const quantiles = (metric: string, labels: string): Query[] =>
  [0.5, 0.95, 0.99].map((q) =>
    query(`histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket{${labels}}${RATE})))`, `p${q * 100}`),
  )

const worker: DashboardParts = {
  uid: 'cache-service-worker',
  title: 'Device cache: worker',
  description: 'What workers read, write and reject, and what keeps them from it.',
  variables: [INSTANCE],
  panels: [
    stat(
      'Consuming',
      'Workers that consume, of those that are scraped.',
      'short',
      `sum(cache_service_consumer_state{${I}, state="consuming"})`,
      '',
    ),
    stat(
      'Holding',
      'Workers that cannot write a chunk.',
      'short',
      `sum(cache_service_consumer_state{${I}, state=~"holding|paused"})`,
      '',
      { limit: 1 },
    ),
    stat(
      'Rebuilding',
      'Workers that fill Redis.',
      'short',
      `sum(cache_service_rebuild_in_progress{${I}})`,
      '',
      { limit: 1 },
    ),
    stat('Devices', 'Ids in the device index.', 'short', `max(cache_service_devices{${I}})`, ''),
    chart(
      'Records by result',
      'The sum is what was consumed.',
      'ops',
      [query(`sum by (result) (rate(cache_service_messages_total{${I}}${RATE}))`, '{{result}}')],
      { isStacked: true },
    ),
    chart(
      'Age when durable',
      'Time from the timestamp of a record until it is in Redis.',
      's',
      quantiles('cache_service_message_age_seconds', I),
    ),
    chart(
      'Dead letters by reason',
      'Records that can never be applied.',
      'ops',
      [query(`sum by (reason) (rate(cache_service_dead_letters_total{${I}}${RATE})) > 0`, '{{reason}}')],
      { isStacked: true },
    ),
    chart('Suspicious times and clock skew', 'Records whose times are valid, but implausible.', 'ops', [
      query(`sum by (kind) (rate(cache_service_suspicious_times_total{${I}}${RATE})) > 0`, '{{kind}}'),
      query(`sum(rate(cache_service_clock_skew_total{${I}}${RATE}))`, 'event time in the future'),
    ]),
    chart('Time per chunk', 'Until a chunk is durable, and the part of it that Redis needs.', 's', [
      ...quantiles('cache_service_batch_duration_seconds', I),
      query(
        `histogram_quantile(0.99, sum by (le) (rate(cache_service_redis_write_duration_seconds_bucket{${I}}${RATE})))`,
        'Redis p99',
      ),
    ]),
    chart('Records per chunk', 'Mean.', 'short', [
      query(
        `sum by (instance) (rate(cache_service_batch_messages_sum{${I}}${RATE})) / sum by (instance) (rate(cache_service_batch_messages_count{${I}}${RATE}))`,
        '{{instance}}',
      ),
    ]),
    chart(
      'Partitions by worker',
      'An owner for each partition: the sum is the number of partitions.',
      'short',
      [query(`cache_service_assigned_partitions{${I}}`, '{{instance}}')],
      { isStacked: true },
    ),
    chart('Rebalances and restarts', 'Within 5 minutes.', 'short', [
      query(
        `sum by (instance) (increase(cache_service_rebalances_total{${I}}[5m]))`,
        '{{instance}} rebalances',
      ),
      query(
        `sum by (instance, reason) (increase(cache_service_consumer_restarts_total{${I}}[5m])) > 0`,
        '{{instance}} {{reason}}',
      ),
    ]),
    chart(
      'Lost and undecodable',
      'Within 5 minutes: partitions that Redis lost, offsets that Kafka deleted unread, batches that cannot be decoded.',
      'short',
      [
        query(`sum(increase(cache_service_cache_loss_total{${I}}[5m]))`, 'cache loss'),
        query(`sum(increase(cache_service_offset_out_of_range_total{${I}}[5m]))`, 'deleted by Kafka'),
        query(`sum(increase(cache_service_decode_errors_total{${I}}[5m]))`, 'undecodable'),
        query(`sum(increase(cache_service_checksum_failures_total{${I}}[5m]))`, 'damaged, fetched again'),
      ],
    ),
    chart('CPU, of one processor', '', 'percentunit', [
      query(`rate(process_cpu_seconds_total{job="cache_service", ${I}}${RATE})`, '{{instance}}'),
    ]),
    chart('Memory', 'Resident.', 'bytes', [
      query(`process_resident_memory_bytes{job="cache_service", ${I}}`, '{{instance}}'),
    ]),
    chart('Event loop delay', '99 of 100 turns are shorter.', 's', [
      query(`nodejs_eventloop_lag_p99_seconds{job="cache_service", ${I}}`, '{{instance}}'),
    ]),
  ],
}

const lag: DashboardParts = {
  uid: 'cache-service-lag',
  title: 'Device cache: lag',
  description: 'How far Redis is behind the topic, and which partition.',
  variables: [INSTANCE, GROUP],
  panels: [
    stat(
      'Behind',
      'Age of the oldest record that is not durable.',
      's',
      `max(cache_service_consumer_lag_seconds{${G}})`,
      '',
      { limit: 60 },
    ),
    stat('Records behind', 'All partitions together.', 'short', `sum(cache_service_consumer_lag{${G}})`, ''),
    stat(
      'Unread partitions',
      'Their records do not reach Redis.',
      'short',
      `max(sum by (instance) (cache_service_unread_partitions{${I}}))`,
      '',
      { limit: 1 },
    ),
    stat(
      'Last measured',
      '',
      'dateTimeFromNow',
      `max(cache_service_lag_last_success_timestamp_seconds{${I}}) * 1000`,
      '',
    ),
    chart(
      'Seconds behind, by partition',
      '',
      's',
      [
        query(
          `max by (topic, partition) (cache_service_consumer_lag_seconds{${G}})`,
          '{{topic}} {{partition}}',
        ),
      ],
      { limit: 60 },
    ),
    chart(
      'Records behind, by partition',
      '',
      'short',
      [query(`sum by (topic, partition) (cache_service_consumer_lag{${G}})`, '{{topic}} {{partition}}')],
      { isStacked: true },
    ),
    chart(
      'Growth of the lag',
      'Records per second over 15 minutes: above 0, more is written than read.',
      'ops',
      [
        query(
          `sum by (consumergroup, topic) (deriv(cache_service_consumer_lag{${G}}[15m]))`,
          '{{consumergroup}} {{topic}}',
        ),
      ],
    ),
    chart('Unread partitions by reason', 'According to each worker.', 'short', [
      query(`cache_service_unread_partitions{${I}} > 0`, '{{instance}} {{reason}}'),
    ]),
    chart(
      'Members that are no workers',
      'Of the consumer group.',
      'short',
      [query(`max by (instance) (cache_service_foreign_group_members{${I}})`, '{{instance}}')],
      { limit: 1 },
    ),
    chart(
      'Records behind, all consumer groups',
      'As kafka_exporter sees them, also while no worker runs.',
      'short',
      [query('sum by (consumergroup, topic) (kafka_consumergroup_lag >= 0)', '{{consumergroup}} {{topic}}')],
    ),
    chart('Members of the consumer groups', '', 'short', [
      query('kafka_consumergroup_members', '{{consumergroup}}'),
    ]),
    chart('Records written', 'Per topic.', 'ops', [
      query(`sum by (topic) (rate(kafka_topic_partition_current_offset{topic!~"__.*"}${RATE}))`, '{{topic}}'),
    ]),
  ],
}

const lagMonitor: DashboardParts = {
  uid: 'cache-service-lag-monitor',
  title: 'Device cache: lag monitor',
  description:
    'The platform from outside the workers: whether records arrive, and the lag of all consumer groups.',
  variables: [INSTANCE, ANY_GROUP],
  panels: [
    stat(
      'Canary arrived last',
      '',
      'dateTimeFromNow',
      `max(cache_service_canary_last_success_timestamp_seconds{${I}}) * 1000`,
      '',
    ),
    stat(
      'Canary records lost',
      'Within an hour: they did not arrive within 30 seconds.',
      'short',
      `sum(increase(cache_service_canary_records_total{${I}, result!="arrived"}[1h]))`,
      '',
      { limit: 1 },
    ),
    stat(
      'Behind',
      'Age of the oldest record that a group has not read.',
      's',
      `max(cache_service_group_lag_seconds{${G}})`,
      '',
      { limit: 300 },
    ),
    stat(
      'Measured',
      '1: the lag of every group could be measured.',
      'bool',
      `min(cache_service_group_lag_measured{${G}})`,
      '',
    ),
    chart('Latency of the canary', 'From sending a record; half of them are faster, and 99 of 100.', 's', [
      ...[0.5, 0.99].map((q) =>
        query(
          `histogram_quantile(${q}, sum by (le, stage) (rate(cache_service_canary_latency_seconds_bucket{${I}}[5m])))`,
          `{{stage}} p${q * 100}`,
        ),
      ),
    ]),
    chart(
      'Canary records by result',
      'Within 5 minutes.',
      'short',
      [query(`sum by (result) (increase(cache_service_canary_records_total{${I}}[5m])) > 0`, '{{result}}')],
      { isStacked: true },
    ),
    chart(
      'Seconds behind',
      'Age of the first record that the group has not read.',
      's',
      [
        query(
          `max by (consumergroup, topic) (cache_service_group_lag_seconds{${G}})`,
          '{{consumergroup}} {{topic}}',
        ),
      ],
      { limit: 300 },
    ),
    chart('Records behind', '', 'short', [
      query(
        `sum by (consumergroup, topic) (max by (consumergroup, topic, partition) (cache_service_group_lag{${G}}))`,
        '{{consumergroup}} {{topic}}',
      ),
    ]),
    chart('Growth of the lag', 'Records per second over 15 minutes.', 'ops', [
      query(
        `sum by (consumergroup, topic) (deriv(cache_service_group_lag{${G}}[15m]))`,
        '{{consumergroup}} {{topic}}',
      ),
    ]),
    chart(
      'Partitions that are not read as they should be',
      'By state: growing, standing, no_consumer, shared, no_leader.',
      'short',
      [
        query(
          `max by (consumergroup, topic, state) (cache_service_group_partitions{${G}, state!~"ok|unknown"}) > 0`,
          '{{consumergroup}} {{topic}} {{state}}',
        ),
      ],
    ),
    chart(
      'Time until Kafka deletes unread records',
      'The shortest of each topic. Gap: nothing is unread.',
      's',
      [
        query(
          `min by (consumergroup, topic) (cache_service_group_retention_seconds{${G}})`,
          '{{consumergroup}} {{topic}}',
        ),
      ],
    ),
    chart(
      'Deleted unread',
      'Offsets after the committed one that Kafka has deleted.',
      'short',
      [
        query(
          `max by (consumergroup, topic) (cache_service_group_deleted_unread_records{${G}})`,
          '{{consumergroup}} {{topic}}',
        ),
      ],
      { limit: 1 },
    ),
    chart('Members of the groups', '', 'short', [
      query(`max by (consumergroup) (cache_service_group_members{${G}})`, '{{consumergroup}}'),
    ]),
  ],
}

const redis: DashboardParts = {
  uid: 'cache-service-redis',
  title: 'Device cache: Redis',
  description: 'Redis as the service and as redis_exporter see it.',
  variables: [INSTANCE],
  panels: [
    stat('Redis works', 'For every instance.', 'bool', `min(cache_service_redis_up{${I}})`, ''),
    stat(
      'Memory used',
      'Of maxmemory; a full Redis refuses writes.',
      'percentunit',
      'max(redis_memory_used_bytes / (redis_memory_max_bytes > 0))',
      '',
      { limit: 0.9 },
    ),
    stat(
      'Evicted keys',
      'Within an hour. Devices must not be evicted: maxmemory-policy noeviction.',
      'short',
      'sum(increase(redis_evicted_keys_total[1h]))',
      '',
      { limit: 1 },
    ),
    stat('Replicas', '', 'short', 'sum(redis_connected_slaves)', ''),
    chart('Write of a chunk', '', 's', quantiles('cache_service_redis_write_duration_seconds', I)),
    chart(
      'Errors by code',
      '',
      'ops',
      [query(`sum by (code) (rate(cache_service_redis_errors_total{${I}}${RATE})) > 0`, '{{code}}')],
      { isStacked: true },
    ),
    chart('Reconnections', 'Within 5 minutes.', 'short', [
      query(`sum by (instance) (increase(cache_service_redis_reconnects_total{${I}}[5m]))`, '{{instance}}'),
    ]),
    chart('Memory', '', 'bytes', [
      query('redis_memory_used_bytes', 'used'),
      query('redis_memory_max_bytes > 0', 'maxmemory'),
    ]),
    chart('Commands', '', 'ops', [query(`sum by (cmd) (rate(redis_commands_total${RATE})) > 0`, '{{cmd}}')], {
      isStacked: true,
    }),
    chart('CPU, of one processor', '', 'percentunit', [
      query(
        `rate(redis_cpu_user_seconds_total${RATE}) + rate(redis_cpu_sys_seconds_total${RATE})`,
        '{{instance}}',
      ),
    ]),
    chart('Keys', '', 'short', [
      query('redis_db_keys > 0', '{{db}}'),
      query(`max(cache_service_devices{${I}})`, 'device index'),
    ]),
    chart(
      'Swept',
      'Ids that were removed from the device index after their hash had expired, within 5 minutes.',
      'short',
      [query(`sum(increase(cache_service_sweeper_removed_total{${I}}[5m]))`, 'removed')],
    ),
    chart('Persistence', '1: the last save, and the last write to the append-only file, succeeded.', 'bool', [
      query('redis_rdb_last_bgsave_status', 'save'),
      query('redis_aof_last_write_status', 'append-only file'),
    ]),
    chart('Clients and slow commands', '', 'short', [
      query('redis_connected_clients', 'clients'),
      query('redis_slowlog_length', 'entries in the slow log'),
    ]),
  ],
}

const api: DashboardParts = {
  uid: 'cache-service-api',
  title: 'Device cache: API',
  description: 'Requests, errors and latency of the API.',
  variables: [INSTANCE],
  panels: [
    stat('Requests', '', 'ops', `sum(rate(cache_service_http_requests_total{${I}}${RATE}))`, ''),
    stat(
      'Failed',
      'With a status of 500 or more.',
      'percentunit',
      `sum(rate(cache_service_http_requests_total{${I}, status=~"5.."}${RATE})) / sum(rate(cache_service_http_requests_total{${I}}${RATE}))`,
      '',
      { limit: 0.05 },
    ),
    stat(
      'Lookup p99',
      'One device, or up to 1,000 in one request.',
      's',
      `max(instance:cache_service_lookup_duration_seconds:p99_5m{${I}})`,
      '',
      { limit: 1 },
    ),
    stat(
      'Tokens file',
      '1: the tokens in use are those of API_TOKENS_FILE.',
      'bool',
      `min(cache_service_tokens_file_valid{${I}})`,
      '',
    ),
    chart(
      'Requests by route',
      '',
      'ops',
      [
        query(
          `sum by (method, route) (rate(cache_service_http_requests_total{${I}}${RATE})) > 0`,
          '{{method}} {{route}}',
        ),
      ],
      { isStacked: true },
    ),
    chart(
      'Responses of 400 and more',
      '',
      'ops',
      [
        query(
          `sum by (route, status) (rate(cache_service_http_requests_total{${I}, status=~"[45].."}${RATE})) > 0`,
          '{{status}} {{route}}',
        ),
      ],
      { isStacked: true },
    ),
    chart('Latency by route', '99 of 100 requests are faster.', 's', [
      query(
        `histogram_quantile(0.99, sum by (le, route) (rate(cache_service_http_request_duration_seconds_bucket{${I}}${RATE})))`,
        '{{route}}',
      ),
    ]),
    chart(
      'Device lookups by result',
      '',
      'ops',
      [query(`sum by (result) (rate(cache_service_cache_lookups_total{${I}}${RATE}))`, '{{result}}')],
      { isStacked: true },
    ),
    chart(
      'Lookups from memory',
      'Of the devices that are looked up, the part that the API has in memory. Gap: Redis does not report changes.',
      'percentunit',
      [
        query(
          `sum by (instance) (rate(cache_service_lookup_cache_reads_total{${I},result="hit"}${RATE})) / sum by (instance) (rate(cache_service_lookup_cache_reads_total{${I}}${RATE})) and on (instance) cache_service_lookup_cache_active{${I}} == 1`,
          '{{instance}}',
        ),
      ],
    ),
    chart('Connections closed', 'Because of a limit, or because the client no longer reads.', 'ops', [
      query(`sum by (reason) (rate(cache_service_http_connections_closed_total{${I}}${RATE}))`, '{{reason}}'),
    ]),
    chart('Searches', 'Scans of all devices, by result, and the mean time of one.', 'short', [
      query(
        `sum by (result) (increase(cache_service_device_scans_total{${I}}[5m])) > 0`,
        '{{result}} in 5 minutes',
      ),
      query(
        `sum(rate(cache_service_device_scan_duration_seconds_sum{${I}}${RATE})) / sum(rate(cache_service_device_scan_duration_seconds_count{${I}}${RATE}))`,
        'seconds',
      ),
    ]),
  ],
}

const events: DashboardParts = {
  uid: 'cache-service-events',
  title: 'Device cache: events',
  description: 'Updates that services publish, and the event streams of clients.',
  variables: [INSTANCE],
  panels: [
    stat('Event streams', 'Clients of /api/events.', 'short', `sum(cache_service_sse_clients{${I}})`, ''),
    stat('Events sent', '', 'ops', `sum(rate(cache_service_sse_events_sent_total{${I}}${RATE}))`, ''),
    stat(
      'Updates',
      'Received by the kv-updaters; each receives all.',
      'ops',
      `sum(rate(cache_service_updates_total{${I}}${RATE}))`,
      '',
    ),
    stat(
      'Lost subscriptions',
      'Within an hour. What was published meanwhile is missing.',
      'short',
      `sum(increase(cache_service_pubsub_gaps_total{${I}}[1h]))`,
      '',
      { limit: 1 },
    ),
    chart(
      'Updates by result',
      '',
      'ops',
      [
        query(
          `sum by (instance, result) (rate(cache_service_updates_total{${I}}${RATE})) > 0`,
          '{{instance}} {{result}}',
        ),
      ],
      { isStacked: true },
    ),
    chart('Clients by instance', '', 'short', [query(`cache_service_sse_clients{${I}}`, '{{instance}}')], {
      isStacked: true,
    }),
    chart('Events sent by instance', 'Each is counted once per client.', 'ops', [
      query(`sum by (instance) (rate(cache_service_sse_events_sent_total{${I}}${RATE}))`, '{{instance}}'),
    ]),
    chart('Streams that were closed', 'By the server.', 'ops', [
      query(`sum by (reason) (rate(cache_service_sse_dropped_total{${I}}${RATE}))`, '{{reason}}'),
    ]),
  ],
}

export const dashboards = [worker, lag, lagMonitor, redis, api, events].map((parts) => ({
  path: `deploy/grafana/dashboards/${parts.uid}.json`,
  parts,
  render: () => renderDashboard(parts),
}))
