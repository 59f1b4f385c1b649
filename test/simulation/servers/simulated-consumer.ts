import type { Consumer, EachBatchHandler } from 'kafkajs'
import { METADATA_MAX_AGE_MS } from '../../../cache-service/kafka/client.ts'
import { FetchedPartition, type PartitionData } from '../../../cache-service/kafka/fetched-partition.ts'
import type { SeededRandom } from '../../simulator/seeded-random.ts'
import type { Scheduler } from '../scheduler.ts'
import { protocolError, type Assignment, type FetchReply, type SimulatedKafka } from './simulated-kafka.ts'

export type ConsumerSettings = {
  readonly topic: string
  readonly heartbeatInterval: number
  readonly maxBytes: number
  readonly maxWaitMs: number
  readonly retries: number
}

type Listener = (event: { readonly payload: unknown }) => void
const EVENTS = {
  GROUP_JOIN: 'group_join',
  REBALANCING: 'rebalancing',
  HEARTBEAT: 'heartbeat',
  FETCH: 'fetch',
  CRASH: 'crash',
} as const

const REBALANCING_TYPES = new Set([
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'NOT_COORDINATOR_FOR_GROUP',
])

/**
 * A consumer as KafkaJS 2.2.4 behaves, in what the worker relies on: one fetch at a time, whose handlers run side by side;
 * a seek takes effect before the next fetch in which this
 * consumer owns the partition, be it in a later generation; data of a partition that was paused or sought
 * meanwhile is dropped; heartbeats are sent only by handlers and empty fetches; after the last retry it ends.
 */
export class SimulatedConsumer {
  readonly events = EVENTS
  readonly #kafka: SimulatedKafka
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  readonly #settings: ConsumerSettings
  readonly #listeners = new Map<string, Set<Listener>>()
  readonly #positions = new Map<number, number>()
  /** Partition → the life of the topic from which the position is. */
  readonly #lives = new Map<number, number>()
  readonly #seeks = new Map<number, number>()
  readonly #paused = new Set<number>()
  #assignment: Assignment | undefined
  #memberId: string | undefined
  #isRunning = false
  #ended: Promise<void> = Promise.resolve()
  #lastHeartbeatMs = 0
  #metadataMs = 0

  constructor(kafka: SimulatedKafka, scheduler: Scheduler, random: SeededRandom, settings: ConsumerSettings) {
    this.#kafka = kafka
    this.#scheduler = scheduler
    this.#random = random
    this.#settings = settings
  }

  /** For code that expects a consumer of KafkaJS. */
  asConsumer(): Consumer {
    return this as unknown as Consumer
  }

  on(event: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  async connect(): Promise<void> {
    await this.#kafka.request(() => undefined)
  }

  async subscribe(): Promise<void> {
    await this.#kafka.request(() => this.#kafka.assertTopic())
  }

  async run({ eachBatch }: { readonly eachBatch: EachBatchHandler }): Promise<void> {
    try {
      await this.#join()
    } catch (error) {
      this.#emit(EVENTS.CRASH, { error })
      return
    }
    this.#isRunning = true
    this.#ended = this.#loop(eachBatch)
  }

  seek({ offset, partition }: { readonly partition: number; readonly offset: string }): void {
    if (this.#assignment === undefined)
      throw new Error('Consumer group was not initialized, consumer#run must be called first')
    this.#seeks.set(partition, Number(offset))
  }

  pause([{ partitions }]: readonly [{ readonly partitions: readonly number[] }]): void {
    for (const partition of partitions) this.#paused.add(partition)
  }

  resume([{ partitions }]: readonly [{ readonly partitions?: readonly number[] }]): void {
    if (partitions === undefined) this.#paused.clear()
    else for (const partition of partitions) this.#paused.delete(partition)
  }

  async commitOffsets(commits: readonly { readonly partition: number; readonly offset: string }[]) {
    const { generation = -1, memberId = '' } = this.#assignment ?? {}
    // When it arrives, the topic may be another one.
    const known = commits.map(({ offset, partition }) => ({
      partition,
      offset: Number(offset),
      life: this.#lives.get(partition) ?? this.#kafka.life,
    }))
    await this.#kafka.request(() => this.#kafka.commit(memberId, generation, known))
  }

  async disconnect(): Promise<void> {
    this.#isRunning = false
    await this.#ended
    const memberId = this.#memberId
    if (memberId !== undefined)
      await this.#kafka.request(() => this.#kafka.leave(memberId)).catch(() => undefined)
    this.#assignment = undefined
  }

  /** Until the retries are used up; an error that is not about the group ends it at once. */
  async #join(): Promise<void> {
    for (let failures = 0; ;) {
      try {
        return await this.#joinOnce()
      } catch (error) {
        const type = typeOf(error)
        if (type === 'UNKNOWN_MEMBER_ID') this.#memberId = undefined
        else if (!REBALANCING_TYPES.has(type)) throw error
        if (++failures > this.#settings.retries) throw error
        await this.#backOff(failures)
      }
    }
  }

  async #joinOnce(): Promise<void> {
    const assignment = await this.#kafka.request(() => {
      this.#kafka.assertTopic()
      return this.#kafka.join(this.#memberId)
    })
    this.#memberId = assignment.memberId
    this.#positions.clear()
    this.#metadataMs = this.#scheduler.nowMs
    this.#assignment = assignment
    this.#lastHeartbeatMs = this.#scheduler.nowMs
    this.#emit(EVENTS.GROUP_JOIN, {
      memberAssignment: { [this.#settings.topic]: [...assignment.partitions] },
      isLeader: assignment.isLeader,
      memberId: assignment.memberId,
    })
  }

  async #loop(eachBatch: EachBatchHandler): Promise<void> {
    for (let failures = 0; this.#isRunning;) {
      try {
        await this.#fetchOnce(eachBatch)
        failures = 0
      } catch (error) {
        const type = typeOf(error)
        try {
          if (REBALANCING_TYPES.has(type)) {
            this.#emit(EVENTS.REBALANCING, {})
            await this.#join()
            continue
          }
          if (type === 'UNKNOWN_MEMBER_ID') {
            this.#memberId = undefined
            await this.#join()
            continue
          }
          if (type === 'UNKNOWN_TOPIC_OR_PARTITION') {
            await this.#join()
            continue
          }
        } catch (refusal) {
          if (++failures > this.#settings.retries) return this.#crash(refusal)
        }
        if (++failures > this.#settings.retries) return this.#crash(error)
        await this.#backOff(failures)
      }
    }
  }

  #backOff(failures: number): Promise<void> {
    return this.#sleep(100 * 2 ** failures * (0.8 + 0.4 * this.#random.fraction()))
  }

  #crash(error: unknown): void {
    this.#isRunning = false
    this.#emit(EVENTS.CRASH, { error })
  }

  async #fetchOnce(eachBatch: EachBatchHandler): Promise<void> {
    const { maxBytes, maxWaitMs } = this.#settings
    if (this.#hasStaleAssignment()) return await this.#join()
    const owned = this.#assignment?.partitions ?? []
    for (const partition of owned) {
      const offset = this.#seeks.get(partition)
      // It may be progress of an earlier topic.
      if (offset !== undefined) this.#setPosition(partition, offset, 0)
      this.#seeks.delete(partition)
    }
    await this.#initializePositions(owned)
    const wanted = owned.filter((partition) => !this.#paused.has(partition))
    if (wanted.length === 0) {
      await this.#sleep(maxWaitMs)
      return await this.#heartbeat()
    }
    const positionOf = (partition: number) => this.#positions.get(partition) ?? 0
    const requested = new Map(wanted.map((partition) => [partition, positionOf(partition)]))
    const replies = await this.#kafka.request(async () => {
      const untilMs = this.#scheduler.nowMs + maxWaitMs
      for (;;) {
        const found = wanted.map((partition) => {
          const log = this.#kafka.partitions[partition]
          if (log === undefined) throw protocolError('UNKNOWN_TOPIC_OR_PARTITION')
          const offset = requested.get(partition) ?? 0
          return { partition, offset, reply: log.fetch(offset, maxBytes), life: this.#kafka.life }
        })
        const hasData = found.some(({ reply }) => reply.kind === 'out_of_range' || reply.messages.length > 0)
        if (hasData || this.#scheduler.nowMs >= untilMs) {
          for (const { life, offset, partition, reply } of found)
            if (reply.kind === 'data' && this.#lives.get(partition) !== life)
              this.#kafka.misread(partition, offset)
          return found
        }
        await this.#kafka.nextAppend(untilMs - this.#scheduler.nowMs)
        if (this.#kafka.isDown) return []
      }
    })
    this.#emit(EVENTS.FETCH, {})
    const earliest = new Map<number, number>()
    const outOfRange = replies.filter(({ reply }) => reply.kind === 'out_of_range')
    if (outOfRange.length > 0)
      await this.#kafka.request(() => {
        for (const { partition } of outOfRange)
          earliest.set(partition, this.#kafka.partitions[partition]?.earliest ?? 0)
      })
    const batches = replies.flatMap(({ life, partition, reply }) => {
      if (this.#seeks.has(partition) || this.#paused.has(partition)) return []
      const found = earliest.get(partition)
      const data = partitionData(partition, reply, found ?? 0)
      const fetched = new FetchedPartition(this.#settings.topic, String(requested.get(partition)), data)
      return fetched.isEmpty() ? [] : [{ fetched, life }]
    })
    if (batches.length === 0) return await this.#heartbeat()
    const handled = await Promise.allSettled(
      batches.map(({ fetched, life }) => this.#handle(fetched, life, eachBatch)),
    )
    for (const outcome of handled) if (outcome.status === 'rejected') throw outcome.reason
  }

  async #handle(batch: FetchedPartition, life: number, eachBatch: EachBatchHandler): Promise<void> {
    const { partition } = batch
    const payload = {
      batch,
      resolveOffset: (offset: string) => this.#setPosition(partition, Number(offset) + 1, life),
      heartbeat: () => this.#heartbeat(),
      isRunning: () => this.#isRunning,
      isStale: () => this.#seeks.has(partition),
    }
    await eachBatch(payload as unknown as Parameters<EachBatchHandler>[0])
    await this.#heartbeat()
  }

  /** When its metadata is old, it notices that the topic has more partitions. */
  #hasStaleAssignment(): boolean {
    if (this.#scheduler.nowMs - this.#metadataMs < METADATA_MAX_AGE_MS) return false
    this.#metadataMs = this.#scheduler.nowMs
    return this.#kafka.partitions.length > (this.#assignment?.knownPartitions ?? 0)
  }

  async #initializePositions(owned: readonly number[]): Promise<void> {
    if (owned.every((partition) => this.#positions.has(partition))) return
    const starts = await this.#kafka.request(() =>
      owned.map((partition) => {
        const earliest = this.#kafka.partitions[partition]?.earliest ?? 0
        return [
          partition,
          this.#kafka.committed.get(partition) ?? earliest,
          this.#kafka.lifeOfCommit(partition),
        ] as const
      }),
    )
    for (const [partition, offset, life] of starts)
      if (!this.#positions.has(partition)) this.#setPosition(partition, offset, life)
  }

  #setPosition(partition: number, offset: number, life: number): void {
    this.#positions.set(partition, offset)
    this.#lives.set(partition, life)
  }

  async #heartbeat(): Promise<void> {
    if (this.#scheduler.nowMs - this.#lastHeartbeatMs < this.#settings.heartbeatInterval) return
    this.#lastHeartbeatMs = this.#scheduler.nowMs
    const { generation = -1, memberId = '' } = this.#assignment ?? {}
    await this.#kafka.request(() => this.#kafka.heartbeat(memberId, generation))
    this.#emit(EVENTS.HEARTBEAT, {})
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#scheduler.after(ms, resolve))
  }

  #emit(event: string, payload: unknown): void {
    for (const listener of this.#listeners.get(event) ?? []) listener({ payload })
  }
}

function typeOf(error: unknown): string {
  return (error as { readonly type?: string }).type ?? ''
}

/** What the service's copy of KafkaJS makes of a reply. @param earliest asked for if the requested offset is out of range. */
export function partitionData(partition: number, reply: FetchReply, earliest: number): PartitionData {
  if (reply.kind === 'data')
    return {
      partition,
      highWatermark: String(reply.highWatermark),
      abortedTransactions: reply.abortedTransactions,
      messages: reply.messages,
    }
  const messages = Buffer.alloc(0)
  return { partition, highWatermark: '-1', abortedTransactions: [], messages, earliest }
}
