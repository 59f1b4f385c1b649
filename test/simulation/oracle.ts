import { deviceKey, DEVICE_INDEX_KEY } from '../../shared/contract/keys.ts'
import type { DeviceId } from '../../shared/contract/device-id.ts'
import type { DeadLetter } from '../../cache-service/core/dead-letters/dead-letter.ts'
import {
  compareHashes,
  hashOf,
  modelDevices,
  type DeviceHash,
  type ModelSettings,
  type ProducedRecord,
} from '../support/oracle/device-model.ts'
import type { SimulatedKafka } from './servers/simulated-kafka.ts'
import type { RedisServers } from './servers/redis-servers.ts'
import type { HashFields } from './servers/simulated-redis.ts'
import { CACHE } from './worker.ts'

const SETTINGS: ModelSettings = {
  extraFields: 'all',
  metadataTtlMs: CACHE.metadataTtlMs,
  maxFutureSkewMs: CACHE.maxFutureSkewMs,
}

type Known = ProducedRecord & {
  /** What it would leave in an empty cache; undefined: it is no update. */
  readonly hash: DeviceHash | undefined
  /** Kafka deleted it, and whether it was applied before is unknown. */
  isOptional: boolean
}

/** Knows every record that was produced, and what has to hold: always, at each commit, and at rest. */
export class Oracle {
  readonly #redis: RedisServers
  readonly #kafka: SimulatedKafka
  #records: Known[] = []
  #byPartition = new Map<number, Known[]>()
  /** Devices whose state is not the maximum of their records alone. */
  readonly #deleted = new Set<string>()
  readonly #deadLetters = new Set<string>()
  /** Partition → the offset before which all records were found in Redis. */
  readonly #found = new Map<number, number>()
  /** Redis may lack, or hold older, data than a worker has written. */
  #hasLostData = false
  /** By partition: the offset at which a worker took the new topic for the old one. */
  readonly #misread = new Map<number, number>()
  /** A worker may take what Redis holds for lost. */
  #mayDoubt = false
  #model: ReadonlyMap<string, DeviceHash> | undefined
  #life = 0

  constructor(kafka: SimulatedKafka, redis: RedisServers) {
    this.#kafka = kafka
    this.#redis = redis
  }

  produced(records: readonly Omit<ProducedRecord, 'life'>[]): void {
    for (const record of records) {
      const produced = { ...record, life: this.#life }
      const { expectation, offset, partition } = record
      const isOptional = offset < (this.#misread.get(partition) ?? 0)
      const known = { ...produced, hash: hashOf(produced, SETTINGS), isOptional }
      this.#records.push(known)
      this.#byPartition.set(partition, [...(this.#byPartition.get(partition) ?? []), known])
      if (expectation.outcome === 'tombstone') this.#deleted.add(expectation.deviceId)
    }
    this.#model = undefined
  }

  /** Compaction removes records that a later one replaces: they leave nothing behind, nor a dead letter. */
  compacted(partition: number): void {
    const log = this.#kafka.partitions[partition]
    this.#forget(
      ({ expectation, life, offset, partition: of }) =>
        of === partition &&
        life === this.#life &&
        expectation.outcome === 'rejected' &&
        log?.holds(offset) === false,
    )
    // The one that replaces an update may lie behind the next commit.
    const applied = this.#hasLostData ? 0 : (this.#kafka.committed.get(partition) ?? 0)
    for (const record of this.#byPartition.get(partition) ?? [])
      if (record.offset >= applied && log?.holds(record.offset) === false) record.isOptional = true
    this.#model = undefined
  }

  /** Redis may lack, or hold older, data than a worker has written; Kafka may no longer have the records. */
  lostData(): void {
    this.#hasLostData = true
    for (const record of this.#records) if (record.life < this.#life) record.isOptional = true
    for (const partition of this.#byPartition.keys()) this.deleted(partition)
  }

  /** What a process has sent before it was killed may arrive after the commands of its successor, and set the progress back. */
  commandsDelayed(): void {
    this.#mayDoubt = true
  }

  /**
   * To a process that has not seen it before, a master whose copy of the progress has left with its slot is without one. And a master
   * that owns no slots any more looks like one that was replaced by a master that got some of them.
   */
  copiesMoved(): void {
    this.#mayDoubt = true
  }

  /** What was committed of it is in Redis, unless Redis has lost data. Offsets begin again. */
  topicDeleted(): void {
    for (const [partition, records] of this.#byPartition) {
      const applied = this.#hasLostData ? 0 : (this.#kafka.committed.get(partition) ?? 0)
      for (const record of records) if (record.offset >= applied) record.isOptional = true
    }
    // Those of the new topic have the same coordinates.
    this.#records = this.#records.filter(({ expectation }) => expectation.outcome !== 'rejected')
    this.#deadLetters.clear()
    this.#byPartition.clear()
    this.#found.clear()
    this.#misread.clear()
    this.#life++
    this.#model = undefined
    // A commit that was on its way stands for records of the new topic; the progress in Redis shows that they are not there yet.
    this.#mayDoubt = true
  }

  /**
   * A worker goes on at an offset of the old topic that the new one has as well, because nothing told it of the new topic
   * (docs/reliability.md): it does not read what is before it.
   */
  misread(partition: number, offset: number): void {
    this.#misread.set(partition, Math.max(offset, this.#misread.get(partition) ?? 0))
    for (const record of this.#byPartition.get(partition) ?? [])
      if (record.offset < offset) record.isOptional = true
    this.#model = undefined
  }

  /** Kafka has deleted the beginning of a partition. What was committed is in Redis, unless Redis has lost data. */
  deleted(partition: number): void {
    const earliest = this.#kafka.partitions[partition]?.earliest ?? 0
    const applied = this.#hasLostData ? 0 : (this.#kafka.committed.get(partition) ?? 0)
    for (const record of this.#byPartition.get(partition) ?? [])
      if (record.offset < earliest && record.offset >= applied) record.isOptional = true
    this.#model = undefined
  }

  deadLettersSent(deadLetters: readonly DeadLetter[]): void {
    for (const { headers } of deadLetters)
      this.#deadLetters.add(`${String(headers['source_partition'])}/${String(headers['source_offset'])}`)
  }

  /** What a reader sees of a device never goes back. */
  brokenByWrite(key: string, before: HashFields | undefined, after: HashFields): string | undefined {
    if (before === undefined) return undefined
    if (compareHashes(Object.fromEntries(before), Object.fromEntries(after)) < 0) return undefined
    return `${key} went back from ${before.get('last_updated')} to ${after.get('last_updated')}`
  }

  /** No commit passes a record that is not in Redis. */
  brokenByCommit(partition: number, offset: number): string | undefined {
    if (this.#hasLostData) return undefined
    const from = this.#found.get(partition) ?? 0
    for (const record of this.#byPartition.get(partition) ?? []) {
      if (record.offset < from || record.offset >= offset) continue
      const lacking = this.#lacking(record)
      if (lacking !== undefined)
        return `offset ${offset} of partition ${partition} was committed, but ${lacking}`
    }
    this.#found.set(partition, Math.max(from, offset))
    return undefined
  }

  /** A worker reports no loss if there was none: while it reads again for nothing, it is not ready. */
  brokenByReport(): string | undefined {
    return this.#hasLostData || this.#mayDoubt
      ? undefined
      : 'a loss of data was reported, but nothing was lost'
  }

  /** What is not as it should be at rest. */
  differenceAtRest(nowMs: number): string | undefined {
    return this.#positionDifference() ?? this.#deviceDifference(nowMs) ?? this.#deadLetterDifference()
  }

  #lacking({ expectation, hash, isOptional, offset, partition }: Known): string | undefined {
    if (isOptional) return undefined
    if (expectation.outcome === 'rejected')
      return this.#deadLetters.has(`${partition}/${offset}`) ? undefined : `${offset} is no dead letter`
    if (expectation.outcome !== 'update' || hash === undefined || this.#deleted.has(expectation.deviceId))
      return undefined
    const stored = this.#redis.hash(deviceKey(expectation.deviceId as DeviceId))
    if (stored !== undefined && compareHashes(Object.fromEntries(stored), hash.fields) >= 0) return undefined
    return `record ${offset} of ${expectation.deviceId} is not in Redis`
  }

  #positionDifference(): string | undefined {
    const copies = this.#redis.progress()
    const fields = copies.flatMap((copy) => [...(copy?.keys() ?? [])])
    const mark = fields.find((field) => field.endsWith(':until') || field.endsWith(':requested'))
    if (mark !== undefined) return `the mark ${mark} is left, so that the cache seems incomplete`
    for (const [partition, { earliest, end }] of this.#kafka.partitions.entries()) {
      const committed = this.#kafka.committed.get(partition)
      // Nothing is read of a partition without records, so nothing of it is committed. A late commit of an earlier topic stays until
      // there are some: the progress, which is behind it, makes a worker read them from the beginning.
      const isLate = this.#life > 0 && committed !== undefined && committed > end
      if (earliest === end && (committed === undefined || isLate)) continue
      // The worker has committed this offset of the old topic, and does not commit it again.
      if (committed === undefined && this.#misread.get(partition) === end) continue
      if (committed !== end) return `partition ${partition} is committed up to ${committed} of ${end}`
      for (const copy of copies) {
        const reached = copy?.get(String(partition))
        // After slots have moved, a worker that gets a partition back writes the copies with the next record.
        if (reached === undefined && this.#mayDoubt) continue
        // A late write of a process that had applied records of an earlier topic: the next comparison overwrites it.
        if (this.#life > 0 && Number(reached) > end) continue
        if (reached !== String(end)) return `the progress of partition ${partition} is ${reached} of ${end}`
      }
    }
    return undefined
  }

  #deviceDifference(nowMs: number): string | undefined {
    const redis = this.#redis
    const expected = (this.#model ??= modelDevices(
      this.#records.filter(({ isOptional }) => !isOptional),
      SETTINGS,
      nowMs,
    ))
    const optional = this.#optionalHashes()
    const index = redis.set(DEVICE_INDEX_KEY)
    for (const [id, { expiresAtMs, fields }] of expected) {
      const key = deviceKey(id as DeviceId)
      const stored = Object.fromEntries(redis.hash(key) ?? [])
      const isFromOptional =
        optional.get(id)?.some((hash) => compareHashes(stored, hash) === 0) === true &&
        compareHashes(stored, fields) > 0
      if (compareHashes(stored, fields) !== 0 && !isFromOptional)
        return `${id} is ${JSON.stringify(stored)} instead of ${JSON.stringify(fields)}`
      if (!optional.has(id) && redis.expiryOf(key) !== expiresAtMs)
        return `${id} expires at ${redis.expiryOf(key)} instead of ${expiresAtMs}`
      if (!index.has(id)) return `${id} is not in the index`
    }
    const keys = redis.keys().filter((key) => key.startsWith('device:'))
    const unexpected = keys.filter((key) => {
      const id = key.slice('device:'.length, -':metadata'.length)
      if (expected.has(id)) return false
      const stored = Object.fromEntries(redis.hash(key) ?? [])
      return optional.get(id)?.some((hash) => compareHashes(stored, hash) === 0) !== true
    })
    return unexpected.length > 0 ? `${unexpected.join(', ')} should not be there` : undefined
  }

  /** Device → what it may hold instead of the maximum of the records that must be there. */
  #optionalHashes(): ReadonlyMap<string, DeviceHash['fields'][]> {
    const hashes = new Map<string, DeviceHash['fields'][]>()
    for (const { expectation, hash, isOptional } of this.#records) {
      if (!isOptional || hash === undefined || expectation.outcome !== 'update') continue
      hashes.set(expectation.deviceId, [...(hashes.get(expectation.deviceId) ?? []), hash.fields])
    }
    return hashes
  }

  #deadLetterDifference(): string | undefined {
    for (const { expectation, isOptional, offset, partition } of this.#records)
      if (
        !isOptional &&
        expectation.outcome === 'rejected' &&
        !this.#deadLetters.has(`${partition}/${offset}`)
      )
        return `record ${offset} of partition ${partition} is no dead letter`
    return undefined
  }

  #forget(isForgotten: (record: Known) => boolean): void {
    this.#records = this.#records.filter((record) => !isForgotten(record))
    this.#byPartition = Map.groupBy(
      this.#records.filter(({ life }) => life === this.#life),
      ({ partition }) => partition,
    )
    this.#model = undefined
  }
}
