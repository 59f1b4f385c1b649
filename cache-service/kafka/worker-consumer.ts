import type { Consumer, Kafka } from 'kafkajs'
import type { KafkaConfig } from '../config/config.ts'
import { backoffMs } from '../core/backoff.ts'
import type { LoopMonitor } from '../lifecycle/loops.ts'
import { OperatorError, type Service } from '../lifecycle/service.ts'
import { aborted, settledWithin, sleep } from '../lifecycle/sleep.ts'
import { failureText, operatorHint } from '../core/operator-hint.ts'
import { partitionsText } from '../core/partitions-text.ts'
import type { WorkerTelemetry } from '../telemetry/worker-telemetry.ts'
import type { ConsumerState, RestartReason } from '../telemetry/worker-metrics.ts'
import { kafkaError, messageOf } from '../../shared/errors.ts'
import { METADATA_MAX_AGE_MS, RETRY } from './client.ts'
import {
  INITIAL_STATUS,
  isJoined,
  nextStatus,
  type ConsumerSignal,
  type HoldKind,
} from './consumer-status.ts'
import { createCommitter, type Committer } from './committer.ts'
import { createFetchHandler, type FetchIntake } from './fetch-handler.ts'
import type { FetchedPartition } from './fetched-partition.ts'
import { workerAssigner } from './worker-assigner.ts'
import type { NotReadyReason } from '../lifecycle/readiness.ts'

const HEARTBEAT_INTERVAL_MS = 3_000
const REBALANCE_TIMEOUT_MS = 60_000
const WATCH_INTERVAL_MS = 1_000
/** To finish the chunks that are being written and commit them, when the process stops. */
const LONGEST_FINISH_MS = 8_000
/** Together they leave some of the 20 s of SHUTDOWN_TIMEOUT_S, in case Kafka does not answer. */
const LONGEST_DISCONNECT_MS = 6_000
/** A consumer that has been in the group for this long has worked, even if there was nothing to commit. */
const WORKED_AFTER_MS = 60_000
/** Handlers only hand over, or wait for room: one that waits must not delay the others. */
const MAX_HANDLERS = 1_000

export type WorkerConsumerDependencies = {
  readonly kafka: Pick<Kafka, 'consumer'>
  readonly config: KafkaConfig
  readonly intake: FetchIntake
  /** Called for each new generation of the group, with the partitions that this worker owns in it. */
  readonly assigned: (partitions: readonly number[]) => void
  /** Called when this worker has left the group: another one may own its partitions. */
  readonly revoked: () => void
  readonly telemetry: WorkerTelemetry
  readonly monitor: LoopMonitor
  readonly monotonicNow: () => number
  readonly random: () => number
}

/** Why a KafkaJS consumer has ended. */
type Ending =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'restart'; readonly reason: RestartReason; readonly error: unknown }
  | { readonly kind: 'bug'; readonly error: unknown }

/**
 * Keeps one KafkaJS consumer alive: creates it, watches it, and replaces it when it has crashed or stalled. What it is
 * doing is explained in consumer-status.ts.
 *
 * KafkaJS restarts by itself only after some errors, and forgets pauses and seeks then; after a crash that it considers
 * final, the process would live on without consuming. Therefore its own restart is off, and this is the only one.
 */
export class WorkerConsumer implements Service {
  readonly name = 'consumer'
  readonly #dependencies: WorkerConsumerDependencies
  readonly #paused = new Set<number>()
  #consumer: Consumer | undefined
  #partitions: readonly number[] = []
  #isLeader = false
  #status = INITIAL_STATUS
  /** An operator error is fatal only before the settings have ever worked. */
  #hasEverJoined = false
  #lastActivityMs = 0
  /** Of the current KafkaJS consumer. */
  #firstJoinedMs: number | undefined
  #committer: Committer | undefined
  #fail: (error: unknown) => void = () => undefined
  #bug: { readonly error: unknown } | undefined

  constructor(dependencies: WorkerConsumerDependencies) {
    this.#dependencies = dependencies
  }

  get state(): ConsumerState {
    return this.#status.kind
  }

  get isJoined(): boolean {
    return isJoined(this.#status)
  }

  /** It assigns the partitions: the only one of its group. */
  get isLeader(): boolean {
    return this.#isLeader
  }

  get partitions(): readonly number[] {
    return this.#partitions
  }

  notReadyReasons(): NotReadyReason[] {
    const reasons: NotReadyReason[] = []
    if ('reason' in this.#status) reasons.push(`not in the consumer group: ${this.#status.reason}`)
    // Its partitions may be another worker's by now.
    else if (this.#silentMs() > this.#dependencies.config.sessionTimeoutMs)
      reasons.push('no answer from Kafka: no fetch was answered for longer than KAFKA_SESSION_TIMEOUT_S')
    const held = [...this.#dependencies.intake.held]
    for (const [reason, partitions] of Map.groupBy(
      held,
      ([, failure]) => `${failure.side} ${failure.code}: ${failureText(failure)}` as const,
    ))
      reasons.push(`holding: ${reason} (${partitionsText(partitions.map(([partition]) => partition))})`)
    return reasons
  }

  /** The room or the state of a partition's lane has changed. */
  laneChanged(partition: number): void {
    if (this.#paused.has(partition) && this.#dependencies.intake.roomOf(partition) === 'room') {
      this.#paused.delete(partition)
      const topic = this.#dependencies.config.validatedDataTopic
      this.#tell((consumer) => consumer.resume([{ topic, partitions: [partition] }]))
      this.#recordActivity()
    }
    this.#followLanes()
  }

  /** A bug outside of this consumer: `run` rejects with it. */
  fail(error: unknown): void {
    this.#bug ??= { error }
    this.#fail(error)
  }

  /** Takes effect at the next fetch; ignored if the partition is no longer assigned to this worker. */
  seek(partition: number, offset: number): void {
    if (!this.#partitions.includes(partition)) return
    const topic = this.#dependencies.config.validatedDataTopic
    this.#tell((consumer) => consumer.seek({ topic, partition, offset: String(offset) }))
  }

  /** KafkaJS throws if its consumer has ended, which it reports only later. The next consumer reads from the commit. */
  #tell(request: (consumer: Consumer) => void): void {
    if (this.#consumer === undefined) return
    try {
      request(this.#consumer)
    } catch (error) {
      if (!messageOf(error).includes('Consumer group was not initialized')) throw error
    }
  }

  async run(stop: AbortSignal): Promise<void> {
    const { telemetry, monitor, random } = this.#dependencies
    for (let failures = 0; !stop.aborted;) {
      const ending = await this.#runConsumer(stop)
      if (this.#bug !== undefined) throw this.#bug.error
      if (ending.kind === 'stopped') break
      if (ending.kind === 'bug') throw ending.error
      const topic = this.#dependencies.config.validatedDataTopic
      const failure = kafkaError(ending.error, topic)
      if (failure.code === 'TOPIC_MISSING') telemetry.waitingForTopic(topic)
      if (failure.failureClass === 'operator' && !this.#hasEverJoined)
        throw new OperatorError(operatorHint(failure))
      // To join is not enough: each join is a rebalance for the whole group.
      failures = this.#hasWorked() ? 1 : failures + 1
      const delayMs = backoffMs(failures, random())
      this.#move({ kind: 'ended', reason: failureText(failure) }, failure.message)
      telemetry.consumerRestart(ending.reason, failure, delayMs)
      monitor.turned(this.name, delayMs)
      await sleep(delayMs, stop)
    }
    monitor.ended(this.name)
    this.#move({ kind: 'stopped' })
  }

  /** Runs one KafkaJS consumer until it ends or `stop` aborts. */
  async #runConsumer(stop: AbortSignal): Promise<Ending> {
    const { config, telemetry, kafka } = this.#dependencies
    const lifetime = new AbortController()
    const ended = AbortSignal.any([stop, lifetime.signal])
    const { promise: ending, resolve: end } = Promise.withResolvers<Ending>()
    const consumer = kafka.consumer({
      groupId: config.groupId,
      partitionAssigners: [workerAssigner],
      sessionTimeout: config.sessionTimeoutMs,
      heartbeatInterval: Math.min(HEARTBEAT_INTERVAL_MS, config.sessionTimeoutMs / 3),
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      metadataMaxAge: METADATA_MAX_AGE_MS,
      allowAutoTopicCreation: false,
      minBytes: 1,
      maxBytes: config.fetchMaxBytes,
      maxBytesPerPartition: config.fetchMaxBytesPerPartition,
      maxWaitTimeInMs: config.fetchMaxWaitMs,
      retry: { ...RETRY, restartOnFailure: async () => false },
    })
    this.#consumer = consumer
    this.#firstJoinedMs = undefined
    const { intake } = this.#dependencies
    const topic = config.validatedDataTopic
    const committer = createCommitter({ consumer, topic, intake, telemetry, ended: lifetime.signal })
    this.#committer = committer
    this.#fail = (error) => end({ kind: 'bug', error })
    const listeners = this.#listen(consumer, committer, end)
    this.#watch(ended, end)
    try {
      this.#move({ kind: 'started' })
      const started = this.#start(consumer, committer, ended).catch((error: unknown) =>
        end({ kind: 'restart', reason: 'connect_failed', error }),
      )
      const outcome = await Promise.race([ending, aborted(ended).then((): Ending => ({ kind: 'stopped' }))])
      if (outcome.kind === 'stopped') {
        // KafkaJS commits nothing once it has begun to stop.
        const finished = Promise.all([started, intake.stop()]).then(() => committer.commit())
        await settledWithin(finished, LONGEST_FINISH_MS)
      }
      return outcome
    } finally {
      lifetime.abort()
      // A consumer that does not disconnect in time lives on beside its successor.
      for (const remove of listeners) remove()
      this.#consumer = undefined
      this.#partitions = []
      this.#paused.clear()
      this.#isLeader = false
      this.#dependencies.revoked()
      intake.assigned([])
      if (!(await settledWithin(consumer.disconnect(), LONGEST_DISCONNECT_MS))) telemetry.consumerAbandoned()
      telemetry.leftGroup()
    }
  }

  async #start(consumer: Consumer, committer: Committer, ended: AbortSignal): Promise<void> {
    const { config, intake } = this.#dependencies
    const topic = config.validatedDataTopic
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({
      eachBatchAutoResolve: false,
      autoCommit: false,
      partitionsConsumedConcurrently: MAX_HANDLERS,
      eachBatch: createFetchHandler({
        intake,
        pause: (partition) => this.#pause(consumer, partition),
        commit: () => committer.commit(),
        unreadable: ({ partition, position, unreadable: detail = '' }) =>
          this.#dependencies.telemetry.fetchUnreadable({ partition, offset: position, detail }),
        damaged: ({ partition, position }) =>
          this.#dependencies.telemetry.fetchDamaged({ partition, offset: position }),
        outOfRange: (fetched) => this.#reportOutOfRange(fetched),
        alive: () => this.#recordActivity(),
        partitions: () => this.#partitions.length,
        monotonicNow: this.#dependencies.monotonicNow,
        stop: ended,
      }),
    })
    while (!ended.aborted) {
      await sleep(config.commitIntervalMs, ended)
      if (isJoined(this.#status)) await committer.commit()
    }
  }

  #reportOutOfRange({ isRestart, next, partition, position }: FetchedPartition): void {
    const { telemetry } = this.#dependencies
    if (isRestart) telemetry.logRestarted(partition, position)
    else telemetry.offsetOutOfRange({ partition, firstOffset: position, lastOffset: next - 1 })
  }

  #pause(consumer: Consumer, partition: number): void {
    this.#paused.add(partition)
    const topic = this.#dependencies.config.validatedDataTopic
    if (consumer === this.#consumer) this.#tell(() => consumer.pause([{ topic, partitions: [partition] }]))
    this.#followLanes()
  }

  /** @returns functions that remove the listeners. */
  #listen(consumer: Consumer, committer: Committer, end: (ending: Ending) => void): readonly (() => void)[] {
    const { assigned, config, intake, telemetry } = this.#dependencies
    return [
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        this.#partitions = payload.memberAssignment[config.validatedDataTopic] ?? []
        this.#isLeader = payload.isLeader
        this.#hasEverJoined = true
        this.#firstJoinedMs ??= this.#dependencies.monotonicNow()
        this.#recordActivity()
        this.#paused.clear()
        consumer.resume([{ topic: config.validatedDataTopic }])
        assigned(this.#partitions)
        intake.assigned(this.#partitions)
        telemetry.joined(this.#partitions, payload.memberId)
        this.#move({ kind: 'joined', hold: this.#holdKind() })
      }),
      consumer.on(consumer.events.REBALANCING, () => {
        void committer.commit()
        this.#move({ kind: 'rebalancing' })
      }),
      consumer.on(consumer.events.HEARTBEAT, () => {
        // After a rejoin that failed, because the coordinator was moving, KafkaJS goes on in the old generation if it is valid.
        if (!isJoined(this.#status)) this.#move({ kind: 'joined', hold: this.#holdKind() })
      }),
      consumer.on(consumer.events.FETCH, () => this.#recordActivity()),
      consumer.on(consumer.events.CRASH, ({ payload }) => {
        end({ kind: 'restart', reason: 'crash', error: payload.error })
      }),
    ]
  }

  /** Shows `/livez` that this service is alive, and ends a consumer that has stalled. */
  #watch(ended: AbortSignal, end: (ending: Ending) => void): void {
    const { config, monitor } = this.#dependencies
    const watch = async () => {
      while (!ended.aborted) {
        monitor.turned(this.name, WATCH_INTERVAL_MS)
        const silentMs = Math.round(this.#silentMs())
        if (isJoined(this.#status) && silentMs > config.stallTimeoutMs) {
          end({
            kind: 'restart',
            reason: 'stalled',
            error: new Error(`nothing was fetched for ${silentMs} ms`),
          })
        }
        await sleep(WATCH_INTERVAL_MS, ended)
      }
    }
    watch().catch((error: unknown) => end({ kind: 'bug', error }))
  }

  #hasWorked(): boolean {
    if (this.#committer?.hasCommitted === true) return true
    const joinedMs = this.#firstJoinedMs
    return joinedMs !== undefined && this.#dependencies.monotonicNow() - joinedMs >= WORKED_AFTER_MS
  }

  #holdKind(): HoldKind {
    const { intake } = this.#dependencies
    if (intake.held.size === 0) return 'open'
    return intake.areAllHeldPaused ? 'paused' : 'holding'
  }

  #followLanes(): void {
    const [failure] = this.#dependencies.intake.held.values()
    this.#move({ kind: 'hold_changed', hold: this.#holdKind() }, failure?.message)
  }

  #move(signal: ConsumerSignal, reason?: string): void {
    const from = this.#status
    this.#status = nextStatus(from, signal)
    this.#dependencies.telemetry.consumerState(from.kind, this.#status.kind, reason)
  }

  /** A worker without partitions fetches nothing. */
  #silentMs(): number {
    return this.#partitions.length === 0 ? 0 : this.#dependencies.monotonicNow() - this.#lastActivityMs
  }

  #recordActivity(): void {
    this.#lastActivityMs = this.#dependencies.monotonicNow()
  }
}
