import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs, { type Kafka } from 'kafkajs'
import { causesOf } from '../../../shared/errors.ts'
import { requests } from '../../simulator/produce.ts'
import { librdkafkaPartition } from '../../simulator/librdkafka.ts'
import type { ProducedRecord } from '../oracle/device-model.ts'
import type { TaggedRecord } from './tagged-records.ts'
import { installWireCodec, type WireCodec } from './wire-codecs.ts'

const LONGEST_OUTAGE_MS = 240_000

/**
 * Partitions records as librdkafka does, and reports the coordinates at which Kafka acknowledged each. It is idempotent:
 * a record that is sent again because a broker failed has one offset, which is known.
 */
export type AcknowledgedProducer = {
  /** Calls are executed sequentially. A failing broker delays them; rejects if Kafka refuses a record. */
  send(records: readonly TaggedRecord[], codec?: WireCodec): Promise<void>
  /** To be called when the number of partitions may have changed, or the topic was recreated. */
  forgetTopic(): void
  disconnect(): Promise<void>
}

export type AcknowledgedProducerOptions = {
  readonly kafka: Kafka
  readonly topic: string
  readonly life: () => number
  readonly acknowledged: (records: ProducedRecord[]) => void
}

export function createAcknowledgedProducer(options: AcknowledgedProducerOptions): AcknowledgedProducer {
  const { kafka, topic, life, acknowledged } = options
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    idempotent: true,
    maxInFlightRequests: 1,
    retry: { retries: 10, initialRetryTime: 100, maxRetryTime: 1_000, factor: 0.2, multiplier: 2 },
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  })
  let partitions: Promise<number> | undefined
  let tail: Promise<unknown> = Promise.resolve()

  async function connect(): Promise<number> {
    // It forgets what it knows of the topic: to a partition that it does not know, KafkaJS sends nothing, without an error.
    await producer.disconnect()
    await producer.connect()
    const admin = kafka.admin()
    await admin.connect()
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      return topics[0]?.partitions.length ?? 0
    } finally {
      await admin.disconnect()
    }
  }

  async function sendRequest(records: readonly TaggedRecord[], codec: WireCodec, count: number) {
    const byPartition = Map.groupBy(
      records,
      ({ key, partition }) => partition ?? librdkafkaPartition(key ?? '', count),
    )
    for (const [partition, its] of byPartition) await sendTo(partition, its, codec)
  }

  /** One partition at a time: KafkaJS would repeat a whole request of which only one broker failed. */
  async function sendTo(partition: number, records: readonly TaggedRecord[], codec: WireCodec) {
    const messages = records.map(({ key, timestampMs, value }) => {
      return { key, value, partition, timestamp: String(timestampMs) }
    })
    const request = { topic, acks: -1, compression: installWireCodec(codec), messages }
    const [metadata] = await throughOutages(() => producer.send(request))
    if (metadata?.baseOffset === undefined) throw new Error(`${topic}-${partition} acknowledged nothing`)
    const first = Number(metadata.baseOffset)
    acknowledged(
      records.map(({ expectation, key, timestampMs, value }, at) => {
        const bytes = key === null ? null : Buffer.from(key)
        return { life: life(), partition, offset: first + at, key: bytes, value, timestampMs, expectation }
      }),
    )
  }

  async function sendNow(records: readonly TaggedRecord[], codec: WireCodec): Promise<void> {
    partitions ??= connect()
    const count = await partitions
    for (const request of requests(records)) await sendRequest(request, codec, count)
  }

  return {
    send(records, codec = 'raw_snappy') {
      const sent = tail.then(() => sendNow(records, codec))
      tail = sent.catch(() => undefined)
      return sent
    },
    forgetTopic() {
      partitions = undefined
    },
    async disconnect() {
      await tail
      await producer.disconnect()
    },
  }
}

/** KafkaJS gives up after seconds, also where the same request may succeed when the broker is back. */
async function throughOutages<T>(send: () => Promise<T>): Promise<T> {
  for (const deadline = performance.now() + LONGEST_OUTAGE_MS; ;) {
    try {
      return await send()
    } catch (error) {
      if (!isOutage(error) || performance.now() > deadline) throw error
      await sleep(200)
    }
  }
}

function isOutage(error: unknown): boolean {
  return [...causesOf(error)].some(
    (cause) =>
      cause instanceof kafkajs.KafkaJSConnectionError || cause instanceof kafkajs.KafkaJSRequestTimeoutError,
  )
}
