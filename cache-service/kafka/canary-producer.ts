import type { Kafka, Producer } from 'kafkajs'
import { kafkaError } from '../../shared/errors.ts'
import { METADATA_MAX_AGE_MS, RETRY } from './client.ts'

/** Connects when it first sends, and again after a failure. */
export type CanaryProducer = {
  /**
   * Sends one record; each call takes the next partition.
   *
   * @returns the partition, as soon as all in-sync replicas have the record. Rejects with a ServiceError.
   */
  send(key: string, value: string): Promise<number>
  disconnect(): Promise<void>
}

export function createCanaryProducer(kafka: Kafka, topic: string): CanaryProducer {
  let connected: Promise<Producer> | undefined
  let turn = 0

  async function connect(): Promise<Producer> {
    const producer = kafka.producer({
      allowAutoTopicCreation: false,
      retry: RETRY,
      metadataMaxAge: METADATA_MAX_AGE_MS,
      createPartitioner:
        () =>
        ({ partitionMetadata }) =>
          partitionMetadata[turn % partitionMetadata.length]?.partitionId ?? 0,
    })
    await producer.connect()
    return producer
  }

  async function disconnect(): Promise<void> {
    const producer = await connected?.catch(() => undefined)
    connected = undefined
    await producer?.disconnect()
  }

  return {
    async send(key, value) {
      turn++
      try {
        connected ??= connect()
        const producer = await connected
        const [written] = await producer.send({ topic, messages: [{ key, value }], acks: -1 })
        return written?.partition ?? 0
      } catch (error) {
        await disconnect().catch(() => undefined)
        throw kafkaError(error, topic)
      }
    },
    disconnect,
  }
}
