import { Counter, Gauge, Histogram } from 'prom-client'
import { REJECT_REASONS } from '../core/records/parse-record.ts'
import { RECORD_RESULTS } from '../core/records/settle.ts'
import { SUSPICIOUS_TIMES } from '../core/records/suspicious-times.ts'
import { ManyHistogram } from './many-histogram.ts'
import type { ProcessMetrics } from './process-metrics.ts'

export const CONSUMER_STATES = ['waiting', 'joining', 'consuming', 'holding', 'paused', 'stopped'] as const
export type ConsumerState = (typeof CONSUMER_STATES)[number]

export const RESTART_REASONS = ['crash', 'stalled', 'connect_failed'] as const
export type RestartReason = (typeof RESTART_REASONS)[number]

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd', 'unknown'] as const

const DURATIONS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const AGES_S = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400,
]
const BATCH_SIZES = [1, 10, 100, 500, 1000, 2500, 5000, 10_000]

/**
 * The worker's metrics. A label is never a device id, a key or the text of an error. Counters with a closed set of
 * labels start at 0, so that a rate sees their first increment; a gauge is absent until its value is known.
 */
export function createWorkerMetrics({ registry }: ProcessMetrics, topic: string) {
  const registers = [registry]

  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter<L>({ name: `cache_service_${name}`, help, labelNames: [...labelNames], registers })
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) => {
    const created = new Gauge<L>({
      name: `cache_service_${name}`,
      help,
      labelNames: [...labelNames],
      registers,
    })
    if (labelNames.length === 0) created.remove() // prom-client sets it to 0, which would claim a value that is not known
    return created
  }
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name: `cache_service_${name}`, help, buckets, registers })

  const partitionLabels = ['consumergroup', 'topic', 'partition'] as const
  const metrics = {
    messages: counter('messages_total', 'Records consumed, by result.', ['topic', 'result']),
    messageAge: new ManyHistogram({
      name: 'cache_service_message_age_seconds',
      help: 'Time from a record’s timestamp until it is durable in Redis.',
      buckets: AGES_S,
      registers,
    }),
    batchDuration: histogram('batch_duration_seconds', 'Time to make a chunk durable.', DURATIONS_S),
    batchMessages: histogram('batch_messages', 'Records per chunk.', BATCH_SIZES),
    lastApplied: gauge('last_applied_timestamp_seconds', 'Unix time at which a chunk last became durable.'),
    clockSkew: counter(
      'clock_skew_total',
      'Event times replaced by the record time because they were too far ahead of it.',
    ),
    suspiciousTimes: counter(
      'suspicious_times_total',
      'Records whose record time or event time is valid but implausible, by kind.',
      ['kind'],
    ),
    deadLetters: counter('dead_letters_total', 'Records sent to the error topic.', ['reason']),
    checksumFailures: counter(
      'checksum_failures_total',
      'Record batches that arrived with a wrong checksum and were fetched again.',
    ),
    decodeErrors: counter(
      'decode_errors_total',
      'Batches that could not be decompressed, or whose checksum stayed wrong.',
      ['codec'],
    ),
    offsetOutOfRange: counter(
      'offset_out_of_range_total',
      'Fetches at offsets whose records Kafka had already deleted.',
    ),
    rebalances: counter('rebalances_total', 'Consumer group rebalances.'),
    assignedPartitions: gauge('assigned_partitions', 'Partitions that this worker owns.'),
    consumerRestarts: counter('consumer_restarts_total', 'Consumer restarts, by reason.', ['reason']),
    consumerState: gauge('consumer_state', '1 for the current state of the consumer, 0 for the others.', [
      'state',
    ]),
    cacheLoss: counter('cache_loss_total', 'Partitions read again because Redis lost their data.'),
    rebuildInProgress: gauge(
      'rebuild_in_progress',
      '1 while records that Redis does not hold are read again, else 0.',
    ),
    sweeperRemoved: counter(
      'sweeper_removed_total',
      'Ids removed from the device index because their hash had expired.',
    ),
    sweeperLastSuccess: gauge(
      'sweeper_last_success_timestamp_seconds',
      'Unix time at which this worker last swept the device index.',
    ),
    devices: gauge('devices', 'Ids in the device index.'),
    lag: gauge(
      'consumer_lag',
      'Records between the committed offset and the end of the partition.',
      partitionLabels,
    ),
    lagSeconds: gauge(
      'consumer_lag_seconds',
      'Age of the first record that is not durable yet; 0 if the lag is 0.',
      partitionLabels,
    ),
    unreadPartitions: gauge(
      'unread_partitions',
      'Partitions whose records do not reach Redis: those of this worker, and those without a worker (by reason).',
      ['reason'],
    ),
    foreignMembers: gauge(
      'foreign_group_members',
      'Members of the consumer group that are not workers of this topic.',
    ),
    lagLastSuccess: gauge(
      'lag_last_success_timestamp_seconds',
      'Unix time at which the lag was last measured.',
    ),
    redisWriteDuration: histogram(
      'redis_write_duration_seconds',
      'Time to write a chunk to Redis.',
      DURATIONS_S,
    ),
  }
  for (const result of RECORD_RESULTS) metrics.messages.inc({ topic, result }, 0)
  for (const kind of SUSPICIOUS_TIMES) metrics.suspiciousTimes.inc({ kind }, 0)
  for (const reason of REJECT_REASONS) metrics.deadLetters.inc({ reason }, 0)
  for (const codec of CODECS) metrics.decodeErrors.inc({ codec }, 0)
  for (const reason of RESTART_REASONS) metrics.consumerRestarts.inc({ reason }, 0)
  return metrics
}
