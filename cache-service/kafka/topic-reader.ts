import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs'
import { kafkaError, ServiceError } from '../../shared/errors.ts'
import type { SourceRecord } from '../core/records/source-record.ts'
import { sleep } from '../lifecycle/sleep.ts'
import { METADATA_MAX_AGE_MS, RETRY } from './client.ts'

/** Offsets of one partition, from `from` up to but without `to`. */
export type OffsetRange = { readonly partition: number; readonly from: number; readonly to: number }

/** Called for each record in turn, and waited for; `false` ends the reading of its partition. */
export type VisitRecord = (record: SourceRecord, partition: number) => Promise<boolean | void>

export type ReadProgress = (read: number, total: number) => void

const MAX_WAIT_MS = 100
const SESSION_TIMEOUT_MS = 30_000
/** Kafka answers, and brings nothing: what is left of the ranges are no records (markers, or compacted away). */
const NOTHING_LEFT_FETCHES = 20
const NOTHING_LEFT_MS = 4_000
/** A broker that has nothing says so within MAX_WAIT_MS: one that takes longer may be sending what is wanted. */
const SLOW_ANSWER_MS = 1_000
/** A coordinator that is loading, a leader that moves: KafkaJS gives up on these while it joins. */
const MAX_FAILURES = 10
const RETRY_AFTER_MS = 500

/** What is still wanted of one partition. */
type Target = { readonly ranges: OffsetRange[]; position: number }

type Reading = {
  readonly targets: Map<number, Target>
  readonly visit: VisitRecord
  readonly progress: ReadProgress
  readonly total: number
  read: number
  emptyFetches: number
  lastBatchMs: number
  /** Broker → since when it has not answered. */
  readonly askedMs: Map<number, number>
  end: (error?: unknown) => void
}

/**
 * Reads chosen offsets of a topic, as often as it is asked to, without a trace: a group of its own, which never
 * commits and is deleted at the end.
 *
 * It needs a group only because KafkaJS knows no other way. Partitions of which nothing is wanted are paused.
 */
export class TopicReader {
  readonly #kafka: Kafka
  readonly #topic: string
  readonly #groupId: string
  readonly #now: () => number
  #consumer: Consumer | undefined
  #reading: Reading | undefined

  /** @param groupId nobody else's; a user who may read groups by a prefix wants it to begin with that. */
  constructor(kafka: Kafka, topic: string, groupId: string, now: () => number) {
    this.#kafka = kafka
    this.#topic = topic
    this.#groupId = groupId
    this.#now = now
  }

  /**
   * Visits the records of the ranges, those of one partition in the order of their offsets; the ranges of one
   * partition must be in order, and apart. Offsets without a record are passed over. One call at a time.
   *
   * Rejects with a ServiceError if Kafka fails, with what `visit` threw, or with the signal's reason.
   */
  async read(
    ranges: readonly OffsetRange[],
    visit: VisitRecord,
    options: { readonly stop: AbortSignal; readonly progress?: ReadProgress },
  ): Promise<void> {
    const targets = new Map<number, Target>()
    for (const range of ranges) {
      if (range.from >= range.to) continue
      const target = targets.get(range.partition)
      if (target !== undefined) target.ranges.push(range)
      else targets.set(range.partition, { ranges: [range], position: range.from })
    }
    const total = ranges.reduce((sum, { from, to }) => sum + Math.max(0, to - from), 0)
    options.stop.throwIfAborted()
    if (targets.size === 0) return
    const stopped = () => this.#reading?.end(options.stop.reason)
    options.stop.addEventListener('abort', stopped)
    const progress = options.progress ?? (() => undefined)
    const reading: Reading = {
      targets,
      visit,
      progress,
      total,
      read: 0,
      emptyFetches: 0,
      lastBatchMs: 0,
      askedMs: new Map(),
      end: () => undefined,
    }
    try {
      for (let failures = 0; ; failures++) {
        try {
          return await this.#readOn(reading)
        } catch (error) {
          // A consumer that has crashed, or that still works on what nobody wants, is of no further use.
          this.#reading = undefined
          await this.close()
          const isPassing = error instanceof ServiceError && error.code === 'RETRIABLE'
          if (!isPassing || failures === MAX_FAILURES || options.stop.aborted) throw error
          await sleep(RETRY_AFTER_MS, options.stop)
        }
      }
    } finally {
      options.stop.removeEventListener('abort', stopped)
      this.#reading = undefined
    }
  }

  /** Until all targets are reached, or something fails. */
  async #readOn(reading: Reading): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    reading.end = (error) => (error === undefined ? resolve() : reject(error))
    reading.emptyFetches = 0
    reading.lastBatchMs = this.#now()
    reading.askedMs.clear()
    this.#reading = reading
    if (this.#consumer === undefined) await Promise.race([this.#open(), promise])
    else this.#seekAll(this.#consumer)
    await promise
  }

  async close(): Promise<void> {
    const consumer = this.#consumer
    this.#consumer = undefined
    if (consumer === undefined) return
    await consumer.disconnect().catch(() => undefined)
    const admin = this.#kafka.admin({ retry: RETRY })
    try {
      await admin.connect()
      await admin.deleteGroups([this.#groupId])
    } catch {
      // Kafka forgets a group without members and commits by itself
    } finally {
      await admin.disconnect().catch(() => undefined)
    }
  }

  async #open(): Promise<void> {
    const consumer = this.#kafka.consumer({
      groupId: this.#groupId,
      sessionTimeout: SESSION_TIMEOUT_MS,
      metadataMaxAge: METADATA_MAX_AGE_MS,
      allowAutoTopicCreation: false,
      maxWaitTimeInMs: MAX_WAIT_MS,
      retry: { ...RETRY, restartOnFailure: async () => false },
    })
    this.#consumer = consumer
    consumer.on(consumer.events.CRASH, ({ payload }) => this.#fail(consumer, payload.error))
    consumer.on(consumer.events.FETCH_START, ({ payload }) => {
      this.#reading?.askedMs.set(payload.nodeId, this.#now())
    })
    consumer.on(consumer.events.FETCH, ({ payload }) => this.#answered(payload.nodeId))
    // Whenever it joins, it has forgotten where it was.
    consumer.on(consumer.events.GROUP_JOIN, () => this.#seekAll(consumer))
    try {
      await consumer.connect()
      await consumer.subscribe({ topics: [this.#topic], fromBeginning: true })
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: true,
        eachBatch: (payload) => this.#batch(consumer, payload),
      })
    } catch (error) {
      this.#fail(consumer, error)
    }
  }

  #fail(consumer: Consumer, error: unknown): void {
    if (consumer !== this.#consumer) return
    this.#reading?.end(kafkaError(error, this.#topic))
  }

  #seekAll(consumer: Consumer): void {
    consumer.pause([{ topic: this.#topic }])
    for (const [partition, { position }] of this.#reading?.targets ?? []) {
      consumer.resume([{ topic: this.#topic, partitions: [partition] }])
      consumer.seek({ topic: this.#topic, partition, offset: String(position) })
    }
  }

  async #batch(
    consumer: Consumer,
    { batch, isStale, isRunning, heartbeat }: EachBatchPayload,
  ): Promise<void> {
    const reading = this.#reading
    const target = reading?.targets.get(batch.partition)
    // What was asked for before a seek says nothing about what is wanted now.
    const fetchedOffset = 'fetchedOffset' in batch ? Number(batch.fetchedOffset) : 0
    if (reading === undefined || target === undefined || isStale() || fetchedOffset > target.position) return
    reading.emptyFetches = 0
    reading.lastBatchMs = this.#now()
    for (const message of batch.messages) {
      const offset = Number(message.offset)
      if (offset < target.position) continue
      this.#pass(reading, target, offset)
      const range = target.ranges[0]
      if (range === undefined) break
      if (offset < range.from) continue
      let goesOn
      try {
        goesOn = await reading.visit(message, batch.partition)
      } catch (error) {
        return reading.end(error)
      }
      this.#pass(reading, target, goesOn === false ? Infinity : offset + 1)
      reading.lastBatchMs = this.#now()
      if (!isRunning() || this.#reading !== reading) return
      await heartbeat()
    }
    this.#pass(reading, target, Number(batch.lastOffset()) + 1)
    this.#goOn(consumer, reading, batch.partition, Number(batch.lastOffset()) + 1)
  }

  /** Everything before `offset` is done with. */
  #pass(reading: Reading, target: Target, offset: number): void {
    while (target.ranges[0] !== undefined) {
      const { from, to } = target.ranges[0]
      const passed = Math.min(offset, to) - Math.max(from, target.position)
      if (passed > 0) reading.read += passed
      target.position = Math.max(target.position, Math.min(offset, to))
      if (offset < to) break
      target.ranges.shift()
      target.position = Math.max(target.position, target.ranges[0]?.from ?? 0)
    }
    reading.progress(reading.read, reading.total)
  }

  #goOn(consumer: Consumer, reading: Reading, partition: number, next: number): void {
    const target = reading.targets.get(partition)
    if (target === undefined) return
    if (target.ranges.length === 0) {
      reading.targets.delete(partition)
      consumer.pause([{ topic: this.#topic, partitions: [partition] }])
      if (reading.targets.size === 0) reading.end()
    } else if (target.position > next) {
      consumer.seek({ topic: this.#topic, partition, offset: String(target.position) })
    }
  }

  #answered(broker: number): void {
    const reading = this.#reading
    if (reading === undefined) return
    const nowMs = this.#now()
    const isSlow = (askedMs: number) => nowMs - askedMs > SLOW_ANSWER_MS
    const askedMs = reading.askedMs.get(broker) ?? nowMs
    reading.askedMs.delete(broker)
    if (isSlow(askedMs)) {
      reading.emptyFetches = 0
      reading.lastBatchMs = nowMs
      return
    }
    reading.emptyFetches++
    if (reading.emptyFetches <= NOTHING_LEFT_FETCHES || nowMs - reading.lastBatchMs <= NOTHING_LEFT_MS) return
    if (![...reading.askedMs.values()].some(isSlow)) reading.end()
  }
}
