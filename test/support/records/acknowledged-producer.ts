import kafkajs, { type Kafka } from 'kafkajs'
import { requests } from '../../simulator/produce.ts'
import { librdkafkaPartition } from '../../simulator/librdkafka.ts'
import type { ProducedRecord } from '../oracle/device-model.ts'
import type { TaggedRecord } from './tagged-records.ts'
import { installWireCodec, type WireCodec } from './wire-codecs.ts'

/** Partitions records as librdkafka does, and reports the coordinates at which Kafka acknowledged each. */
export type AcknowledgedProducer = {
  /** Calls are executed sequentially. Rejects if a record is not acknowledged. */
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
    maxInFlightRequests: 1,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  })
  let partitions: Promise<number> | undefined
  let tail: Promise<unknown> = Promise.resolve()

  async function connect(): Promise<number> {
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
    const placed = records.map((record) => ({
      record,
      partition: record.partition ?? librdkafkaPartition(record.key ?? '', count),
    }))
    const metadata = await producer.send({
      topic,
      acks: -1,
      compression: installWireCodec(codec),
      messages: placed.map(({ record, partition }) => ({
        key: record.key,
        value: record.value,
        partition,
        timestamp: String(record.timestampMs),
      })),
    })
    const next = new Map(metadata.map(({ partition, baseOffset }) => [partition, Number(baseOffset)]))
    acknowledged(
      placed.map(({ record, partition }) => {
        const offset = next.get(partition)
        if (offset === undefined) throw new Error(`partition ${partition} of ${topic} acknowledged nothing`)
        next.set(partition, offset + 1)
        const { value, timestampMs, expectation } = record
        const key = record.key === null ? null : Buffer.from(record.key)
        return { life: life(), partition, offset, key, value, timestampMs, expectation }
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
