import { Cluster, type Redis } from 'ioredis'
import type { Admin, Kafka } from 'kafkajs'
import packageFile from '../../../package.json' with { type: 'json' }
import { deadLetterDifferences } from './dead-letter-check.ts'
import {
  compareHashes,
  hashOf,
  modelDevices,
  type DeviceHash,
  type ModelSettings,
  type ProducedRecord,
} from './device-model.ts'
import { eventually, patiently } from '../eventually.ts'
import { readTopic } from '../records/read-topic.ts'

const MAX_REPORTED = 40

export type OracleOptions = {
  readonly kafka: Kafka
  readonly admin: Admin
  readonly redis: Redis | Cluster
  readonly topic: string
  readonly errorTopic: string
  readonly group: string
  readonly settings: ModelSettings
  /** How much later a hash may expire: MIGRATE hands over the time that is left, in milliseconds, not when it ends. Default: 0. */
  readonly expirySlackMs?: number
}

export type Comparison = {
  /** Returns the sum of messages_total over all workers; without it the number of records is not checked. */
  readonly consumed?: () => number | Promise<number>
  /** Some records were delivered twice: consumed may exceed produced. */
  readonly redelivered?: boolean
  /** Redis keys that the test itself writes; they are not checked. */
  readonly foreignKeys?: readonly string[]
}

/**
 * Knows every acknowledged input record, and reports all differences from the expected state at rest: every field and
 * the expiry of every device hash, the index, unexpected keys, the committed offsets, the dead letters, and the number
 * of consumed records.
 */
export class Oracle {
  readonly #options: OracleOptions
  #records: ProducedRecord[] = []
  #life = 0

  constructor(options: OracleOptions) {
    this.#options = options
  }

  get life(): number {
    return this.#life
  }

  /** Number of acknowledged records that the workers had to consume. */
  get produced(): number {
    return this.#records.length
  }

  get records(): readonly ProducedRecord[] {
    return this.#records
  }

  acknowledged(records: readonly ProducedRecord[]): void {
    for (const record of records) this.#records.push(record)
  }

  /** The topic was recreated: what was read of it stays, and offsets restart at 0. */
  beginNextLife(): void {
    this.#life += 1
  }

  /** Kafka deleted the records from `from` to before `to` unread: they do not count as input. */
  deletedUnread(partition: number, from: number, to: number): void {
    this.#records = this.#records.filter(
      (record) =>
        record.life !== this.#life ||
        record.partition !== partition ||
        record.offset < from ||
        record.offset >= to,
    )
  }

  /** What Redis must hold at rest, by device. */
  expectedDevices(): Map<string, DeviceHash> {
    return modelDevices(this.#records, this.#options.settings, Date.now())
  }

  hasTombstone(deviceId: string): boolean {
    return this.#records.some(
      ({ expectation }) => expectation.outcome === 'tombstone' && expectation.deviceId === deviceId,
    )
  }

  /** The offset after the last acknowledged record, by partition. */
  ends(): Map<number, number> {
    const ends = new Map<number, number>()
    for (const { life, partition, offset } of this.#records) {
      if (life === this.#life) ends.set(partition, Math.max(ends.get(partition) ?? 0, offset + 1))
    }
    return ends
  }

  /** The group's committed offsets, for the partitions that have one. */
  async committed(): Promise<Map<number, number>> {
    const { admin, group, topic } = this.#options
    // KafkaJS does not retry if the coordinator is still loading.
    const [found] = await patiently(() => admin.fetchOffsets({ groupId: group, topics: [topic] }))
    const known = found?.partitions.map(({ partition, offset }) => [partition, Number(offset)] as const) ?? []
    return new Map(known.filter(([, offset]) => offset >= 0))
  }

  /**
   * Waits until the group has committed the end of every partition, the only indication that it is at rest.
   * @param timeoutMs without any progress: on a busy machine it may take long to catch up.
   */
  async caughtUp(timeoutMs = 60_000): Promise<void> {
    for (let before = ''; ;) {
      const behind = await eventually(
        async () => {
          const now = (await this.#offsetDifferences()).join('; ')
          if (now !== '' && now === before) throw new Error(now)
          return now
        },
        { timeoutMs, everyMs: 100, describe: 'the group catches up' },
      )
      if (behind === '') return
      before = behind
    }
  }

  /** Waits for the commits, then compares once: everything that is committed must be in Redis. */
  async assertCaughtUp(comparison: Comparison = {}, timeoutMs?: number): Promise<void> {
    await this.caughtUp(timeoutMs)
    assertNone(await this.differences(comparison))
  }

  /** Compares until nothing differs, for changes that are not followed by a commit. */
  async assertHeals(comparison: Comparison = {}, timeoutMs = 60_000): Promise<void> {
    await eventually(async () => assertNone(await this.differences(comparison)), {
      timeoutMs,
      everyMs: 250,
      describe: 'the cache heals',
    })
  }

  async differences(comparison: Comparison = {}): Promise<string[]> {
    return [
      ...(await this.#offsetDifferences()),
      ...(await this.#conservationDifferences(comparison)),
      ...(await this.cacheDifferences(comparison)),
      ...(await this.#deadLetterDifferences()),
    ]
  }

  /** Compares only Redis: hashes, expiries, the index and unexpected keys. */
  cacheDifferences(comparison: Comparison = {}): Promise<string[]> {
    return this.#cacheDifferences(this.#records, comparison)
  }

  /** Compares Redis with the records below the committed offsets: so it must be after a graceful shutdown. */
  async differencesAtCommit(): Promise<string[]> {
    const isCommitted = await this.#committedRecords()
    return this.#cacheDifferences(this.#records.filter(isCommitted))
  }

  async #committedRecords(): Promise<(record: ProducedRecord) => boolean> {
    const committed = await this.committed()
    return ({ life, partition, offset }) => life < this.#life || offset < (committed.get(partition) ?? 0)
  }

  async #cacheDifferences(
    records: readonly ProducedRecord[],
    { foreignKeys = [] }: Comparison = {},
  ): Promise<string[]> {
    const expected = modelDevices(records, this.#options.settings, Date.now())
    const foreign = new Set(foreignKeys)
    const index = new Set(await this.#options.redis.smembers('devices'))
    const found = await this.#readHashes([...expected.keys()])
    const differences: string[] = []
    for (const [deviceId, hash] of expected) {
      if (foreign.has(keyOf(deviceId))) continue
      differences.push(
        ...hashDifferences(deviceId, hash, found.get(deviceId), this.#options.expirySlackMs ?? 0),
      )
      if (!index.delete(deviceId)) differences.push(`${deviceId} is not in the index`)
    }
    for (const deviceId of index) differences.push(`${deviceId} is in the index, but has no metadata`)
    const known = new Set([...expected.keys()].map(keyOf))
    for (const key of await this.#allKeys()) {
      if (known.has(key) || foreign.has(key) || key === 'devices' || key.startsWith('cache_service:'))
        continue
      differences.push(`the key ${key} should not exist`)
    }
    return differences
  }

  /**
   * Checks what the committed offsets guarantee, whatever has been applied beyond them: every device is at least at the
   * state of the records below, and contains the fields of one of its records. Call it while no worker is running.
   * Devices with a tombstone beyond the committed offsets are not checked.
   */
  async differencesBelowCommit(): Promise<string[]> {
    const { settings } = this.#options
    const isBelow = await this.#committedRecords()
    const promised = modelDevices(this.#records.filter(isBelow), settings, Date.now())
    const deletedBeyond = new Set<string>()
    const possible = new Map<string, DeviceHash['fields'][]>()
    for (const record of this.#records) {
      const { expectation } = record
      if (expectation.outcome === 'tombstone' && !isBelow(record)) deletedBeyond.add(expectation.deviceId)
      const hash = hashOf(record, settings)
      if (hash === undefined || expectation.outcome !== 'update') continue
      const { deviceId } = expectation
      possible.set(deviceId, [...(possible.get(deviceId) ?? []), hash.fields])
    }
    const checked = [...promised].filter(([deviceId]) => !deletedBeyond.has(deviceId))
    const found = await this.#readHashes(checked.map(([deviceId]) => deviceId))
    const index = new Set(await this.#options.redis.smembers('devices'))
    const differences: string[] = []
    for (const [deviceId, { fields }] of checked) {
      const hash = found.get(deviceId)
      if (hash === undefined) {
        differences.push(`${deviceId} has no metadata, though its records are committed`)
        continue
      }
      if (!index.has(deviceId)) differences.push(`${deviceId} is not in the index, though committed`)
      if (compareHashes(hash.fields, fields) < 0) {
        differences.push(`${deviceId} holds ${show(hash.fields)}, less than the committed ${show(fields)}`)
      }
      if (possible.get(deviceId)?.every((other) => show(other) !== show(hash.fields))) {
        differences.push(`${deviceId} holds ${show(hash.fields)}, which none of its records contains`)
      }
      if (hash.expiresAtMs < 0) differences.push(`${deviceId} never expires`)
    }
    for (const [partition, offset] of await this.committed()) {
      const end = this.ends().get(partition) ?? 0
      if (offset > end)
        differences.push(`partition ${partition}: ${offset} is committed, beyond the end ${end}`)
    }
    const deadLetters = await this.#deadLetterDifferences(isBelow)
    return [...differences, ...deadLetters]
  }

  async #offsetDifferences(): Promise<string[]> {
    const { admin, topic } = this.#options
    const committed = await this.committed()
    const bounds = await admin.fetchTopicOffsets(topic)
    const ends = this.ends()
    return bounds.flatMap(({ partition, low, high }) => {
      const end = Number(high)
      const differences: string[] = []
      const acknowledged = ends.get(partition) ?? 0
      if (end !== acknowledged && Number(low) !== end) {
        differences.push(`partition ${partition} ends at ${end}, but ${acknowledged} was acknowledged last`)
      }
      const offset = committed.get(partition)
      if (offset !== end && !(offset === undefined && end === 0)) {
        differences.push(`partition ${partition}: ${offset ?? 'nothing'} is committed of ${end}`)
      }
      return differences
    })
  }

  async #conservationDifferences({ consumed: count, redelivered = false }: Comparison): Promise<string[]> {
    if (count === undefined) return []
    const consumed = await count()
    if (redelivered ? consumed >= this.produced : consumed === this.produced) return []
    return [`${consumed} records were consumed, ${this.produced} produced`]
  }

  async #deadLetterDifferences(isDue = (_record: ProducedRecord) => true): Promise<string[]> {
    const { kafka, admin, topic, errorTopic } = this.#options
    const current = this.#records.filter(({ life }) => life === this.#life)
    const due = current.filter(isDue)
    const topics = await admin.listTopics()
    const deadLetters = topics.includes(errorTopic) ? await readTopic(kafka, admin, errorTopic) : []
    // There may already be dead letters beyond what is due, but never for valid records.
    const sent = new Set(
      deadLetters.map(({ headers }) => `${headers['source_partition']}:${headers['source_offset']}`),
    )
    const early = current.filter(
      (record) => !isDue(record) && sent.has(`${record.partition}:${record.offset}`),
    )
    return deadLetterDifferences([...due, ...early], deadLetters, {
      topic,
      serviceVersion: packageFile.version,
    })
  }

  async #readHashes(deviceIds: readonly string[]): Promise<Map<string, DeviceHash>> {
    const { redis } = this.#options
    const found = new Map<string, DeviceHash>()
    // Not a pipeline: in a Cluster, the keys are of many slots.
    const reads = deviceIds.map(async (deviceId) => {
      const key = keyOf(deviceId)
      const [fields, expiresAtMs] = await Promise.all([
        redis.hgetall(key).catch(() => undefined),
        redis.pexpiretime(key),
      ])
      if (!isFields(fields) || Object.keys(fields).length === 0) return
      found.set(deviceId, { fields, expiresAtMs })
    })
    await Promise.all(reads)
    return found
  }

  async #allKeys(): Promise<string[]> {
    const keys = new Set<string>()
    const { redis } = this.#options
    for (const server of redis instanceof Cluster ? redis.nodes('master') : [redis]) {
      let cursor = '0'
      do {
        const [next, page] = await server.scan(cursor, 'COUNT', 1000)
        for (const key of page) keys.add(key)
        cursor = next
      } while (cursor !== '0')
    }
    return [...keys]
  }
}

/** Throws an error with all differences, up to a few dozen. */
export function assertNone(differences: readonly string[]): void {
  if (differences.length === 0) return
  const shown = differences.slice(0, MAX_REPORTED).map((difference) => `  ${difference}`)
  const rest = differences.length - shown.length
  throw new Error(
    [`${differences.length} differences:`, ...shown, ...(rest > 0 ? [`  … and ${rest} more`] : [])].join(
      '\n',
    ),
  )
}

function hashDifferences(
  deviceId: string,
  expected: DeviceHash,
  found: DeviceHash | undefined,
  expirySlackMs: number,
): string[] {
  if (found === undefined) return [`${deviceId} has no metadata, not ${show(expected.fields)}`]
  const differences: string[] = []
  const names = new Set([...Object.keys(expected.fields), ...Object.keys(found.fields)])
  for (const name of names) {
    const [wanted, actual] = [expected.fields[name], found.fields[name]]
    if (wanted === actual) continue
    differences.push(`${deviceId} ${name}: ${JSON.stringify(actual)}, not ${JSON.stringify(wanted)}`)
  }
  if (found.expiresAtMs < 0) differences.push(`${deviceId} never expires`)
  const laterMs = found.expiresAtMs - expected.expiresAtMs
  if (found.expiresAtMs >= 0 && (laterMs < 0 || laterMs > expirySlackMs)) {
    differences.push(`${deviceId} expires ${laterMs} ms later than its records say`)
  }
  return differences
}

function isFields(reply: unknown): reply is Record<string, string> {
  return typeof reply === 'object' && reply !== null && !Array.isArray(reply) && !(reply instanceof Error)
}

function keyOf(deviceId: string): string {
  return `device:${deviceId}:metadata`
}

function show(fields: DeviceHash['fields']): string {
  return JSON.stringify(Object.entries(fields).toSorted())
}
