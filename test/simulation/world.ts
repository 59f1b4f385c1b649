import { createSeededRandom } from '../simulator/seeded-random.ts'
import { invalid, tombstone, update, type TaggedRecord } from '../support/records/tagged-records.ts'
import { Oracle } from './oracle.ts'
import { Scheduler } from './scheduler.ts'
import type { Schedule, Step, StepRecord } from './schedule.ts'
import { PartitionLog, SimulatedKafka, type RecordToAppend } from './servers/simulated-kafka.ts'
import type { RedisServers, RedisSurroundings } from './servers/redis-servers.ts'
import { SimulatedCluster } from './servers/simulated-cluster.ts'
import { SingleRedis } from './servers/single-redis.ts'
import { SESSION_MS, startWorker, type SimulatedWorker } from './worker.ts'

/** 2026-01-01T00:00:00Z. */
const START_MS = Date.UTC(2026, 0, 1)
const LONGEST_TRACE = 400

/** The servers, the workers, and what a schedule's steps do to them. */
export class World {
  readonly #notes: { readonly elapsedMs: number; readonly describe: () => string }[] = []
  readonly scheduler: Scheduler
  readonly #random
  readonly #redis: RedisServers
  readonly #kafka: SimulatedKafka
  readonly #oracle: Oracle
  /** Those that can be given orders. */
  readonly #workers = new Map<string, SimulatedWorker>()
  readonly #started: SimulatedWorker[] = []
  #sequence = 0
  #partitions: number
  violation: string | undefined

  constructor(schedule: Schedule) {
    const { partitions, seed } = schedule
    this.#partitions = partitions
    this.#random = createSeededRandom(seed ^ 0x5bd1e995)
    this.scheduler = new Scheduler(this.#random, START_MS)
    this.#kafka = new SimulatedKafka(partitions, SESSION_MS, this.scheduler, this.#random)
    this.#redis = this.#createRedis(schedule)
    this.#oracle = new Oracle(this.#kafka, this.#redis)
    this.#kafka.violated = (invariant) => this.#violated(invariant)
    this.#kafka.misread = (partition, offset) => this.#oracle.misread(partition, offset)
    this.#kafka.committing = ({ life, offset, partition }) => {
      if (life === this.#kafka.life) this.#violatedIf(this.#oracle.brokenByCommit(partition, offset))
      else this.#oracle.misread(partition, offset)
    }
  }

  /** Since the beginning. */
  get elapsedMs(): number {
    return this.scheduler.nowMs - START_MS
  }

  /** Ends all faults, and leaves at least one worker. */
  endFaults(): void {
    this.#note(() => '-- all faults end')
    this.#kafka.downUntilMs = 0
    this.#kafka.commitsRefusedUntilMs = 0
    this.#kafka.coordinatorMovesUntilMs = 0
    this.#redis.endFaults()
    this.#createTopic()
    if (this.#workers.size === 0) this.#startWorker('last')
  }

  /** Nothing more will happen. */
  abandon(): void {
    for (const worker of this.#started) worker.abandon()
  }

  differenceAtRest(): string | undefined {
    for (const { name, notReadyReasons } of this.#workers.values()) {
      const [reason] = notReadyReasons()
      if (reason !== undefined) return `${name} is not ready: ${reason}`
    }
    return this.#oracle.differenceAtRest(this.scheduler.nowMs)
  }

  /** What has happened, one line each, with the time in seconds. */
  trace(): string[] {
    return this.#notes
      .slice(-LONGEST_TRACE)
      .map(({ describe, elapsedMs }) => `${(elapsedMs / 1000).toFixed(3).padStart(8)}  ${describe()}`)
  }

  /** @param describe is called only if the trace is read, since most schedules pass. */
  #note(describe: () => string): void {
    this.#notes.push({ elapsedMs: this.elapsedMs, describe })
  }

  take(step: Step): void {
    this.#note(() => `-- ${JSON.stringify(step)}`)
    switch (step.kind) {
      case 'produce':
        return this.#produce(step.partition, step.records, (log, records) => log.append(records))
      case 'transaction':
        return this.#produce(
          step.partition,
          step.records,
          (log, records) => log.appendTransaction(records, step.isCommitted),
          step.isCommitted,
        )
      case 'compact':
        this.#kafka.partitions[step.partition]?.compact()
        return this.#oracle.compacted(step.partition)
      case 'delete_records':
        return this.#deleteRecords(step.partition, step.percent)
      case 'add_partition':
        if (this.#kafka.partitions.length > 0) this.#kafka.partitions.push(new PartitionLog())
        return
      case 'recreate_topic':
        this.#partitions = Math.max(this.#partitions, this.#kafka.partitions.length)
        this.#oracle.topicDeleted()
        this.#kafka.deleteTopic()
        this.scheduler.after(step.forMs, () => this.#createTopic(), null)
        return
      case 'start_worker':
        return this.#startWorker(step.worker)
      case 'stop_worker':
        return this.#stopWorker(step.worker)
      case 'kill_worker':
        return this.#killWorker(step.worker)
      case 'freeze_worker':
        return this.#freezeWorker(step.worker, step.forMs)
      case 'cut_redis':
        return this.#workers.get(step.worker)?.redisClient.cut(step.forMs, step.master)
      case 'kafka_down':
        this.#kafka.downUntilMs = this.scheduler.nowMs + step.forMs
        return
      case 'refuse_commits':
        this.#kafka.commitsRefusedUntilMs = this.scheduler.nowMs + step.forMs
        return
      case 'move_coordinator':
        this.#kafka.coordinatorMovesUntilMs = this.scheduler.nowMs + step.forMs
        return
      case 'hang_redis':
        this.#oracle.commandsDelayed()
        return this.#redis.take(step)
      default:
        return this.#redis.take(step)
    }
  }

  #createTopic(): void {
    if (this.#kafka.partitions.length === 0) this.#kafka.createTopic(this.#partitions)
  }

  #createRedis({ masters, steps }: Schedule): RedisServers {
    const { scheduler } = this
    const isOneProcess = steps.filter(({ kind }) => /^(start|stop|kill)_worker$/.test(kind)).length === 1
    const surroundings: RedisSurroundings = {
      scheduler,
      random: this.#random,
      wrote: (key, before, after) => this.#violatedIf(this.#oracle.brokenByWrite(key, before, after)),
      losesData: () => this.#oracle.lostData(),
      copiesMoved: () => this.#oracle.copiesMoved(),
      committed: this.#kafka.committed,
      partitionCount: () => this.#kafka.partitions.length,
      isOneProcess,
    }
    return masters === 1 ? new SingleRedis(surroundings) : new SimulatedCluster(masters, surroundings)
  }

  #startWorker(worker: string): void {
    if (this.#workers.has(worker)) return
    const name = `${worker}#${this.#started.length + 1}`
    const started = startWorker(name, {
      scheduler: this.scheduler,
      kafka: this.#kafka,
      redis: this.#redis,
      random: this.#random,
      note: (describe) => this.#note(describe),
      failed: (error) => this.#violated(`${name} ended with ${String(error)}`),
      deadLettersSent: (deadLetters) => this.#oracle.deadLettersSent(deadLetters),
      lossReported: () => this.#violatedIf(this.#oracle.brokenByReport()),
    })
    this.#started.push(started)
    this.#workers.set(worker, started)
    void started.ended.then(() => this.#ended(started))
  }

  /** It keeps its connections until it has ended. */
  #stopWorker(worker: string): void {
    this.#workers.get(worker)?.stop()
    this.#workers.delete(worker)
  }

  #killWorker(worker: string): void {
    const killed = this.#workers.get(worker)
    if (killed === undefined) return
    this.#workers.delete(worker)
    this.#ended(killed)
    this.scheduler.kill(killed.name)
  }

  #ended(worker: SimulatedWorker): void {
    this.#redis.close(worker.redisClient)
  }

  #freezeWorker(worker: string, forMs: number): void {
    const frozen = this.#workers.get(worker)
    if (frozen !== undefined) this.scheduler.freeze(frozen.name, forMs)
  }

  #deleteRecords(partition: number, percent: number): void {
    const log = this.#kafka.partitions[partition]
    if (log === undefined) return
    log.deleteBefore(log.earliest + Math.ceil(((log.end - log.earliest) * percent) / 100))
    this.#kafka.appended()
    this.#oracle.deleted(partition)
  }

  #produce(
    partition: number,
    records: readonly StepRecord[],
    append: (log: PartitionLog, records: readonly RecordToAppend[]) => number,
    isVisible = true,
  ): void {
    const log = this.#kafka.partitions[partition]
    if (log === undefined) return
    const tagged = records.map((record) =>
      tag(record, Math.floor(this.scheduler.nowMs), this.#sequence++ % 1000),
    )
    const plain = tagged.map(({ key, timestampMs, value }) => ({
      key: Buffer.from(key ?? ''),
      value,
      timestampMs,
    }))
    const first = append(log, plain)
    this.#kafka.appended()
    if (!isVisible) return
    this.#oracle.produced(
      plain.flatMap((record, i) => {
        const expectation = tagged[i]?.expectation
        return expectation === undefined ? [] : [{ ...record, partition, offset: first + i, expectation }]
      }),
    )
  }

  #violatedIf(what: string | undefined): void {
    if (what !== undefined) this.#violated(what)
  }

  #violated(what: string): void {
    this.violation ??= what
    this.#note(() => `!! ${what}`)
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
