import type { Kafka, Producer } from 'kafkajs'
import { causesOf, kafkaError, type ServiceError } from '../../shared/errors.ts'
import type { SourceRecord } from '../core/records/source-record.ts'
import { METADATA_MAX_AGE_MS, RETRY } from './client.ts'

export type ProduceOutcome =
  | { readonly kind: 'acknowledged'; readonly offset: number }
  /** Kafka has refused it, or was not reached: it is not in the topic. */
  | { readonly kind: 'refused'; readonly error: ServiceError }
  /** No answer: it may be in the topic, or not. */
  | { readonly kind: 'unknown'; readonly error: ServiceError }

/** Writes a record once: it is never sent again, as the first may have arrived after all. */
export type ReplayProducer = {
  produce(record: SourceRecord, partition: number): Promise<ProduceOutcome>
  disconnect(): Promise<void>
}

export function createReplayProducer(kafka: Kafka, topic: string): ReplayProducer {
  let connected: Promise<Producer> | undefined

  async function connect(): Promise<Producer> {
    const producer = kafka.producer({
      allowAutoTopicCreation: false,
      retry: { ...RETRY, retries: 0 },
      metadataMaxAge: METADATA_MAX_AGE_MS,
    })
    await producer.connect()
    return producer
  }

  return {
    async produce({ key, value, timestamp, headers }, partition) {
      let producer: Producer
      try {
        connected ??= connect()
        producer = await connected
      } catch (error) {
        connected = undefined
        return { kind: 'refused', error: kafkaError(error) }
      }
      try {
        const message = {
          key,
          value,
          partition,
          timestamp,
          ...(headers !== undefined && { headers: { ...headers } }),
        }
        const [written] = await producer.send({ topic, messages: [message], acks: -1 })
        return { kind: 'acknowledged', offset: Number(written?.baseOffset ?? -1) }
      } catch (thrown) {
        return { kind: isRefusal(thrown) ? 'refused' : 'unknown', error: kafkaError(thrown, topic) }
      }
    },
    async disconnect() {
      const producer = await connected?.catch(() => undefined)
      connected = undefined
      await producer?.disconnect()
    },
  }
}

/** Answers after which the record may be in the topic all the same. */
const NOT_CERTAIN = new Set(['UNKNOWN', 'REQUEST_TIMED_OUT', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'])

/** True if a broker has answered, and its answer was no. */
function isRefusal(thrown: unknown): boolean {
  for (const error of causesOf(thrown)) {
    if (error.name === 'KafkaJSProtocolError' && 'type' in error) return !NOT_CERTAIN.has(String(error.type))
  }
  return false
}
