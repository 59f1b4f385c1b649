import type { NotReadyReason } from '../../../cache-service/lifecycle/readiness.ts'
import { describe, expect, test } from 'vitest'
import { REJECT_REASONS } from '../../../cache-service/core/records/parse-record.ts'
import { RECORD_RESULTS } from '../../../cache-service/core/records/settle.ts'
import { SUSPICIOUS_TIMES } from '../../../cache-service/core/records/suspicious-times.ts'
import {
  createWorkerTelemetry,
  type ChunkApplied,
} from '../../../cache-service/telemetry/worker-telemetry.ts'
import { CONSUMER_STATES, RESTART_REASONS } from '../../../cache-service/telemetry/worker-metrics.ts'
import { createProcessTelemetry } from '../../../cache-service/telemetry/process-telemetry.ts'
import { createProcessMetrics } from '../../../cache-service/telemetry/process-metrics.ts'
import { createApiTelemetry } from '../../../cache-service/telemetry/api-telemetry.ts'
import { createLoopFailed } from '../../../cache-service/telemetry/loop-failed.ts'
import { createRateLimit } from '../../../cache-service/telemetry/rate-limit.ts'
import { createRepeatLimit } from '../../../cache-service/telemetry/repeat-limit.ts'
import { createSummary } from '../../../cache-service/telemetry/summary.ts'
import { internalErrorsInARow, kafkaError, redisError, REDIS_ERROR_CODES } from '../../../shared/errors.ts'
import { createCollectedLog } from '../../support/collected-log.ts'
import { parseMetrics, type Sample } from '../../support/processes/parse-metrics.ts'
import { resultCounts } from '../../support/records/result-counts.ts'

const TOPIC = 'iot_validated_data'
const PREFIX = 'cache_service_'

const oom = redisError(new Error("OOM command not allowed when used memory > 'maxmemory'."))
const noPermission = redisError(
  new Error("NOPERM User worker has no permissions to run the 'evalsha' command"),
)

function setUp(level: 'debug' | 'info' = 'debug') {
  const collected = createCollectedLog(level)
  const metrics = createProcessMetrics('1.2.3', 'v24.21.0', 'worker')
  const world = { nowMs: 1_749_407_237_000, monotonicMs: 0 }
  const telemetry = createWorkerTelemetry(collected.log, metrics, TOPIC, 'group', {
    now: () => world.nowMs,
    monotonicNow: () => world.monotonicMs,
  })

  async function samples(name: string): Promise<Sample[]> {
    const all = parseMetrics(await metrics.registry.metrics())
    return all.filter((sample) => sample.name === PREFIX + name)
  }
  /** The values of a metric, by one of its labels. */
  async function byLabel(name: string, label: string): Promise<Record<string, number>> {
    return Object.fromEntries(
      (await samples(name)).map((sample) => [sample.labels[label] ?? '', sample.value]),
    )
  }
  async function value(name: string): Promise<number | undefined> {
    return (await samples(name))[0]?.value
  }
  return { ...collected, metrics, world, telemetry, samples, byLabel, value }
}

const chunk = (overrides: Partial<ChunkApplied> = {}): ChunkApplied => ({
  partition: 2,
  firstOffset: 10,
  lastOffset: 14,
  records: 5,
  counts: resultCounts({ applied: 3, stale: 2 }),
  clockSkews: 0,
  suspiciousTimes: {},
  recordTimesMs: new Float64Array([1, 2, 3, 4, 5].map((s) => 1_749_407_237_000 - s * 1_000)),
  writeMs: 20,
  totalMs: 30,
  ...overrides,
})

describe('a log line', () => {
  test('is JSON with the time, the name of the level and the service', () => {
    const { telemetry, lines } = setUp()
    telemetry.stopped()
    expect(lines()).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        service: 'cache_service',
        msg: 'worker stopped',
      },
    ])
  })
})

describe('before the first event', () => {
  test('every counter with a closed set of labels is 0 for each label', async () => {
    const { byLabel } = setUp()
    const zero = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, 0]))
    expect(await byLabel('messages_total', 'result')).toEqual(zero(RECORD_RESULTS))
    expect(await byLabel('dead_letters_total', 'reason')).toEqual(zero(REJECT_REASONS))
    expect(await byLabel('suspicious_times_total', 'kind')).toEqual(zero(SUSPICIOUS_TIMES))
    expect(await byLabel('decode_errors_total', 'codec')).toEqual(
      zero(['none', 'unknown', 'gzip', 'snappy', 'lz4', 'zstd']),
    )
    expect(await byLabel('consumer_restarts_total', 'reason')).toEqual(zero(RESTART_REASONS))
    expect(await byLabel('redis_errors_total', 'code')).toEqual(zero(REDIS_ERROR_CODES))
  })

  test.each([
    'clock_skew_total',
    'checksum_failures_total',
    'offset_out_of_range_total',
    'rebalances_total',
    'cache_loss_total',
    'sweeper_removed_total',
    'redis_reconnects_total',
    'message_age_seconds_count',
    'batch_duration_seconds_count',
    'redis_write_duration_seconds_count',
  ])('%s is 0', async (name) => {
    expect(await setUp().value(name)).toBe(0)
  })

  test.each([
    'last_applied_timestamp_seconds',
    'assigned_partitions',
    'consumer_state',
    'rebuild_in_progress',
    'sweeper_last_success_timestamp_seconds',
    'devices',
    'consumer_lag',
    'consumer_lag_seconds',
    'lag_last_success_timestamp_seconds',
    'redis_up',
  ])('%s is absent, since its value is not known', async (name) => {
    expect(await setUp().samples(name)).toEqual([])
  })

  test('build_info has the version, the Node.js version and the role', async () => {
    expect(await setUp().samples('build_info')).toEqual([
      {
        name: 'cache_service_build_info',
        labels: { version: '1.2.3', node_version: 'v24.21.0', role: 'worker' },
        value: 1,
      },
    ])
  })
})

describe('an applied chunk', () => {
  test('is measured, and its records are counted by result', async () => {
    const { telemetry, byLabel, value, samples } = setUp()
    telemetry.chunkApplied(chunk({ clockSkews: 2 }))
    telemetry.chunkApplied(
      chunk({ records: 1, counts: resultCounts({ skipped: 1 }), recordTimesMs: new Float64Array([0]) }),
    )
    expect(await byLabel('messages_total', 'result')).toMatchObject({
      applied: 3,
      stale: 2,
      skipped: 1,
      expired: 0,
    })
    expect((await samples('messages_total')).every(({ labels }) => labels['topic'] === TOPIC)).toBe(true)
    expect(await value('clock_skew_total')).toBe(2)
    expect(await value('message_age_seconds_count')).toBe(6)
    expect(await value('batch_messages_sum')).toBe(6)
    expect(await value('batch_duration_seconds_sum')).toBeCloseTo(0.06)
    expect(await value('redis_write_duration_seconds_sum')).toBeCloseTo(0.04)
    expect(await value('last_applied_timestamp_seconds')).toBe(1_749_407_237)
  })

  test('counts the age of its records from their record times', async () => {
    const { telemetry, value } = setUp()
    telemetry.chunkApplied(chunk())
    expect(await value('message_age_seconds_sum')).toBe(1 + 2 + 3 + 4 + 5)
  })

  test('is logged at level debug only', () => {
    const verbose = setUp('debug')
    verbose.telemetry.chunkApplied(chunk())
    expect(verbose.lines()).toMatchObject([
      { level: 'debug', msg: 'chunk applied', partition: 2, firstOffset: 10, lastOffset: 14, applied: 3 },
    ])
    const usual = setUp('info')
    usual.telemetry.chunkApplied(chunk())
    expect(usual.lines()).toEqual([])
  })
})

describe('dead letters', () => {
  const deadLetter = { partition: 1, offset: 7, reason: 'not_json', detail: 'x' } as const

  test('are counted by reason once they have been sent', async () => {
    const { telemetry, byLabel } = setUp()
    telemetry.deadLetter(deadLetter)
    expect((await byLabel('dead_letters_total', 'reason'))['not_json']).toBe(0)
    telemetry.deadLettersSent(['not_json', 'bad_key', 'not_json'])
    expect(await byLabel('dead_letters_total', 'reason')).toMatchObject({ not_json: 2, bad_key: 1 })
  })

  test('are limited to three lines a second, and the next line says how many were held back', () => {
    const { telemetry, take, world } = setUp()
    for (let i = 0; i < 100; i++) telemetry.deadLetter(deadLetter)
    expect(take()).toHaveLength(3)
    world.monotonicMs += 1_000
    telemetry.deadLetter(deadLetter)
    telemetry.deadLetter(deadLetter)
    const [first, second] = take()
    expect(first).toMatchObject({
      level: 'warn',
      msg: 'dead letter',
      topic: TOPIC,
      ...deadLetter,
      linesHeldBack: 97,
    })
    expect(second).not.toHaveProperty('linesHeldBack')
  })

  test('for a bug in this release are all logged, as errors', () => {
    const { telemetry, lines } = setUp()
    for (let i = 0; i < 10; i++) telemetry.deadLetter({ ...deadLetter, reason: 'internal_error' })
    expect(lines()).toHaveLength(10)
    expect(lines()[0]).toMatchObject({
      level: 'error',
      msg: expect.stringContaining('a bug in this release'),
    })
  })

  test('that were too large for the error topic are logged as warnings', () => {
    const { telemetry, lines } = setUp()
    telemetry.deadLetterShortened(7)
    expect(lines()).toMatchObject([{ level: 'warn', offset: 7 }])
  })
})

describe('holding', () => {
  test('because of an outage is logged as a warning and counted', async () => {
    const { telemetry, lines, byLabel, value } = setUp()
    telemetry.held(1, oom, 3)
    expect(lines()).toMatchObject([
      { level: 'warn', partition: 1, side: 'redis', code: 'OOM', attempt: 3, error: oom.message },
    ])
    expect((await byLabel('redis_errors_total', 'code'))['OOM']).toBe(1)
    expect(await value('redis_up')).toBe(0)
  })

  test('because of a wrong setting is logged as an error that names the setting', () => {
    const { telemetry, lines } = setUp()
    telemetry.held(1, noPermission, 1)
    expect(lines()).toMatchObject([{ level: 'error', msg: expect.stringContaining('REDIS_USERNAME') }])
  })

  test('because of our own code is logged as an error', () => {
    const { telemetry, lines } = setUp()
    telemetry.held(1, internalErrorsInARow(50), 1)
    expect(lines()).toMatchObject([{ level: 'error', msg: expect.stringContaining('release') }])
  })

  test('is logged once a second, and counted each time', async () => {
    const { telemetry, lines, byLabel, world } = setUp()
    for (let i = 0; i < 20; i++) {
      telemetry.held(1, oom, i)
      world.monotonicMs += 100
    }
    expect(lines().length).toBeLessThanOrEqual(3)
    expect((await byLabel('redis_errors_total', 'code'))['OOM']).toBe(20)
  })

  test('because of Kafka leaves redis_up alone', async () => {
    const { telemetry, samples } = setUp()
    telemetry.held(1, kafkaError(new Error('unknown')), 1)
    expect(await samples('redis_up')).toEqual([])
  })

  test('is logged when it ends', () => {
    const { telemetry, lines } = setUp()
    telemetry.released(3, 9_000.4)
    expect(lines()).toMatchObject([{ level: 'info', partition: 3, heldMs: 9_000 }])
  })
})

describe('Redis', () => {
  test('failing repeatedly is logged once a minute for each kind of failure, and counted each time', async () => {
    const { telemetry, take, world, byLabel, value } = setUp()
    for (let i = 0; i < 59; i++) {
      telemetry.redisFailed(oom)
      telemetry.redisFailed(noPermission)
      world.monotonicMs += 1_000
    }
    expect(take()).toMatchObject([
      { level: 'warn', code: 'OOM' },
      { level: 'error', code: 'NOPERM' },
    ])
    world.monotonicMs += 1_000
    telemetry.redisFailed(oom)
    expect(take()).toMatchObject([{ level: 'warn', code: 'OOM', linesHeldBack: 58 }])
    expect((await byLabel('redis_errors_total', 'code'))['OOM']).toBe(60)
    expect(await value('redis_up')).toBe(0)
  })

  test('failing again after a new connection is logged', () => {
    const { telemetry, take } = setUp()
    telemetry.redisFailed(oom)
    telemetry.redisConnected('redis:6379/0')
    telemetry.redisFailed(oom)
    expect(take().map(({ msg }) => msg)).toEqual([
      'Redis does not accept writes',
      'connected to Redis',
      'Redis does not accept writes',
    ])
  })

  test('failing on one connection is not news each time another one works', () => {
    const { log, lines } = createCollectedLog()
    const metrics = createProcessMetrics('1.0.0', 'v24.0.0', 'api')
    const telemetry = createApiTelemetry(log, metrics, () => 0)
    for (let i = 0; i < 5; i++) {
      telemetry.redisFailed('events', noPermission)
      telemetry.redisWorks('api')
    }
    telemetry.redisFailed('api', oom)
    telemetry.redisWorks('api')
    expect(lines()).toMatchObject([
      { level: 'error', connection: 'events' },
      { level: 'warn', connection: 'api', msg: 'Redis is unavailable' },
      { level: 'info', connection: 'api', msg: 'Redis is available again' },
    ])
  })

  test('failing after it worked, and working again, are always logged', async () => {
    const { telemetry, take, value } = setUp()
    telemetry.redisWorks()
    expect(await value('redis_up')).toBe(1)
    for (let i = 0; i < 3; i++) {
      telemetry.redisFailed(oom)
      telemetry.redisWorks()
    }
    expect(take().map(({ msg }) => msg)).toEqual([
      ...['Redis does not accept writes', 'Redis accepts writes again'],
      ...['Redis does not accept writes', 'Redis accepts writes again'],
      ...['Redis does not accept writes', 'Redis accepts writes again'],
    ])
    telemetry.redisWorks()
    expect(take()).toEqual([])
  })

  test('refusing the credentials is logged as an error that names the setting', () => {
    const { telemetry, lines } = setUp()
    telemetry.redisFailed(
      redisError(new Error('WRONGPASS invalid username-password pair or user is disabled.')),
    )
    expect(lines()).toMatchObject([{ level: 'error', msg: expect.stringContaining('REDIS_PASSWORD') }])
  })

  test('connecting again counts as a reconnect, connecting first does not', async () => {
    const { telemetry, lines, value } = setUp()
    telemetry.redisConnected('redis:6379/0')
    expect(await value('redis_reconnects_total')).toBe(0)
    telemetry.redisConnected('redis:6379/0')
    expect(await value('redis_reconnects_total')).toBe(1)
    expect(lines().map(({ msg }) => msg)).toEqual(['connected to Redis', 'reconnected to Redis'])
  })

  test('with an eviction policy is logged as a warning', () => {
    const { telemetry, lines } = setUp()
    telemetry.unsafeEviction('allkeys-lru')
    expect(lines()).toMatchObject([
      { level: 'warn', policy: 'allkeys-lru', msg: expect.stringContaining('noeviction') },
    ])
  })
})

describe('a cache loss', () => {
  test('is counted and logged as a warning, and its rebuild is a gauge and a log line', async () => {
    const { telemetry, lines, value } = setUp()
    telemetry.rebuilding(false)
    expect(await value('rebuild_in_progress')).toBe(0)
    telemetry.cacheLost(3, undefined, 500, 20)
    telemetry.rebuilding(true)
    expect(await value('cache_loss_total')).toBe(1)
    expect(await value('rebuild_in_progress')).toBe(1)
    telemetry.rebuilt(3, 500)
    expect(lines()).toMatchObject([
      { level: 'warn', partition: 3, stored: null, position: 500, rewindTo: 20 },
      { level: 'info', partition: 3, offset: 500 },
    ])
  })

  test('is not what the first fill of an empty cache counts as', async () => {
    const { telemetry, lines, value } = setUp()
    telemetry.firstFill(0, 100)
    expect(await value('cache_loss_total')).toBe(0)
    expect(lines()).toMatchObject([{ level: 'info', until: 100 }])
  })
})

describe('the consumer', () => {
  test('is in one state at a time, and each change of its state is logged once', async () => {
    const { telemetry, lines, byLabel } = setUp()
    telemetry.consumerState('waiting', 'joining')
    telemetry.consumerState('joining', 'waiting', 'no broker')
    telemetry.consumerState('waiting', 'waiting', 'no broker')
    const expected = Object.fromEntries(CONSUMER_STATES.map((name) => [name, name === 'waiting' ? 1 : 0]))
    expect(await byLabel('consumer_state', 'state')).toEqual(expected)
    expect(lines()).toMatchObject([
      { msg: 'consumer joining', from: 'waiting', to: 'joining' },
      { msg: 'consumer waiting', from: 'joining', to: 'waiting', reason: 'no broker' },
    ])
  })

  test('that cannot connect is logged once a minute, and when it consumes again', () => {
    const { telemetry, take, world } = setUp()
    const attempt = () => {
      telemetry.consumerState('waiting', 'joining')
      telemetry.consumerState('joining', 'waiting', 'no broker')
      telemetry.consumerRestart('connect_failed', kafkaError(new Error('no broker')), 1)
      world.monotonicMs += 1_000
    }
    for (let i = 0; i < 60; i++) attempt()
    const three = ['consumer joining', 'consumer waiting', 'consumer ended: a new one will be created']
    expect(take().map(({ msg }) => msg)).toEqual(three)
    attempt()
    expect(take().map(({ msg }) => msg)).toEqual(three)
    telemetry.consumerState('waiting', 'joining')
    telemetry.consumerState('joining', 'consuming')
    attempt()
    expect(take().map(({ msg }) => msg)).toEqual(['consumer consuming', ...three])
  })

  test('has assigned partitions after it has joined, and none after it has left', async () => {
    const { telemetry, value } = setUp()
    telemetry.joined([0, 1, 5], 'member')
    expect(await value('assigned_partitions')).toBe(3)
    expect(await value('rebalances_total')).toBe(1)
    telemetry.leftGroup()
    expect(await value('assigned_partitions')).toBe(0)
  })

  test('is restarted with its reason, as an error if an operator has to act', async () => {
    const { telemetry, lines, byLabel } = setUp()
    telemetry.consumerRestart('stalled', kafkaError(new Error('nothing fetched')), 99.6)
    const denied = Object.assign(new Error('no'), { type: 'TOPIC_AUTHORIZATION_FAILED' })
    telemetry.consumerRestart('crash', kafkaError(denied), 1)
    expect(await byLabel('consumer_restarts_total', 'reason')).toEqual({
      crash: 1,
      stalled: 1,
      connect_failed: 0,
    })
    expect(lines()).toMatchObject([
      { level: 'warn', reason: 'stalled', delayMs: 100 },
      { level: 'error', reason: 'crash', msg: expect.stringContaining('KAFKA_VALIDATED_DATA_TOPIC') },
    ])
  })

  test('logs and counts an offset out of range, and a batch that cannot be decoded', async () => {
    const { telemetry, lines, value, byLabel } = setUp()
    const deleted = { partition: 1, firstOffset: 20, lastOffset: 39 }
    telemetry.offsetOutOfRange(deleted)
    const damaged = { partition: 2, offset: 7 }
    for (let i = 0; i < 5; i++) telemetry.fetchDamaged(damaged)
    telemetry.logRestarted(0, 3)
    const batch = {
      topic: TOPIC,
      partition: 1,
      firstOffset: 40,
      records: 3,
      codec: 'snappy',
      detail: 'corrupt',
    }
    for (let i = 0; i < 5; i++) telemetry.batchUndecodable(batch)
    expect(await value('offset_out_of_range_total')).toBe(1)
    expect(await value('checksum_failures_total')).toBe(5)
    expect((await byLabel('decode_errors_total', 'codec'))['snappy']).toBe(5)
    expect(lines()).toMatchObject([
      { level: 'warn', ...deleted },
      { level: 'warn', ...damaged },
      { level: 'warn', partition: 0, offset: 3 },
      { level: 'error', ...batch },
    ])
  })
})

describe('lag', () => {
  test('has a series for each measured partition, and for no other', async () => {
    const { telemetry, byLabel, samples, value } = setUp()
    telemetry.lagMeasured(
      new Map([
        [0, { records: 5, seconds: 1.5 }],
        [1, { records: 7, seconds: undefined }],
      ]),
    )
    expect(await byLabel('consumer_lag', 'partition')).toEqual({ 0: 5, 1: 7 })
    expect(await byLabel('consumer_lag_seconds', 'partition')).toEqual({ 0: 1.5 })
    telemetry.lagMeasured(new Map([[1, { records: 0, seconds: 0 }]]))
    expect(await samples('consumer_lag')).toEqual([
      {
        name: 'cache_service_consumer_lag',
        labels: { consumergroup: 'group', topic: TOPIC, partition: '1' },
        value: 0,
      },
    ])
    expect(await byLabel('consumer_lag_seconds', 'partition')).toEqual({ 1: 0 })
    expect(await value('lag_last_success_timestamp_seconds')).toBe(1_749_407_237)
  })
})

describe('the consumer group', () => {
  test('is logged as shared once for the same members, and again when it is no longer', async () => {
    const { telemetry, lines, value } = setUp('info')
    telemetry.groupShared(0, '')
    expect(lines()).toEqual([])
    for (let i = 0; i < 3; i++) telemetry.groupShared(2, 'app at h reads u')
    expect(lines()).toMatchObject([
      {
        level: 'error',
        group: 'group',
        members: 'app at h reads u',
        msg: expect.stringContaining('KAFKA_CONSUMER_GROUP_ID'),
      },
    ])
    expect(await value('foreign_group_members')).toBe(2)
    telemetry.foreignMembersUnknown()
    expect(await value('foreign_group_members')).toBe(0)
    telemetry.groupShared(2, 'app at h reads u')
    expect(await value('foreign_group_members')).toBe(2)
    expect(lines()).toHaveLength(1)
    telemetry.groupShared(0, '')
    expect(lines().at(-1)).toMatchObject({ level: 'info', msg: 'the consumer group is no longer shared' })
    expect(await value('foreign_group_members')).toBe(0)
  })

  test('has unread partitions by reason, which are logged when they change', async () => {
    const { telemetry, byLabel, lines } = setUp('info')
    const first = { partition: 1, position: 5, records: 2, reason: 'no_owner', owner: undefined } as const
    telemetry.unreadPartitions([first])
    telemetry.unreadPartitions([{ ...first, records: 3 }])
    expect(lines()).toMatchObject([{ level: 'error', msg: 'partitions stay unread' }])
    expect(await byLabel('unread_partitions', 'reason')).toEqual({
      no_owner: 1,
      other_member: 0,
      no_leader: 0,
      stuck: 0,
    })
    telemetry.unreadPartitions([])
    expect(lines()).toHaveLength(2)
    expect(await byLabel('unread_partitions', 'reason')).toEqual({
      no_owner: 0,
      other_member: 0,
      no_leader: 0,
      stuck: 0,
    })
  })

  test('has no unread partitions while they are unknown, and none is reported as read again', async () => {
    const { telemetry, byLabel, lines } = setUp('info')
    const stuck = { partition: 1, position: 5, records: 2, reason: 'stuck', owner: undefined } as const
    telemetry.unreadPartitions([stuck])
    telemetry.unreadPartitionsUnknown()
    expect(await byLabel('unread_partitions', 'reason')).toEqual({
      no_owner: 0,
      other_member: 0,
      no_leader: 0,
      stuck: 0,
    })
    telemetry.unreadPartitions([])
    telemetry.unreadPartitions([stuck])
    expect(lines().map(({ level }) => level)).toEqual(['error', 'error'])
  })
})

describe('readiness', () => {
  test('is logged when it or the kind of its reasons changes, but not when only the details do', () => {
    const { log, lines } = createCollectedLog('debug')
    const telemetry = createProcessTelemetry(log, () => 0)
    let reasons: NotReadyReason[] = []
    const checks = [() => reasons]
    telemetry.readiness(checks)
    telemetry.readiness(checks)
    reasons = ['Redis at h:1 has not accepted a write: no attempt yet']
    telemetry.readiness(checks)
    reasons = ['Redis at h:1 has not accepted a write: CONNECTION: Connection is closed.']
    telemetry.readiness(checks)
    reasons = ['stopping']
    telemetry.readiness(checks)
    expect(lines()).toMatchObject([
      { msg: 'ready', ready: true, reasons: [] },
      { msg: 'not ready', ready: false, reasons: ['Redis at h:1 has not accepted a write: no attempt yet'] },
      { msg: 'not ready', ready: false, reasons: ['stopping'] },
    ])
  })
})

describe('other events', () => {
  test('are logged, and counted where there is a metric', async () => {
    const { telemetry, lines, value } = setUp()
    telemetry.started({ version: '1.2.3' })
    telemetry.loopFailed('lag', new Error('no broker'))
    telemetry.waitingForTopic('iot')
    telemetry.consumerAbandoned()
    telemetry.progressOverwritten(1, 500, 3)
    telemetry.swept(4, 12.6)
    telemetry.devicesCounted(2)
    telemetry.summary({ lag: 1, devices: 2, state: 'waiting' })
    expect(lines().map(({ level }) => level)).toEqual([
      'info',
      'warn',
      'warn',
      'warn',
      'warn',
      'info',
      'info',
    ])
    expect(await value('sweeper_removed_total')).toBe(4)
    expect(await value('sweeper_last_success_timestamp_seconds')).toBe(1_749_407_237)
    expect(await value('devices')).toBe(2)
    expect(lines().at(-1)).toMatchObject({ msg: 'summary', state: 'waiting', lag: 1, devices: 2 })
  })
})

test('no metric has a label that could hold a device id, a key or the text of an error', async () => {
  const { metrics } = setUp()
  const text = await metrics.registry.metrics()
  const ours = parseMetrics(text).filter(({ name }) => name.startsWith(PREFIX))
  const labels = new Set(ours.flatMap((sample) => Object.keys(sample.labels)))
  const closed = [
    'topic',
    'result',
    'reason',
    'codec',
    'code',
    'state',
    'le',
    'version',
    'node_version',
    'role',
    'kind',
  ]
  expect([...labels].filter((label) => !closed.includes(label))).toEqual([])
})

test('every metric has a help text', async () => {
  const { metrics } = setUp()
  const definitions = await metrics.registry.getMetricsAsJSON()
  expect(definitions.filter(({ help }) => help.length < 5).map(({ name }) => name)).toEqual([])
})

describe('a wall clock that is set back', () => {
  test('holds back no line, and leaves the rate of the summary correct', () => {
    const { telemetry, take, world } = setUp()
    telemetry.chunkApplied(chunk({ records: 180 }))
    telemetry.redisFailed(oom)
    take()
    world.nowMs -= 3_600_000
    world.monotonicMs += 60_000
    telemetry.redisFailed(oom)
    telemetry.summary({ lag: 0, devices: 0, state: 'consuming' })
    expect(take()).toMatchObject([{ code: 'OOM' }, { msg: 'summary', records: 180, perSecond: 3 }])
  })
})

describe('suspicious times', () => {
  test('are counted at once, and are logged once for each kind in each summary interval', async () => {
    const { telemetry, take, byLabel } = setUp('info')
    for (let i = 0; i < 100; i++) {
      const time = { records: 1, oldestMs: 1_749_407_237 + i, newestMs: 1_749_407_237 + i }
      telemetry.chunkApplied(chunk({ suspiciousTimes: { record_time_in_seconds: time } }))
    }
    expect(take()).toEqual([])
    expect(await byLabel('suspicious_times_total', 'kind')).toMatchObject({
      record_time_in_seconds: 100,
      expired: 0,
    })
    const summary = { lag: 0, devices: 0, state: 'consuming' }
    telemetry.summary(summary)
    expect(take()).toMatchObject([
      {
        level: 'warn',
        kind: 'record_time_in_seconds',
        records: 100,
        oldest: '1970-01-21T05:56:47.237000+00:00',
        newest: '1970-01-21T05:56:47.336000+00:00',
        msg: expect.stringMatching(
          /are not written \(unless REDIS_METADATA_TTL is 0\); correct the producer/,
        ),
      },
      { msg: 'summary' },
    ])
    telemetry.summary(summary)
    expect(take()).toMatchObject([{ msg: 'summary' }])
  })
})

describe('a loss of the cache', () => {
  test('of hundreds of partitions is counted for each, and is logged in two lines', async () => {
    const { telemetry, take, value } = setUp()
    for (let partition = 0; partition < 300; partition++) telemetry.cacheLost(partition, 5, 9, 5)
    expect(take()).toMatchObject([{ level: 'warn', partition: 0, stored: 5, position: 9, rewindTo: 5 }])
    telemetry.summary({ lag: 0, devices: 0, state: 'consuming' })
    const [others, summary] = take()
    expect(others).toMatchObject({ level: 'warn', msg: expect.stringContaining('Redis lost data') })
    expect(others?.['partitions']).toHaveLength(299)
    expect(summary).toMatchObject({ msg: 'summary' })
    expect(await value('cache_loss_total')).toBe(300)
  })

  test('is logged and counted differently from a rebuild that was requested', async () => {
    const { telemetry, lines, value } = setUp()
    telemetry.rebuildRequested(0, 9, 5)
    telemetry.stopped()
    expect(lines()).toMatchObject([{ level: 'info', partition: 0, position: 9 }, { msg: 'worker stopped' }])
    expect(await value('cache_loss_total')).toBe(0)
  })
})

describe('a rate limit', () => {
  test('passes its number a second, and returns how many it held back', () => {
    let nowMs = 5_000
    const { pass } = createRateLimit(2, () => nowMs)
    expect([pass(), pass(), pass(), pass()]).toEqual([0, 0, undefined, undefined])
    nowMs = 5_999
    expect(pass()).toBeUndefined()
    nowMs = 6_000
    expect([pass(), pass(), pass()]).toEqual([3, 0, undefined])
    nowMs = 60_000
    expect(pass()).toBe(1)
  })
})

describe('a repeat limit', () => {
  test('passes each line once a minute, and returns how many it held back', () => {
    let nowMs = 0
    const { pass, reset } = createRepeatLimit(() => nowMs)
    expect([pass('a'), pass('a'), pass('b'), pass('a')]).toEqual([0, undefined, 0, undefined])
    nowMs = 60_000
    expect([pass('a'), pass('a')]).toEqual([2, undefined])
    reset()
    expect(pass('a')).toBe(0)
    nowMs = 300_000
    expect(pass('a')).toBe(0)
  })
})

describe('a loop that fails', () => {
  test('is logged once a minute for each error', () => {
    const { log, lines } = createCollectedLog()
    const loopFailed = createLoopFailed(log, () => 0)
    for (let i = 0; i < 3; i++) {
      loopFailed('lag', new Error('no broker'))
      loopFailed('group', new Error('no broker'))
      loopFailed('lag', new Error('timed out'))
    }
    expect(lines()).toMatchObject([
      { loop: 'lag', error: 'no broker' },
      { loop: 'group', error: 'no broker' },
      { loop: 'lag', error: 'timed out' },
    ])
  })
})

describe('the summary', () => {
  test('covers what happened since the last one', () => {
    const { log, lines } = createCollectedLog()
    let nowMs = 0
    const summary = createSummary(log, () => nowMs)
    summary.add(resultCounts({ applied: 30, stale: 10 }), 40)
    summary.add(resultCounts({ applied: 5 }), 5)
    nowMs = 10_000
    summary.write({ lag: 7, devices: 3, state: 'consuming' })
    nowMs = 20_000
    summary.write({ lag: undefined, devices: undefined, state: 'waiting' })
    expect(lines()).toMatchObject([
      {
        msg: 'summary',
        state: 'consuming',
        records: 45,
        perSecond: 5,
        lag: 7,
        devices: 3,
        applied: 35,
        stale: 10,
      },
      {
        msg: 'summary',
        state: 'waiting',
        records: 0,
        perSecond: 0,
        lag: null,
        devices: null,
        applied: 0,
        stale: 0,
      },
    ])
  })
})
