import { createLoopFailed } from './loop-failed.ts'
import type { ServiceError } from '../../shared/errors.ts'
import { describeUnread, UNREAD_REASONS, type UnreadCandidate } from '../core/workers/unread-partitions.ts'
import type { RejectReason } from '../core/records/parse-record.ts'
import type { ResultCounts } from '../core/records/settle.ts'
import { failureFields, operatorHint } from '../core/operator-hint.ts'
import { rangesOf, type SuspiciousTimes } from '../core/records/suspicious-times.ts'
import type { Clocks } from '../lifecycle/clocks.ts'
import type { Logger } from './logger.ts'
import {
  CONSUMER_STATES,
  type ConsumerState,
  createWorkerMetrics,
  type RestartReason,
} from './worker-metrics.ts'
import { createPartitionLines } from './partition-lines.ts'
import type { ProcessMetrics } from './process-metrics.ts'
import { createRateLimit, heldBackField } from './rate-limit.ts'
import { createRepeatLimit } from './repeat-limit.ts'
import { createRedisTelemetry } from './redis-telemetry.ts'
import { createSuspiciousTimeLines } from './suspicious-time-lines.ts'
import { createSummary, type SummaryFacts } from './summary.ts'

export type WorkerTelemetry = ReturnType<typeof createWorkerTelemetry>

export type ChunkApplied = {
  readonly partition: number
  readonly firstOffset: number
  readonly lastOffset: number
  readonly records: number
  readonly counts: ResultCounts
  readonly clockSkews: number
  readonly suspiciousTimes: SuspiciousTimes
  readonly recordTimesMs: Float64Array
  readonly writeMs: number
  readonly totalMs: number
}

export type UndecodableBatchFacts = {
  readonly topic: string
  readonly partition: number
  readonly firstOffset: number
  readonly records: number
  readonly codec: string
  readonly detail: string
}

export type DeadLettered = {
  readonly partition: number
  readonly offset: number
  readonly reason: RejectReason
  readonly detail: string
}

const DEAD_LETTER_LINES_PER_SECOND = 3
const TROUBLE_LINES_PER_SECOND = 1

/** One function per thing that happens, which both logs and counts it. Output only: nothing reads it back. */
export function createWorkerTelemetry(
  log: Logger,
  processMetrics: ProcessMetrics,
  topic: string,
  group: string,
  { monotonicNow, now }: Clocks,
) {
  const metrics = createWorkerMetrics(processMetrics, topic)
  const deadLetterLines = createRateLimit(DEAD_LETTER_LINES_PER_SECOND, monotonicNow)
  const redis = createRedisTelemetry(log, processMetrics, monotonicNow, {
    fails: 'Redis does not accept writes',
    works: 'Redis accepts writes again',
  })
  const failureLines = createRateLimit(TROUBLE_LINES_PER_SECOND, monotonicNow)
  const shortenedLines = createRateLimit(TROUBLE_LINES_PER_SECOND, monotonicNow)
  const outOfRangeLines = createRateLimit(TROUBLE_LINES_PER_SECOND, monotonicNow)
  const damageLines = createRateLimit(TROUBLE_LINES_PER_SECOND, monotonicNow)
  const consumerLines = createRepeatLimit(monotonicNow)
  const summary = createSummary(log, monotonicNow)
  const timeLines = createSuspiciousTimeLines(log)
  const lines = createPartitionLines(log, monotonicNow)
  const pausedLine = lines.kind('warn', 'consumption paused until a probe succeeds')
  const releasedLine = lines.kind('info', 'no longer holding: the chunk is durable')
  const cacheLostLine = lines.kind('warn', 'Redis lost data that Kafka still has: reading it again')
  const requestedLine = lines.kind('info', 'a rebuild was requested: reading the partition again')
  const firstFillLine = lines.kind(
    'info',
    'filling an empty cache: the topic is read from its earliest record',
  )
  const rebuiltLine = lines.kind('info', 'the rebuild of the partition is complete')
  const overwrittenLine = lines.kind(
    'warn',
    'overwrote the progress in Redis: it is beyond the end of the topic, which was deleted and created again',
  )
  const seconds = () => now() / 1000
  let foreignMembers = ''
  let unreadPartitions = ''
  function countUnread(unread: readonly UnreadCandidate[]): void {
    for (const reason of UNREAD_REASONS)
      metrics.unreadPartitions.set({ reason }, unread.filter((one) => one.reason === reason).length)
  }
  const partitionLabels = (partition: number) => ({
    consumergroup: group,
    topic,
    partition: String(partition),
  })

  return {
    started: (facts: Record<string, unknown>) => log.info(facts, 'worker started'),
    stopped() {
      lines.flush()
      timeLines.flush()
      log.info('worker stopped')
    },
    loopFailed: createLoopFailed(log, monotonicNow),

    // ---- records

    chunkApplied(chunk: ChunkApplied) {
      summary.add(chunk.counts, chunk.records)
      for (const [result, count] of Object.entries(chunk.counts)) {
        if (count > 0) metrics.messages.inc({ topic, result }, count)
      }
      if (chunk.clockSkews > 0) metrics.clockSkew.inc(chunk.clockSkews)
      timeLines.add(chunk.suspiciousTimes)
      for (const [kind, { records }] of rangesOf(chunk.suspiciousTimes))
        metrics.suspiciousTimes.inc({ kind }, records)
      const nowMs = now()
      metrics.messageAge.observeMany(chunk.recordTimesMs.map((recordMs) => (nowMs - recordMs) / 1000))
      metrics.redisWriteDuration.observe(chunk.writeMs / 1000)
      metrics.batchDuration.observe(chunk.totalMs / 1000)
      metrics.batchMessages.observe(chunk.records)
      metrics.lastApplied.set(nowMs / 1000)
      if (!log.isLevelEnabled('debug')) return
      const { partition, firstOffset, lastOffset, records, counts, writeMs, totalMs } = chunk
      log.debug({ partition, firstOffset, lastOffset, records, ...counts, writeMs, totalMs }, 'chunk applied')
    },
    summary(facts: SummaryFacts) {
      lines.flush()
      timeLines.flush()
      summary.write(facts)
    },
    /** Only logs; deadLettersSent counts. */
    deadLetter(deadLetter: DeadLettered) {
      const heldBack = deadLetter.reason === 'internal_error' ? 0 : deadLetterLines.pass()
      if (heldBack === undefined) return
      const fields = { topic, ...deadLetter, ...heldBackField(heldBack) }
      if (deadLetter.reason === 'internal_error')
        log.error(fields, 'dead letter: a bug in this release failed on this record')
      else log.warn(fields, 'dead letter')
    },
    deadLettersSent(reasons: readonly RejectReason[]) {
      for (const reason of reasons) metrics.deadLetters.inc({ reason })
    },
    deadLetterShortened(offset: number) {
      const heldBack = shortenedLines.pass()
      if (heldBack !== undefined)
        log.warn(
          { offset, ...heldBackField(heldBack) },
          'dead letter is too large for the error topic: sent without the original bytes',
        )
    },

    // ---- holding

    held(partition: number, error: ServiceError, attempt: number) {
      if (error.side === 'redis') redis.count(error)
      const heldBack = failureLines.pass()
      if (heldBack === undefined) return
      const fields = { partition, side: error.side, attempt, ...failureFields(error) }
      if (error.failureClass === 'operator') log.error(fields, `holding: ${operatorHint(error)}`)
      else if (error.side === 'own')
        log.error(
          fields,
          'holding: a bug in this release fails on these records; deploy a release that can process them',
        )
      else log.warn(fields, 'holding: the chunk will be tried again')
    },
    paused: (partition: number, { code, message }: ServiceError) =>
      pausedLine(partition, { code, error: message }),
    released: (partition: number, heldMs: number) => releasedLine(partition, { heldMs: Math.round(heldMs) }),

    // ---- cache loss

    cacheLost(partition: number, stored: number | undefined, position: number, rewindTo: number) {
      metrics.cacheLoss.inc()
      cacheLostLine(partition, { stored: stored ?? null, position, rewindTo })
    },
    rebuildRequested: (partition: number, position: number, rewindTo: number) =>
      requestedLine(partition, { position, rewindTo }),
    firstFill: (partition: number, until: number) => firstFillLine(partition, { until }),
    rebuilding: (isRebuilding: boolean) => metrics.rebuildInProgress.set(isRebuilding ? 1 : 0),
    rebuilt: (partition: number, offset: number) => rebuiltLine(partition, { offset }),
    progressOverwritten: (partition: number, stored: number | undefined, position: number) =>
      overwrittenLine(partition, { stored, position }),

    // ---- the consumer

    consumerState(from: ConsumerState, to: ConsumerState, reason?: string) {
      if (from === to) return
      for (const state of CONSUMER_STATES) metrics.consumerState.set({ state }, state === to ? 1 : 0)
      if (to === 'consuming') consumerLines.reset()
      else if (consumerLines.pass(`${from} ${to} ${reason}`) === undefined) return
      log.info({ from, to, reason }, `consumer ${to}`)
    },
    joined(partitions: readonly number[], memberId: string) {
      metrics.rebalances.inc()
      metrics.assignedPartitions.set(partitions.length)
      log.info({ group, partitions, memberId }, 'joined the consumer group')
    },
    leftGroup: () => metrics.assignedPartitions.set(0),
    consumerRestart(reason: RestartReason, error: ServiceError, delayMs: number) {
      metrics.consumerRestarts.inc({ reason })
      const heldBack = consumerLines.pass(`${reason}: ${error.message}`)
      if (heldBack === undefined) return
      const fields = {
        reason,
        ...failureFields(error),
        delayMs: Math.round(delayMs),
        ...heldBackField(heldBack),
      }
      if (error.failureClass === 'operator') log.error(fields, operatorHint(error))
      else log.warn(fields, 'consumer ended: a new one will be created')
    },
    /** @param members says who they are; logged when it changes. */
    groupShared(count: number, members: string) {
      metrics.foreignMembers.set(count)
      if (members === foreignMembers) return
      foreignMembers = members
      if (count === 0) log.info({ group }, 'the consumer group is no longer shared')
      else
        log.error(
          { group, members },
          'the consumer group is shared with members that are not workers of this topic, and partitions that are assigned to them are not read: set a KAFKA_CONSUMER_GROUP_ID that only the workers of this topic use',
        )
    },
    /** Logs nothing: they may be the same when they are known again. */
    foreignMembersUnknown: () => metrics.foreignMembers.set(0),
    /** Logs which partitions they are when that changes. */
    unreadPartitions(unread: readonly UnreadCandidate[]) {
      countUnread(unread)
      const which = unread.map(({ owner, partition, reason }) => `${partition} ${reason} ${owner}`).join()
      if (which === unreadPartitions) return
      unreadPartitions = which
      if (unread.length === 0) log.info({ group }, 'all partitions are being read again')
      else log.error({ group, partitions: describeUnread(unread) }, 'partitions stay unread')
    },
    /** Logs nothing; those that are still unread later are logged again. */
    unreadPartitionsUnknown() {
      countUnread([])
      unreadPartitions = ''
    },
    commitFailed: (error: ServiceError) =>
      log.warn({ code: error.code, error: error.message }, 'commit failed: will be repeated'),
    consumerAbandoned: () =>
      log.warn('the consumer did not leave the group in time: the group removes it when its session expires'),
    waitingForTopic: (name: string) =>
      log.warn({ topic: name }, `waiting for the topic ${name}: it does not exist yet`),
    offsetOutOfRange(place: {
      readonly partition: number
      readonly firstOffset: number
      readonly lastOffset: number
    }) {
      metrics.offsetOutOfRange.inc()
      if (outOfRangeLines.pass() === undefined) return
      log.warn(
        place,
        'Kafka deleted records before they were read: continuing at the earliest record that is left',
      )
    },
    logRestarted: (partition: number, offset: number) =>
      log.warn(
        { partition, offset },
        'the partition ends before what was read of it: Kafka lost its end, or the topic was created again; reading it from its beginning',
      ),
    fetchUnreadable(place: { readonly partition: number; readonly offset: number; readonly detail: string }) {
      metrics.decodeErrors.inc({ codec: 'unknown' })
      const heldBack = failureLines.pass()
      if (heldBack !== undefined)
        log.error(place, 'the header of a record batch cannot be read: the partition waits, see the runbook')
    },
    fetchDamaged(place: { readonly partition: number; readonly offset: number }) {
      metrics.checksumFailures.inc()
      if (damageLines.pass() !== undefined)
        log.warn(place, 'a record batch arrived with a wrong checksum: it is fetched again')
    },
    batchUndecodable(batch: UndecodableBatchFacts) {
      metrics.decodeErrors.inc({ codec: batch.codec })
      const heldBack = failureLines.pass()
      if (heldBack !== undefined)
        log.error(batch, 'a record batch cannot be decoded: its records become dead letters, see the runbook')
    },
    lagMeasured(
      lags: ReadonlyMap<number, { readonly records: number; readonly seconds: number | undefined }>,
    ) {
      metrics.lag.reset()
      metrics.lagSeconds.reset()
      for (const [partition, lag] of lags) {
        metrics.lag.set(partitionLabels(partition), lag.records)
        if (lag.seconds !== undefined) metrics.lagSeconds.set(partitionLabels(partition), lag.seconds)
      }
      metrics.lagLastSuccess.set(seconds())
    },

    // ---- Redis

    keyMistyped: redis.keyMistyped,
    keyTypeRestored: redis.keyTypeRestored,
    redisConnected: (where: string) => redis.connected(where),
    nodeFailed: (node: string, error: ServiceError) => redis.nodeFailed(node, error),
    nodeRecovered: (node: string, how: 'answers' | 'replaced') => redis.nodeRecovered(node, how),
    redisWorks: () => redis.works(),
    redisFailed: (error: ServiceError) => redis.failed(error),
    unsafeEviction: (policy: string) =>
      log.warn(
        { policy },
        'maxmemory-policy evicts keys, so devices may vanish before they expire: set it to noeviction',
      ),

    // ---- the device index

    devicesCounted: (devices: number) => metrics.devices.set(devices),
    swept(removed: number, ms: number) {
      metrics.sweeperRemoved.inc(removed)
      metrics.sweeperLastSuccess.set(seconds())
      log.info({ removed, ms: Math.round(ms) }, 'device index swept')
    },
  }
}
