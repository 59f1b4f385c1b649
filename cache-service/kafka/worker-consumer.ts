import type { Consumer, Kafka } from 'kafkajs'
import type { KafkaConfig } from '../config/config.ts'
import { backoffMs } from '../core/backoff.ts'
import type { ApplyChunk, ChunkLimits } from '../core/records/chunk.ts'
import type { LoopMonitor } from '../lifecycle/loops.ts'
import { OperatorError, type Service } from '../lifecycle/service.ts'
import { aborted, settledWithin, sleep } from '../lifecycle/sleep.ts'
import { operatorHint } from '../core/operator-hint.ts'
import type { WorkerTelemetry } from '../telemetry/worker-telemetry.ts'
import type { ConsumerState, RestartReason } from '../telemetry/worker-metrics.ts'
import { kafkaError } from '../../shared/errors.ts'
import { createBatchHandler } from './batch-handler.ts'
import { METADATA_MAX_AGE_MS, RETRY } from './client.ts'
import { INITIAL_STATUS, isJoined, nextStatus, type ConsumerEvent } from './consumer-status.ts'
import { Hold, type HoldDependencies } from './hold.ts'

const HEARTBEAT_INTERVAL_MS = 3_000
const REBALANCE_TIMEOUT_MS = 60_000
const WATCH_INTERVAL_MS = 1_000
const LONGEST_DISCONNECT_MS = 8_000

export type WorkerConsumerDependencies = {
  readonly kafka: Kafka
  readonly config: KafkaConfig
  readonly limits: ChunkLimits
  readonly apply: ApplyChunk
  readonly probe: HoldDependencies['probe']
  /** Called for each new generation of the group, with the partitions that this worker owns in it. */
  readonly assigned: (partitions: readonly number[]) => void
  readonly telemetry: WorkerTelemetry
  readonly monitor: LoopMonitor
  readonly now: () => number
  readonly random: () => number
}

/** Why a KafkaJS consumer has ended. */
type Ending =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'restart'; readonly reason: RestartReason; readonly error: unknown }
  | { readonly kind: 'bug'; readonly error: unknown }

/**
 * Keeps one KafkaJS consumer alive: creates it, watches it, and replaces it when it has crashed or stalled. What it is
 * doing is told in consumer-status.ts.
 *
 * KafkaJS restarts by itself only after some errors, and forgets pauses and seeks then; after a crash that it considers
 * final, the process would live on without consuming. Therefore its own restart is off, and this is the only one.
 */
export class WorkerConsumer implements Service {
  readonly name = 'consumer'
  readonly #dependencies: WorkerConsumerDependencies
  readonly #hold: Hold
  #consumer: Consumer | undefined
  #partitions: readonly number[] = []
  #status = INITIAL_STATUS
  /** An operator error is fatal only before the settings have ever worked. */
  #hasEverJoined = false
  #lastSignOfLifeMs = 0

  constructor(dependencies: WorkerConsumerDependencies) {
    this.#dependencies = dependencies
    const { telemetry, now, random, probe } = dependencies
    this.#hold = new Hold({
      now,
      random,
      probe,
      telemetry: {
        held: (partition, error, attempt) => {
          this.#followHold(error.message)
          telemetry.held(partition, error, attempt)
        },
        paused: (reason) => {
          this.#followHold(reason)
          telemetry.paused(reason)
        },
        resumed: (heldMs) => {
          this.#followHold()
          telemetry.resumed(heldMs)
        },
      },
    })
  }

  get state(): ConsumerState {
    return this.#status.kind
  }

  get partitions(): readonly number[] {
    return this.#partitions
  }

  notReadyReasons(): string[] {
    const reasons: string[] = []
    if ('reason' in this.#status) reasons.push(`not in the consumer group: ${this.#status.reason}`)
    if (this.#hold.reason !== undefined) reasons.push(`holding: ${this.#hold.reason}`)
    return reasons
  }

  /** Takes effect at the next fetch; ignored if the partition is no longer assigned to this worker. */
  seek(partition: number, offset: number): void {
    if (!this.#partitions.includes(partition)) return
    const topic = this.#dependencies.config.validatedDataTopic
    this.#consumer?.seek({ topic, partition, offset: String(offset) })
  }

  async run(stop: AbortSignal): Promise<void> {
    const { telemetry, monitor, random } = this.#dependencies
    for (let failures = 0; !stop.aborted;) {
      const ending = await this.#runConsumer(stop)
      if (ending.kind === 'stopped') break
      if (ending.kind === 'bug') throw ending.error
      const topic = this.#dependencies.config.validatedDataTopic
      const failure = kafkaError(ending.error, topic)
      if (failure.code === 'TOPIC_MISSING') telemetry.waitingForTopic(topic)
      if (failure.failureClass === 'operator' && !this.#hasEverJoined)
        throw new OperatorError(operatorHint(failure))
      failures = isJoined(this.#status) ? 1 : failures + 1
      const delayMs = backoffMs(failures, random())
      this.#move({ kind: 'ended', reason: failure.message }, failure.message)
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
    const life = new AbortController()
    const ended = AbortSignal.any([stop, life.signal])
    const { promise: ending, resolve: end } = Promise.withResolvers<Ending>()
    const consumer = kafka.consumer({
      groupId: config.groupId,
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
    this.#listen(consumer, end)
    this.#watch(ended, end)
    try {
      this.#move({ kind: 'started' })
      const started = this.#start(consumer, end, ended).catch((error: unknown) =>
        end({ kind: 'restart', reason: 'connect_failed', error }),
      )
      const outcome = await Promise.race([ending, aborted(stop).then((): Ending => ({ kind: 'stopped' }))])
      if (outcome.kind === 'stopped') await settledWithin(started, LONGEST_DISCONNECT_MS)
      return outcome
    } finally {
      life.abort()
      if (!(await settledWithin(consumer.disconnect(), LONGEST_DISCONNECT_MS))) telemetry.consumerAbandoned()
      this.#consumer = undefined
      this.#partitions = []
      telemetry.leftGroup()
    }
  }

  async #start(consumer: Consumer, end: (ending: Ending) => void, ended: AbortSignal): Promise<void> {
    const { apply, config, limits, now } = this.#dependencies
    const topic = config.validatedDataTopic
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({
      eachBatchAutoResolve: false,
      autoCommit: true,
      partitionsConsumedConcurrently: config.partitionsConcurrency,
      eachBatch: createBatchHandler({
        apply,
        hold: this.#hold,
        limits,
        now,
        seek: (partition, offset) => this.seek(partition, offset),
        pause: () => this.#pause(consumer, topic, ended, end),
        fatal: (error) => end({ kind: 'bug', error }),
        alive: () => this.#showLife(),
        stop: ended,
      }),
    })
  }

  #pause(consumer: Consumer, topic: string, ended: AbortSignal, end: (ending: Ending) => void): void {
    this.#hold
      .pauseUntilProbeSucceeds(
        () => consumer.pause([{ topic }]),
        () => {
          this.#followHold()
          this.#showLife()
          consumer.resume([{ topic }])
        },
        ended,
      )
      .catch((error: unknown) => end({ kind: 'bug', error }))
  }

  #listen(consumer: Consumer, end: (ending: Ending) => void): void {
    const { assigned, config, telemetry } = this.#dependencies
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      this.#partitions = payload.memberAssignment[config.validatedDataTopic] ?? []
      this.#hasEverJoined = true
      this.#showLife()
      assigned(this.#partitions)
      telemetry.joined(this.#partitions, payload.memberId)
      this.#move({ kind: 'joined', hold: this.#hold.kind })
    })
    consumer.on(consumer.events.REBALANCING, () => this.#move({ kind: 'rebalancing' }))
    consumer.on(consumer.events.FETCH, () => this.#showLife())
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      end({ kind: 'restart', reason: 'crash', error: payload.error })
    })
  }

  /** Shows `/livez` that this service is alive, and ends a consumer that has stalled. */
  #watch(ended: AbortSignal, end: (ending: Ending) => void): void {
    const { config, monitor, now } = this.#dependencies
    const watch = async () => {
      while (!ended.aborted) {
        monitor.turned(this.name, WATCH_INTERVAL_MS)
        const silentMs = now() - this.#lastSignOfLifeMs
        if (
          isJoined(this.#status) &&
          this.#partitions.length > 0 &&
          this.#hold.kind !== 'paused' &&
          silentMs > config.stallTimeoutMs
        ) {
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

  #followHold(reason?: string): void {
    this.#move({ kind: 'hold_changed', hold: this.#hold.kind }, reason)
  }

  #move(event: ConsumerEvent, reason?: string): void {
    const from = this.#status
    this.#status = nextStatus(from, event)
    this.#dependencies.telemetry.consumerState(from.kind, this.#status.kind, reason)
  }

  #showLife(): void {
    this.#lastSignOfLifeMs = this.#dependencies.now()
  }
}
