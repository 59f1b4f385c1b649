import kafkajs from 'kafkajs'
import { installRawSnappyProducerCodec, librdkafkaPartition } from './librdkafka.ts'
import type { SimulatedRecord } from './simulated-record.ts'

const { CompressionTypes, Kafka, logLevel } = kafkajs

/** Well below the broker's limit of 1 MiB per batch, even if all records go to one partition. */
const MAX_REQUEST_BYTES = 900_000
const MAX_REQUEST_RECORDS = 5_000
const ALL_REPLICAS = -1

export type SimulatedProducerOptions = {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly clientId?: string
  /** KafkaJS's own attempts for one request, before `send` rejects. */
  readonly retries?: number
  readonly connectionTimeoutMs?: number
}

export type ProducedRecord = Pick<SimulatedRecord, 'key' | 'value' | 'timestampMs'>

export type SimulatedProducer = {
  /** Rejects while Kafka or the topic is missing; may be called again. */
  connect(): Promise<void>
  /** Resolves when all replicas have all records. Calls are served in turn, which keeps the order per partition. */
  send(records: readonly ProducedRecord[]): Promise<void>
  /** Resolves when every `send` so far has succeeded or failed. */
  flush(): Promise<void>
  disconnect(): Promise<void>
}

/** Writes as confluent-kafka for Python does on the platform: librdkafka's partitions, raw snappy, acks=all. */
export function createSimulatedProducer(options: SimulatedProducerOptions): SimulatedProducer {
  const {
    brokers,
    topic,
    clientId = 'simulated-normalizer',
    retries = 5,
    connectionTimeoutMs = 10_000,
  } = options
  const kafka = new Kafka({
    clientId,
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
    connectionTimeout: connectionTimeoutMs,
    requestTimeout: 30_000,
    retry: { initialRetryTime: 100, maxRetryTime: 5_000, factor: 0.2, multiplier: 2, retries },
  })
  const producer = kafka.producer({ allowAutoTopicCreation: false, maxInFlightRequests: 1 })
  let partitions = 0
  let tail: Promise<unknown> = Promise.resolve()

  async function readPartitions(): Promise<number> {
    const admin = kafka.admin()
    try {
      await admin.connect()
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      return topics[0]?.partitions.length ?? 0
    } finally {
      await admin.disconnect()
    }
  }

  async function sendNow(records: readonly ProducedRecord[]): Promise<void> {
    if (partitions === 0) throw new Error('not connected')
    installRawSnappyProducerCodec()
    for (const request of requests(records)) {
      await producer.send({
        topic,
        acks: ALL_REPLICAS,
        compression: CompressionTypes.Snappy,
        messages: request.map(({ key, value, timestampMs }) => ({
          key,
          value,
          partition: librdkafkaPartition(key, partitions),
          timestamp: String(timestampMs),
        })),
      })
    }
  }

  return {
    async connect() {
      partitions = await readPartitions()
      await producer.connect()
    },
    send(records) {
      const sent = tail.then(() => sendNow(records))
      tail = sent.catch(() => undefined)
      return sent
    },
    async flush() {
      await tail
    },
    async disconnect() {
      await tail
      await producer.disconnect()
    },
  }
}

/** Splits the records into runs that each fit into one request. */
export function* requests<Record extends Pick<ProducedRecord, 'value'>>(
  records: readonly Record[],
): Generator<readonly Record[]> {
  let start = 0
  let bytes = 0
  for (const [at, { value }] of records.entries()) {
    const size = value?.length ?? 0
    if (at > start && (bytes + size > MAX_REQUEST_BYTES || at - start >= MAX_REQUEST_RECORDS)) {
      yield records.slice(start, at)
      start = at
      bytes = 0
    }
    bytes += size
  }
  if (start < records.length) yield records.slice(start)
}
