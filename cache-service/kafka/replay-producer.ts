import type { Kafka, Message, Producer } from 'kafkajs'
import { causesOf, kafkaError, type ServiceError } from '../../shared/errors.ts'
import type { SourceRecord } from '../core/records/source-record.ts'
import { RETRY } from './client.ts'
import { createLazyProducer } from './lazy-producer.ts'

export type ProduceOutcome =
  | { readonly kind: 'acknowledged'; readonly offset: number }
  /** Kafka refused it or could not be reached: the record is not in the topic. */
  | { readonly kind: 'refused'; readonly error: ServiceError }
  /** Kafka did not answer: the record may or may not be in the topic. */
  | { readonly kind: 'unknown'; readonly error: ServiceError }

/** Writes each record at most once: never retries, because the first attempt may have succeeded. */
export type ReplayProducer = {
  produce(record: SourceRecord, partition: number): Promise<ProduceOutcome>
  disconnect(): Promise<void>
}

export function createReplayProducer(kafka: Kafka, topic: string): ReplayProducer {
  const lazy = createLazyProducer(kafka, { retry: { ...RETRY, retries: 0 } })

  return {
    async produce({ key, value, timestampMs, headers }, partition) {
      let producer: Producer
      try {
        producer = await lazy.connected()
      } catch (error) {
        await lazy.disconnect()
        return { kind: 'refused', error: kafkaError(error) }
      }
      try {
        // The types of KafkaJS do not allow null header values; our copy writes them (kafkajs.ts).
        const message = {
          key,
          value,
          partition,
          timestamp: String(timestampMs),
          ...(headers !== undefined && { headers: { ...headers } as NonNullable<Message['headers']> }),
        }
        const [written] = await producer.send({ topic, messages: [message], acks: -1 })
        return { kind: 'acknowledged', offset: Number(written?.baseOffset ?? -1) }
      } catch (thrown) {
        return { kind: isRefusal(thrown) ? 'refused' : 'unknown', error: kafkaError(thrown, topic) }
      }
    },
    disconnect: () => lazy.disconnect(),
  }
}

/** Error codes after which the record may still be in the topic. */
const AMBIGUOUS = new Set(['UNKNOWN', 'REQUEST_TIMED_OUT', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'])

/** Of errors that come before there is a connection over which the record could have been sent. */
const NO_CONNECTION = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'])

/** True if the record is definitely not in the topic: a broker refused it, or it never left this process. */
export function isRefusal(thrown: unknown): boolean {
  for (const error of causesOf(thrown)) {
    if ('code' in error && NO_CONNECTION.has(String(error.code))) return true
    if (error.name === 'KafkaJSProtocolError' && 'type' in error) return !AMBIGUOUS.has(String(error.type))
  }
  return false
}
