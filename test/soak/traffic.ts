import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { Admin, Kafka } from 'kafkajs'
import { record } from '../bench/worker/workloads.ts'
import { createSimulatedProducer, type ProducedRecord } from '../simulator/produce.ts'
import { readTopic } from '../support/records/read-topic.ts'

const DEVICES = 2_000
const DELETED_DEVICES = 20
const TICK_MS = 50
const RETRY_MS = 250
const RECORD_BYTES = 380
const INVALID_EVERY = 1_000
const DELETED_EVERY = 250
const FLAT_OUT_RECORDS = 5_000
export const METADATA_TTL_S = 86_400

type Expected = { readonly lastUpdated: string; readonly serial: string; readonly expiresAtMs: number }

/** A load that knows what Redis must hold: the last acknowledged record of each device. */
export class Traffic {
  readonly deviceIds = Array.from({ length: DEVICES }, (_, i) => `soak-${i}`)
  readonly #producer: ReturnType<typeof createSimulatedProducer>
  readonly #expected = new Map<string, Expected>()
  readonly #invalid = new Set<string>()
  #made = 0
  #acknowledged = 0
  #failures = 0

  constructor(brokers: readonly string[], topic: string) {
    this.#producer = createSimulatedProducer({ brokers, topic, retries: 2 })
  }

  get acknowledged(): number {
    return this.#acknowledged
  }

  /** Requests that Kafka did not acknowledge, and that were sent again. */
  get failures(): number {
    return this.#failures
  }

  connect(): Promise<void> {
    return this.#producer.connect()
  }

  /** Sends as fast as Kafka acknowledges. */
  async runFlatOut(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) await this.#send(this.#make(FLAT_OUT_RECORDS), stop)
  }

  /** What an outage of Kafka prevents is not made up for. */
  async run(perSecond: number, stop: AbortSignal): Promise<void> {
    let lastMs = performance.now()
    let due = 0
    while (!stop.aborted) {
      await sleep(TICK_MS, undefined, { signal: stop }).catch(() => undefined)
      const nowMs = performance.now()
      due += Math.min(1, (nowMs - lastMs) / 1_000) * perSecond
      lastMs = nowMs
      const count = Math.floor(due)
      due -= count
      if (count > 0) await this.#send(this.#make(count), stop)
    }
  }

  /** Ends with tombstones for all devices that have been deleted before. */
  async end(): Promise<void> {
    const timestampMs = Date.now()
    const tombstones = Array.from({ length: DELETED_DEVICES }, (_, i) => ({
      key: deletedId(i),
      value: null,
      timestampMs,
    }))
    await this.#send(tombstones, new AbortController().signal)
    await this.#producer.disconnect()
  }

  #make(count: number): ProducedRecord[] {
    return Array.from({ length: count }, () => this.#makeOne(this.#made++))
  }

  #makeOne(n: number): ProducedRecord {
    if (n % INVALID_EVERY === 0) {
      return { key: 'invalid', value: Buffer.from(`{"invalid": ${n}`), timestampMs: Date.now() }
    }
    if (n % DELETED_EVERY === 0) {
      const id = deletedId(Math.floor(n / (2 * DELETED_EVERY)))
      const isTombstone = n % (2 * DELETED_EVERY) === 0
      return isTombstone ? { key: id, value: null, timestampMs: Date.now() } : record(n, id)
    }
    return record(n, `soak-${n % DEVICES}`, RECORD_BYTES, `, "serial": ${n}`)
  }

  /** Sends the same records until Kafka has acknowledged them. */
  async #send(records: readonly ProducedRecord[], stop: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await this.#producer.send(records)
        break
      } catch {
        this.#failures += 1
        if (stop.aborted) return
        await sleep(RETRY_MS, undefined, { signal: stop }).catch(() => undefined)
      }
    }
    this.#acknowledged += records.length
    for (const { key, timestampMs, value } of records) {
      const text = value?.toString() ?? ''
      if (key === 'invalid') this.#invalid.add(text)
      if (!key.startsWith('soak-')) continue
      const [, timestamp = ''] = /"timestamp": "([^"]*)"/.exec(text) ?? []
      const [, serial = ''] = /"serial": (\d+)/.exec(text) ?? []
      const expiresAtMs = timestampMs + METADATA_TTL_S * 1_000
      this.#expected.set(key, { lastUpdated: `${timestamp}+00:00`, serial, expiresAtMs })
    }
  }

  /** Compares every device, the index and the dead letters. */
  async differences(
    redis: Redis,
    servers: { kafka: Kafka; admin: Admin; errorTopic: string },
  ): Promise<string[]> {
    const found = await Promise.all(
      [...this.#expected].map(([id, expected]) => deviceDifferences(redis, id, expected)),
    )
    const differences = found.flat()
    const index = new Set(await redis.smembers('devices'))
    for (const id of this.#expected.keys())
      if (!index.delete(id)) differences.push(`${id} is not in the index`)
    for (const id of index) differences.push(`${id} is in the index, though it was deleted`)
    for (let i = 0; i < DELETED_DEVICES; i++) {
      if (await redis.exists(`device:${deletedId(i)}:metadata`))
        differences.push(`${deletedId(i)} was deleted, but exists`)
    }
    const deadLetters = await readTopic(servers.kafka, servers.admin, servers.errorTopic)
    const originals = new Set(deadLetters.map(({ headers }) => headers['original_value']?.toString()))
    for (const value of this.#invalid)
      if (!originals.has(value)) differences.push(`${value} has no dead letter`)
    if (originals.size > this.#invalid.size) differences.push('valid records have dead letters')
    return differences
  }
}

async function deviceDifferences(redis: Redis, id: string, expected: Expected): Promise<string[]> {
  const key = `device:${id}:metadata`
  const [lastUpdated, serial] = await redis.hmget(key, 'last_updated', 'serial')
  const expiresAtMs = await redis.pexpiretime(key)
  if (
    lastUpdated === expected.lastUpdated &&
    serial === expected.serial &&
    expiresAtMs === expected.expiresAtMs
  )
    return []
  return [`${id} holds ${serial} of ${lastUpdated}, not ${expected.serial} of ${expected.lastUpdated}`]
}

function deletedId(n: number): string {
  return `deleted-${n % DELETED_DEVICES}`
}
