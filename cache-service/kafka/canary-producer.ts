import type { Kafka } from 'kafkajs'
import { kafkaError } from '../../shared/errors.ts'
import { createLazyProducer } from './lazy-producer.ts'

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
  let turn = 0
  const lazy = createLazyProducer(kafka, {
    createPartitioner:
      () =>
      ({ partitionMetadata }) =>
        partitionMetadata[turn % partitionMetadata.length]?.partitionId ?? 0,
  })

  return {
    async send(key, value) {
      turn++
      try {
        const producer = await lazy.connected()
        const [written] = await producer.send({ topic, messages: [{ key, value }], acks: -1 })
        return written?.partition ?? 0
      } catch (error) {
        await lazy.disconnect().catch(() => undefined)
        throw kafkaError(error, topic)
      }
    },
    disconnect: () => lazy.disconnect(),
  }
}
