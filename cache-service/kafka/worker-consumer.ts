import type { Consumer, Kafka } from 'kafkajs'
import type { KafkaConfig } from '../config/config.ts'
import { backoffMs } from '../core/backoff.ts'
import type { ApplyChunk, ChunkLimits } from '../core/records/chunk.ts'
import type { LoopMonitor } from '../lifecycle/loops.ts'
import { OperatorError, type Service } from '../lifecycle/service.ts'
import { aborted, settledWithin, sleep } from '../lifecycle/sleep.ts'
import { operatorHint } from '../core/operator-hint.ts'
import type { WorkerTelemetry } from '../telemetry/worker-telemetry.ts'
import type { RestartReason } from '../telemetry/worker-metrics.ts'
import { kafkaError } from '../../shared/errors.ts'
import { createBatchHandler } from './batch-handler.ts'
import { METADATA_MAX_AGE_MS, RETRY } from './client.ts'
import { Hold, type HoldDependencies } from './hold.ts'

/**
 * Keeps one KafkaJS consumer alive: builds it, watches it, and builds it anew when it has crashed or stalled.
 *
 * waiting (no connection, or no topic) → joining → consuming ⇄ holding ⇄ paused; and back to waiting.
 *
 * KafkaJS restarts by itself only after some errors, forgetting pauses and seeks; and a crash that it takes for
 * final leaves a live process that consumes nothing. So its own restart is off, and this is the only one.
 */
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
  /** A new generation: these partitions are ours now, and what was known of the old ones is void. */
  readonly assigned: (partitions: readonly number[]) => void
  readonly telemetry: WorkerTelemetry
  readonly monitor: LoopMonitor
  readonly now: () => number
  readonly random: () => number
}

/** Why one life of the consumer ended. */
type Ending =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'restart'; readonly reason: RestartReason; readonly error: unknown }
  | { readonly kind: 'bug'; readonly error: unknown }

export class WorkerConsumer implements Service {
  readonly name = 'consumer'
  readonly #dependencies: WorkerConsumerDependencies
  readonly #hold: Hold
  #consumer: Consumer | undefined
  #partitions: readonly number[] = []
  #isJoined = false
  #hasEverJoined = false
  #lastSignOfLifeMs = 0
  #waitingFor = 'Kafka has not been reached yet'

  constructor(dependencies: WorkerConsumerDependencies) {
    this.#dependencies = dependencies
    const { telemetry, now, random, probe } = dependencies
    this.#hold = new Hold({
      now,
      random,
      probe,
      telemetry: {
        held: (partition, error, attempt) => {
          telemetry.consumerState('holding', { reason: error.message })
          telemetry.held(partition, error, attempt)
        },
        paused: (reason) => {
          telemetry.consumerState('paused', { reason })
          telemetry.paused(reason)
        },
        resumed: (heldMs) => {
          telemetry.consumerState('consuming')
          telemetry.resumed(heldMs)
        },
      },
    })
  }

  get partitions(): readonly number[] {
    return this.#partitions
  }

  notReadyReasons(): string[] {
    const reasons: string[] = []
    if (!this.#isJoined) reasons.push(`not in the consumer group: ${this.#waitingFor}`)
    if (this.#hold.reason !== undefined) reasons.push(`holding: ${this.#hold.reason}`)
    return reasons
  }

  /** Takes effect at the next fetch; ignored if the partition is no longer ours. */
  seek(partition: number, offset: number): void {
    if (!this.#partitions.includes(partition)) return
    const topic = this.#dependencies.config.validatedDataTopic
    this.#consumer?.seek({ topic, partition, offset: String(offset) })
  }

  async run(stop: AbortSignal): Promise<void> {
    const { telemetry, monitor, random } = this.#dependencies
    for (let failures = 0; !stop.aborted;) {
      const ending = await this.#live(stop)
      if (ending.kind === 'stopped') break
      if (ending.kind === 'bug') throw ending.error
      const topic = this.#dependencies.config.validatedDataTopic
      const failure = kafkaError(ending.error, topic)
      if (failure.code === 'TOPIC_MISSING') telemetry.waitingForTopic(topic)
      if (failure.failureClass === 'operator' && !this.#hasEverJoined)
        throw new OperatorError(operatorHint(failure))
      failures = this.#isJoined ? 1 : failures + 1
      this.#isJoined = false
      this.#waitingFor = failure.message
      const delayMs = backoffMs(failures, random())
      telemetry.consumerState('waiting', { reason: failure.message })
      telemetry.consumerRestart(ending.reason, failure, delayMs)
      monitor.turned(this.name, delayMs)
      await sleep(delayMs, stop)
    }
    this.#isJoined = false
    monitor.ended(this.name)
    telemetry.consumerState('stopped')
  }

  /** One consumer, from its making to its end. */
  async #live(stop: AbortSignal): Promise<Ending> {
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
      telemetry.consumerState('joining')
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
      this.#isJoined = true
      this.#hasEverJoined = true
      this.#showLife()
      assigned(this.#partitions)
      telemetry.joined(this.#partitions, payload.memberId)
      telemetry.consumerState(this.#hold.isOpen ? 'consuming' : this.#hold.isPaused ? 'paused' : 'holding')
    })
    consumer.on(consumer.events.REBALANCING, () => {
      this.#isJoined = false
      this.#waitingFor = 'the group is rebalancing'
      telemetry.consumerState('joining')
    })
    consumer.on(consumer.events.FETCH, () => this.#showLife())
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      end({ kind: 'restart', reason: 'crash', error: payload.error })
    })
  }

  /** The loop that is always there: it shows `/livez` that we live, and notices a consumer that does not. */
  #watch(ended: AbortSignal, end: (ending: Ending) => void): void {
    const { config, monitor, now } = this.#dependencies
    const watch = async () => {
      while (!ended.aborted) {
        monitor.turned(this.name, WATCH_INTERVAL_MS)
        const silentMs = now() - this.#lastSignOfLifeMs
        if (
          this.#isJoined &&
          this.#partitions.length > 0 &&
          !this.#hold.isPaused &&
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

  #showLife(): void {
    this.#lastSignOfLifeMs = this.#dependencies.now()
  }
}
