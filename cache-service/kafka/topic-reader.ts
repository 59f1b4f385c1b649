import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs'
import { kafkaError, ServiceError } from '../../shared/errors.ts'
import type { SourceRecord } from '../core/records/source-record.ts'
import { sleep } from '../lifecycle/sleep.ts'
import { createAdminConnection } from './admin-connection.ts'
import { METADATA_MAX_AGE_MS, RETRY } from './client.ts'
import { fetchedPartition } from './fetched-partition.ts'
import { decodeRecords, UndecodableBatchError, type RecordBatch } from './record-batch.ts'

/** Offsets of one partition; `from` is inclusive, `to` is exclusive. */
export type OffsetRange = { readonly partition: number; readonly from: number; readonly to: number }

/** Called for one record at a time, and awaited; returning `false` stops reading the partition. */
export type VisitRecord = (record: SourceRecord, partition: number) => Promise<boolean | void>

export type ReaderGroup = {
  /** Unique, and with the prefix (if any) of the groups that the ACLs allow. */
  readonly id: string
  /** As for a worker: brokers have limits for it. */
  readonly sessionTimeoutMs: number
}

export type ReadProgress = (read: number, total: number) => void

const MAX_WAIT_MS = 100
/** After this many empty fetches and this long, the remaining offsets hold no records (markers, or compacted away). */
const NOTHING_LEFT_FETCHES = 20
const NOTHING_LEFT_MS = 4_000
/** A broker without data answers within MAX_WAIT_MS: one that takes longer may be sending wanted records. */
const SLOW_ANSWER_MS = 1_000
/** While joining, KafkaJS gives up on retriable errors, such as a loading coordinator or a moving leader. */
const MAX_FAILURES = 10
const RETRY_AFTER_MS = 500

/** The offsets of one partition that are still to be read. */
type Target = { readonly ranges: OffsetRange[]; position: number }

type Reading = {
  readonly targets: Map<number, Target>
  readonly visit: VisitRecord
  readonly progress: ReadProgress
  readonly total: number
  read: number
  emptyFetches: number
  lastBatchMs: number
  /** By broker: when the fetch that it has not answered yet was sent. */
  readonly pendingFetchMs: Map<number, number>
  end: (error?: unknown) => void
}

/**
 * Reads given offsets of a topic, any number of times, and leaves no trace: its consumer group is its own, never
 * commits, and is deleted on close.
 *
 * It needs a group only because KafkaJS has no other way to consume. Partitions without wanted offsets are paused.
 */
export class TopicReader {
  readonly #kafka: Kafka
  readonly #topic: string
  readonly #group: ReaderGroup
  readonly #monotonicNow: () => number
  readonly #warn: (text: string) => void
  #consumer: Consumer | undefined
  #reading: Reading | undefined

  constructor(
    kafka: Kafka,
    topic: string,
    group: ReaderGroup,
    monotonicNow: () => number,
    warn: (text: string) => void = () => undefined,
  ) {
    this.#kafka = kafka
    this.#topic = topic
    this.#group = group
    this.#monotonicNow = monotonicNow
    this.#warn = warn
  }

  /**
   * Visits the records in the ranges, those of one partition in offset order; the ranges of one partition must be
   * sorted and must not overlap. Offsets without a record are skipped. Only one call may run at a time.
   *
   * Rejects with a ServiceError if Kafka fails, with the error that `visit` threw, or with the signal's reason.
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
      pendingFetchMs: new Map(),
      end: () => undefined,
    }
    try {
      for (let failures = 0; ; failures++) {
        try {
          return await this.#readRest(reading)
        } catch (error) {
          // A consumer that has crashed, or still processes an abandoned batch, cannot be used again.
          this.#reading = undefined
          await this.close()
          const isRetriable = error instanceof ServiceError && error.code === 'RETRIABLE'
          if (!isRetriable || failures === MAX_FAILURES || options.stop.aborted) throw error
          await sleep(RETRY_AFTER_MS, options.stop)
        }
      }
    } finally {
      options.stop.removeEventListener('abort', stopped)
      this.#reading = undefined
    }
  }

  /** Resolves when all targets are reached; rejects when something fails. */
  async #readRest(reading: Reading): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    reading.end = (error) => (error === undefined ? resolve() : reject(error))
    reading.emptyFetches = 0
    reading.lastBatchMs = this.#monotonicNow()
    reading.pendingFetchMs.clear()
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
    const { request, disconnect } = createAdminConnection(this.#kafka)
    try {
      await request(this.#topic, (admin) => admin.deleteGroups([this.#group.id]))
    } catch {
      // Kafka itself removes a group without members and commits.
    } finally {
      await disconnect().catch(() => undefined)
    }
  }

  async #open(): Promise<void> {
    const consumer = this.#kafka.consumer({
      groupId: this.#group.id,
      sessionTimeout: this.#group.sessionTimeoutMs,
      metadataMaxAge: METADATA_MAX_AGE_MS,
      allowAutoTopicCreation: false,
      maxWaitTimeInMs: MAX_WAIT_MS,
      retry: { ...RETRY, restartOnFailure: async () => false },
    })
    this.#consumer = consumer
    consumer.on(consumer.events.CRASH, ({ payload }) => this.#fail(consumer, payload.error))
    consumer.on(consumer.events.FETCH_START, ({ payload }) => {
      this.#reading?.pendingFetchMs.set(payload.nodeId, this.#monotonicNow())
    })
    consumer.on(consumer.events.FETCH, ({ payload }) => this.#fetchAnswered(payload.nodeId))
    // Joining resets its positions.
    consumer.on(consumer.events.GROUP_JOIN, () => this.#seekAll(consumer))
    try {
      await consumer.connect()
      await consumer.subscribe({ topics: [this.#topic], fromBeginning: true })
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: true,
        eachBatch: (payload) => this.#visitBatch(consumer, payload),
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

  async #visitBatch(consumer: Consumer, payload: EachBatchPayload): Promise<void> {
    const { isStale } = payload
    const fetched = fetchedPartition(payload)
    const reading = this.#reading
    const target = reading?.targets.get(fetched.partition)
    // What was fetched before a seek says nothing about the offsets wanted now.
    if (reading === undefined || target === undefined || isStale() || fetched.position > target.position)
      return
    reading.emptyFetches = 0
    reading.lastBatchMs = this.#monotonicNow()
    for (const batch of fetched.batches) {
      if (!(await this.#visitRecords(reading, target, batch, payload))) return
    }
    this.#markPassed(reading, target, fetched.isRestart ? Infinity : fetched.next)
    this.#continueAfter(consumer, reading, fetched.partition, fetched.next)
  }

  /** @returns false if the reading is over, or belongs to another consumer now. */
  async #visitRecords(
    reading: Reading,
    target: Target,
    batch: RecordBatch,
    { batch: { partition }, heartbeat, isRunning }: EachBatchPayload,
  ): Promise<boolean> {
    if (batch.nextOffset <= target.position || target.ranges[0] === undefined) return true
    for (const record of await this.#decode(batch, partition)) {
      const { offset } = record
      if (offset < target.position) continue
      this.#markPassed(reading, target, offset)
      const range = target.ranges[0]
      if (range === undefined) break
      if (offset < range.from) continue
      let shouldContinue
      try {
        shouldContinue = await reading.visit(record, partition)
      } catch (error) {
        reading.end(error)
        return false
      }
      this.#markPassed(reading, target, shouldContinue === false ? Infinity : offset + 1)
      reading.lastBatchMs = this.#monotonicNow()
      if (!isRunning() || this.#reading !== reading) return false
      await heartbeat()
    }
    return true
  }

  async #decode(batch: RecordBatch, partition: number): Promise<readonly SourceRecord[]> {
    try {
      return (await decodeRecords(batch)).records
    } catch (error) {
      if (!(error instanceof UndecodableBatchError)) throw error
      const offsets = `${this.#topic} ${partition}: offsets ${batch.baseOffset} to ${batch.nextOffset - 1}`
      this.#warn(`${offsets} are skipped, because their batch cannot be decoded (${error.message})`)
      return []
    }
  }

  /** Records that everything before `offset` has been read or skipped. */
  #markPassed(reading: Reading, target: Target, offset: number): void {
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

  /** Pauses a finished partition, or seeks to the next range. @param next the offset that comes next without a seek. */
  #continueAfter(consumer: Consumer, reading: Reading, partition: number, next: number): void {
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

  /** Ends the reading when the brokers keep answering without any wanted record. */
  #fetchAnswered(broker: number): void {
    const reading = this.#reading
    if (reading === undefined) return
    const nowMs = this.#monotonicNow()
    const isSlow = (sentMs: number) => nowMs - sentMs > SLOW_ANSWER_MS
    const sentMs = reading.pendingFetchMs.get(broker) ?? nowMs
    reading.pendingFetchMs.delete(broker)
    if (isSlow(sentMs)) {
      reading.emptyFetches = 0
      reading.lastBatchMs = nowMs
      return
    }
    reading.emptyFetches++
    if (reading.emptyFetches <= NOTHING_LEFT_FETCHES || nowMs - reading.lastBatchMs <= NOTHING_LEFT_MS) return
    if (![...reading.pendingFetchMs.values()].some(isSlow)) reading.end()
  }
}
