import type { Redis } from 'ioredis'
import { createDeviceFleet } from '../simulator/device-fleet.ts'
import { patiently } from '../support/eventually.ts'
import type { ProducedRecord } from '../support/oracle/device-model.ts'
import { assertNone } from '../support/oracle/oracle.ts'
import { startPollingReader, type PollingReader } from '../support/oracle/polling-reader.ts'
import { writeDeadLetters } from '../support/processes/dead-letter-scenario.ts'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'
import type { WorkerScenario } from '../support/processes/worker-scenario.ts'
import { readTopic } from '../support/records/read-topic.ts'
import { fromFleet, tombstone, update, type TaggedRecord } from '../support/records/tagged-records.ts'
import { createTopic } from '../support/test-scope.ts'
import type { RedisPair } from './redis-pair.ts'

const RESTS_WITHIN_MS = 120_000

type RunningWorker = { readonly process: WorkerProcess; isFrozen: boolean }

/** What the commands act on: the workers, a Kafka, a pair of Redis servers, and the oracle, which is the model. */
export class RealSystem {
  readonly scenario: WorkerScenario
  readonly redis: RedisPair
  readonly workers: RunningWorker[] = []
  readonly #reader: PollingReader
  /** Where another release wrote dead letters of valid records. The oracle does not read it. */
  readonly #otherErrors: string
  /** Tombstones are sent for these devices only. */
  readonly #deletable = new Set<string>()
  #wasFrozen = false

  constructor(scenario: WorkerScenario, redis: RedisPair, reader: PollingReader) {
    this.scenario = scenario
    this.redis = redis
    this.#reader = reader
    this.#otherErrors = `${scenario.errorTopic}-other`
  }

  static async open(scenario: WorkerScenario, redis: RedisPair, reads: Redis): Promise<RealSystem> {
    const reader = startPollingReader(reads, () => deviceIds(scenario.oracle.records))
    const system = new RealSystem(scenario, redis, reader)
    await createTopic((scenario.env['KAFKA_BOOTSTRAP_SERVERS'] ?? '').split(','), system.#otherErrors)
    return system
  }

  async produce(count: number, seed: number): Promise<void> {
    const fleet = createDeviceFleet({ devices: 40, seed, awkwardPercent: 10, invalidPercent: 3 })
    await this.scenario.send(fleet.records(count, Date.now()).map(fromFleet))
  }

  async updateDeletable(deviceId: string): Promise<void> {
    this.#deletable.add(deviceId)
    await this.scenario.send([update({ deviceId })])
  }

  async delete(deviceId: string): Promise<void> {
    this.#deletable.add(deviceId)
    await this.scenario.send([tombstone(deviceId)])
  }

  /** Event times of one device in the order of the given numbers. */
  async reorder(deviceId: string, milliseconds: readonly number[]): Promise<void> {
    const timestampMs = Date.now()
    const records = milliseconds.map((ms) =>
      update({
        deviceId,
        timestampMs,
        eventMicros: (timestampMs - ms) * 1_000,
        metadata: { datatype_name: `name ${ms}` },
      }),
    )
    await this.scenario.send(records)
  }

  /** Sends records again that were sent before. */
  async duplicate(count: number, from: number): Promise<void> {
    const { records } = this.scenario.oracle
    if (records.length === 0) return
    const start = from % records.length
    await this.scenario.send(records.slice(start, start + count).map(asSent))
  }

  async addWorker(): Promise<void> {
    this.workers.push({ process: await this.scenario.startWorker(), isFrozen: false })
  }

  async killWorker(index: number): Promise<void> {
    const worker = this.#take(index)
    worker?.process.kill('SIGKILL')
    await worker?.process.exit
  }

  async stopWorker(index: number): Promise<void> {
    const worker = this.#take(index)
    if (worker === undefined) return
    if (worker.isFrozen) worker.process.kill('SIGCONT')
    const code = await worker.process.stop()
    if (code !== 0) throw new Error(`a worker exited with ${code} after SIGTERM`)
  }

  freezeWorker(index: number): void {
    const worker = this.#at(index)
    if (worker === undefined) return
    worker.process.kill('SIGSTOP')
    worker.isFrozen = true
    this.#wasFrozen = true
  }

  thawWorkers(): void {
    for (const worker of this.workers) {
      if (worker.isFrozen) worker.process.kill('SIGCONT')
      worker.isFrozen = false
    }
  }

  lose(how: () => Promise<void>): Promise<void> {
    return this.#reader.duringLoss(how)
  }

  /** Also if another process is doing the same (exit code 5). */
  async cli(args: readonly string[], env: Readonly<Record<string, string>> = {}, codes = [0]): Promise<void> {
    const { code, errors } = await runCliHere(args, { ...this.scenario.env, LOG_LEVEL: 'ERROR', ...env })
    if (!codes.includes(code)) throw new Error(`cache-cli ${args.join(' ')} exited with ${code}: ${errors}`)
  }

  /** Another release could not apply some records that are valid. */
  async writeDeadLetters(count: number, from: number): Promise<void> {
    const valid = this.scenario.oracle.records.filter(
      ({ expectation }) => expectation.outcome === 'update' && !this.#deletable.has(expectation.deviceId),
    )
    if (valid.length === 0) return
    const start = from % valid.length
    const deadLetters = valid
      .slice(start, start + count)
      .map(({ key, offset, partition, timestampMs, value }) => ({
        record: { key, timestampMs, value, offset },
        partition,
      }))
    await writeDeadLetters({ ...this.scenario, errorTopic: this.#otherErrors }, deadLetters)
  }

  async replay(to: 'cache' | 'topic'): Promise<void> {
    const { admin, kafka, oracle, topic } = this.scenario
    await this.cli(['errors', 'replay', '--to', to, '--yes'], { KAFKA_ERROR_TOPIC: this.#otherErrors })
    if (to === 'cache') return
    const ends = oracle.ends()
    const originals = new Map(oracle.records.map((record) => [record.value?.toString(), record]))
    const sent = await readTopic(kafka, admin, topic)
    const replayed = sent.filter(({ offset, partition }) => offset >= (ends.get(partition) ?? 0))
    oracle.acknowledged(
      replayed.map(({ offset, partition, value }): ProducedRecord => {
        const original = originals.get(value?.toString())
        if (original === undefined) throw new Error(`a record at ${partition}:${offset} that was never sent`)
        return { ...original, partition, offset }
      }),
    )
  }

  /** All faults end; then everything must be as the oracle says. */
  async comeToRest(): Promise<void> {
    const { oracle, redis } = this.scenario
    this.thawWorkers()
    if (this.workers.length === 0) await this.addWorker()
    await patiently(() => redis.ping())
    // A process that was frozen may write late what it had read before: a deleted device is right from its next record on.
    if (this.#wasFrozen) {
      await Promise.all(this.workers.map(({ process }) => process.ready(RESTS_WITHIN_MS)))
      for (const deviceId of this.#deletable) await this.updateDeletable(deviceId)
    }
    await oracle.caughtUp(RESTS_WITHIN_MS)
    await oracle.assertHeals({}, RESTS_WITHIN_MS)
    await Promise.all(this.workers.map(({ process }) => process.ready(RESTS_WITHIN_MS)))
    assertNone(await this.#reader.stop(this.#deletable))
    while (this.workers.length > 0) await this.stopWorker(0)
  }

  async stopReading(): Promise<void> {
    await this.#reader.stop(this.#deletable)
  }

  #at(index: number): RunningWorker | undefined {
    return this.workers[index % Math.max(1, this.workers.length)]
  }

  #take(index: number): RunningWorker | undefined {
    return this.workers.splice(index % Math.max(1, this.workers.length), 1)[0]
  }
}

function asSent({ key, value, timestampMs, expectation }: ProducedRecord): TaggedRecord {
  return { key, value, timestampMs, expectation }
}

function deviceIds(records: readonly ProducedRecord[]): Set<string> {
  return new Set(
    records.flatMap(({ expectation }) => ('deviceId' in expectation ? [expectation.deviceId] : [])),
  )
}
