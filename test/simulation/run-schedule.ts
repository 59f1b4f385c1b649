import type { DeadLetter } from '../../cache-service/core/dead-letters/dead-letter.ts'
import { deviceKey, DEVICE_INDEX_KEY } from '../../shared/contract/keys.ts'
import type { DeviceId } from '../../shared/contract/device-id.ts'
import { createSeededRandom } from '../simulator/seeded-random.ts'
import { hashOf, compareHashes, modelDevices, type ProducedRecord } from '../support/oracle/device-model.ts'
import { invalid, tombstone, update, type TaggedRecord } from '../support/records/tagged-records.ts'
import { Scheduler } from './scheduler.ts'
import type { Schedule, Step, StepRecord } from './schedule.ts'
import { SimulatedKafka } from './servers/simulated-kafka.ts'
import { SimulatedRedis, type RedisSnapshot } from './servers/simulated-redis.ts'
import { CACHE, PROGRESS_KEY, SESSION_MS, startWorker, type SimulatedWorker } from './worker.ts'

export type Outcome =
  | { readonly kind: 'passed'; readonly events: number; readonly trace: readonly string[] }
  | { readonly kind: 'failed'; readonly why: string; readonly trace: readonly string[] }

/** 2026-01-01T00:00:00Z. */
const START_MS = Date.UTC(2026, 0, 1)
const REST_MS = 5_000
const LONGEST_WAY_TO_REST_MS = 300_000
const MODEL_SETTINGS = {
  extraFields: 'all' as const,
  metadataTtlMs: CACHE.metadataTtlMs,
  maxFutureSkewMs: CACHE.maxFutureSkewMs,
}
const LONGEST_TRACE = 400

/** Runs a schedule, ends all faults, waits until everything is at rest, and compares with the model. */
export async function runSchedule(schedule: Schedule): Promise<Outcome> {
  const world = new World(schedule)
  const uninstall = world.scheduler.install()
  try {
    await world.run()
    return { kind: 'passed', events: world.scheduler.events, trace: world.trace }
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    return { kind: 'failed', why: error.message, trace: world.trace }
  } finally {
    uninstall()
  }
}

class Violation extends Error {}

class World {
  readonly trace: string[] = []
  readonly scheduler: Scheduler
  readonly #schedule: Schedule
  readonly #random
  readonly #redis: SimulatedRedis
  readonly #kafka: SimulatedKafka
  readonly #workers = new Map<string, SimulatedWorker>()
  #produced: ProducedRecord[] = []
  readonly #deadLetters = new Set<string>()
  #saved: RedisSnapshot = new Map()
  #violation: string | undefined
  /** Redis may lack, or hold older, data than a worker has written. */
  #hasLostData = false
  #workersStarted = 0
  #sequence = 0

  constructor(schedule: Schedule) {
    this.#schedule = schedule
    this.#random = createSeededRandom(schedule.seed ^ 0x5bd1e995)
    this.scheduler = new Scheduler(this.#random, START_MS)
    this.#redis = new SimulatedRedis(() => this.scheduler.nowMs)
    this.#kafka = new SimulatedKafka(schedule.partitions, SESSION_MS, this.scheduler, this.#random)
    this.#redis.wrote = (key, before) => this.#checkWrite(key, before)
    this.#kafka.violated = (invariant) => this.#violated(invariant)
    this.#kafka.committing = ({ offset, partition }) => this.#checkCommit(partition, offset)
  }

  async run(): Promise<void> {
    for (const step of this.#schedule.steps) {
      await this.#until(START_MS + step.atMs)
      this.#note(`-- ${JSON.stringify(step)}`)
      this.#take(step)
    }
    this.#note('-- all faults end')
    this.#kafka.downUntilMs = 0
    this.#kafka.commitsRefusedUntilMs = 0
    this.#redis.refusal = undefined
    if (this.#workers.size === 0) this.#startWorker('last')
    const deadline = this.scheduler.nowMs + LONGEST_WAY_TO_REST_MS
    let restSinceMs: number | undefined
    let difference = 'it has not been compared'
    while (this.scheduler.nowMs < deadline) {
      await this.#until(this.scheduler.nowMs + 1_000)
      const found = this.#difference()
      if (found !== undefined) {
        difference = found
        restSinceMs = undefined
      } else {
        restSinceMs ??= this.scheduler.nowMs
        if (this.scheduler.nowMs - restSinceMs >= REST_MS) return
      }
    }
    throw new Violation(`it has not come to rest: ${difference}`)
  }

  async #until(ms: number): Promise<void> {
    await this.scheduler.runFor(ms - this.scheduler.nowMs)
    if (this.#violation !== undefined) throw new Violation(this.#violation)
  }

  #take(step: Step): void {
    switch (step.kind) {
      case 'produce':
        return this.#produce(step.partition, step.records, (records) =>
          this.#log(step.partition).append(records),
        )
      case 'transaction':
        return this.#produce(
          step.partition,
          step.records,
          (records) => this.#log(step.partition).appendTransaction(records, step.isCommitted),
          step.isCommitted,
        )
      case 'compact':
        return this.#compact(step.partition)
      case 'start_worker':
        return this.#startWorker(step.worker)
      case 'stop_worker':
        this.#workers.get(step.worker)?.stop()
        this.#workers.delete(step.worker)
        return
      case 'kill_worker':
        return this.#killWorker(step.worker)
      case 'freeze_worker':
        return this.#freezeWorker(step.worker, step.forMs)
      case 'cut_redis':
        return this.#workers.get(step.worker)?.redisClient.cut(step.forMs)
      case 'cut_redis_for_all':
        for (const { redisClient } of this.#workers.values()) redisClient.cut(step.forMs)
        return
      case 'kafka_down':
        this.#kafka.downUntilMs = this.scheduler.nowMs + step.forMs
        return
      case 'refuse_commits':
        this.#kafka.commitsRefusedUntilMs = this.scheduler.nowMs + step.forMs
        return
      case 'redis_full':
        return this.#refuseWrites("OOM command not allowed when used memory > 'maxmemory'.", step.forMs)
      case 'redis_readonly':
        return this.#refuseWrites("READONLY You can't write against a read only replica.", step.forMs)
      case 'save_redis':
        this.#saved = this.#redis.snapshot()
        return
      case 'wipe_redis':
        return this.#restartRedis(new Map())
      case 'restore_redis':
        return this.#restartRedis(this.#saved)
      case 'forget_scripts':
        this.#redis.scripts.clear()
        return
      case 'request_rebuild':
        return this.#requestRebuild()
    }
  }

  #compact(partition: number): void {
    const log = this.#log(partition)
    log.compact()
    // A record that was not read before leaves no dead letter.
    this.#produced = this.#produced.filter(
      ({ expectation, offset, partition: of }) =>
        of !== partition || expectation.outcome !== 'rejected' || log.holds(offset),
    )
  }

  #requestRebuild(): void {
    // `cache-cli rebuild` reports that Redis refuses.
    if (this.#redis.refusal !== undefined) return
    this.#hasLostData = true
    this.#redis.scripts.add('request-rebuild')
    const partitions = [...this.#kafka.partitions.keys()]
    this.#redis.evaluate(
      'request-rebuild',
      [PROGRESS_KEY],
      partitions.map((partition) => `${partition}:requested`),
    )
  }

  #refuseWrites(refusal: string, forMs: number): void {
    this.#redis.refusal = refusal
    this.scheduler.after(forMs, () => (this.#redis.refusal = undefined), undefined)
  }

  /** Connections break when a server restarts, and what it had received is gone. */
  #restartRedis(saved: RedisSnapshot): void {
    this.#hasLostData = true
    for (const { redisClient } of this.#workers.values()) redisClient.serverEnded()
    this.#redis.restart(saved)
  }

  #killWorker(worker: string): void {
    const killed = this.#workers.get(worker)
    if (killed === undefined) return
    this.#workers.delete(worker)
    this.scheduler.kill(killed.name)
  }

  #freezeWorker(worker: string, forMs: number): void {
    const frozen = this.#workers.get(worker)
    if (frozen !== undefined) this.scheduler.freeze(frozen.name, forMs)
  }

  #startWorker(worker: string): void {
    if (this.#workers.has(worker)) return
    const name = `${worker}#${++this.#workersStarted}`
    const started = startWorker(name, {
      scheduler: this.scheduler,
      kafka: this.#kafka,
      redis: this.#redis,
      random: this.#random,
      note: (what) => this.#note(what),
      failed: (error) => this.#violated(`${name} ended with ${String(error)}`),
      deadLettersSent: (deadLetters) => this.#deadLettersSent(deadLetters),
    })
    this.#workers.set(worker, started)
  }

  #log(partition: number) {
    const log = this.#kafka.partitions[partition]
    if (log === undefined) throw new Error(`there is no partition ${partition}`)
    return log
  }

  #produce(
    partition: number,
    records: readonly StepRecord[],
    append: (records: readonly { key: Buffer; value: Buffer | null; timestampMs: number }[]) => number,
    isVisible = true,
  ): void {
    const tagged = records.map((record) =>
      tag(record, Math.floor(this.scheduler.nowMs), this.#sequence++ % 1000),
    )
    const plain = tagged.map(({ key, timestampMs, value }) => ({
      key: Buffer.from(key ?? ''),
      value,
      timestampMs,
    }))
    const first = append(plain)
    this.#kafka.appended()
    if (!isVisible) return
    for (const [i, { expectation }] of tagged.entries()) {
      const record = plain[i]
      if (record !== undefined)
        this.#produced.push({ life: 0, partition, offset: first + i, expectation, ...record })
    }
  }

  #deadLettersSent(deadLetters: readonly DeadLetter[]): void {
    for (const { headers } of deadLetters)
      this.#deadLetters.add(`${String(headers['source_partition'])}/${String(headers['source_offset'])}`)
  }

  /** What a reader sees of a device never goes back. */
  #checkWrite(key: string, before: ReadonlyMap<string, string> | undefined): void {
    const after = this.#redis.hash(key)
    if (before === undefined || after === undefined) return
    if (compareHashes(Object.fromEntries(before), Object.fromEntries(after)) >= 0)
      this.#violated(`${key} went back from ${before.get('last_updated')} to ${after.get('last_updated')}`)
  }

  /** No commit passes a record that is not in Redis. */
  #checkCommit(partition: number, offset: number): void {
    if (this.#hasLostData) return
    const lacking = this.#lacking(partition, offset)
    if (lacking !== undefined)
      this.#violated(`offset ${offset} of partition ${partition} was committed, but ${lacking}`)
  }

  /** A record before the offset that is not in Redis. Devices with tombstones are left out. */
  #lacking(partition: number, offset: number): string | undefined {
    const deleted = new Set(
      this.#produced.flatMap(({ expectation }) =>
        expectation.outcome === 'tombstone' ? [expectation.deviceId] : [],
      ),
    )
    for (const record of this.#produced) {
      const { expectation } = record
      if (record.partition !== partition || record.offset >= offset) continue
      if (expectation.outcome === 'rejected') {
        if (!this.#deadLetters.has(`${partition}/${record.offset}`))
          return `${record.offset} is no dead letter`
        continue
      }
      if (expectation.outcome !== 'update' || deleted.has(expectation.deviceId)) continue
      const expected = hashOf(record, MODEL_SETTINGS)
      const stored = this.#redis.hash(deviceKey(expectation.deviceId as DeviceId))
      if (expected === undefined) continue
      if (stored === undefined || compareHashes(Object.fromEntries(stored), expected.fields) < 0)
        return `record ${record.offset} of ${expectation.deviceId} is not in Redis`
    }
    return undefined
  }

  /** What is not as it should be at rest. */
  #difference(): string | undefined {
    for (const [partition, { end }] of this.#kafka.partitions.entries()) {
      const committed = this.#kafka.committed.get(partition)
      if (end > 0 && committed !== end)
        return `partition ${partition} is committed up to ${committed} of ${end}`
      const progress = this.#redis.hash(PROGRESS_KEY)?.get(String(partition))
      if (end > 0 && progress !== String(end))
        return `the progress of partition ${partition} is ${progress} of ${end}`
      if (this.#redis.hash(PROGRESS_KEY)?.has(`${partition}:until`) === true)
        return `partition ${partition} is still being rebuilt`
    }
    const expected = modelDevices(this.#produced, MODEL_SETTINGS, this.scheduler.nowMs)
    const keys = this.#redis.keys().filter((key) => key.startsWith('device:'))
    for (const [id, { fields }] of expected) {
      const key = deviceKey(id as DeviceId)
      const stored = Object.fromEntries(this.#redis.hash(key) ?? [])
      if (compareHashes(stored, fields) !== 0)
        return `${id} is ${JSON.stringify(stored)} instead of ${JSON.stringify(fields)}`
      if (!this.#redis.set(DEVICE_INDEX_KEY).has(id)) return `${id} is not in the index`
    }
    if (keys.length !== expected.size) return `${keys.length} devices instead of ${expected.size}`
    for (const { expectation, offset, partition } of this.#produced)
      if (expectation.outcome === 'rejected' && !this.#deadLetters.has(`${partition}/${offset}`))
        return `record ${offset} of partition ${partition} is no dead letter`
    return undefined
  }

  #violated(what: string): void {
    this.#violation ??= what
    this.#note(`!! ${what}`)
  }

  #note(what: string): void {
    this.trace.push(`${((this.scheduler.nowMs - START_MS) / 1000).toFixed(3).padStart(8)}  ${what}`)
    if (this.trace.length > LONGEST_TRACE) this.trace.shift()
  }
}

/** @param micros makes each event later than those before it in the same millisecond. */
function tag(record: StepRecord, timestampMs: number, micros: number): TaggedRecord {
  const deviceId = `d${record.device}`
  switch (record.kind) {
    case 'update':
      return update({
        deviceId,
        timestampMs,
        eventMicros: (timestampMs - record.eventAgeMs) * 1000 + micros * (record.eventAgeMs === 0 ? 1 : 0),
        metadata: {
          datatype_name: record.name,
          ...(record.unit !== '' && { datatype_unit: record.unit }),
        },
      })
    case 'tombstone':
      return tombstone(deviceId, timestampMs)
    case 'invalid':
      return invalid('not_json', 'not JSON', deviceId)
  }
}
