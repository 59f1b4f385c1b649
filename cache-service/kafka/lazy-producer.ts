import type { Kafka, Producer, ProducerConfig } from 'kafkajs'
import { METADATA_MAX_AGE_MS, RETRY } from './client.ts'

/** A producer that connects when it is first used, and again after `disconnect`, which must follow a failure to connect. */
export type LazyProducer = {
  connected(): Promise<Producer>
  disconnect(): Promise<void>
}

export function createLazyProducer(
  kafka: Kafka,
  further: Pick<ProducerConfig, 'retry' | 'createPartitioner'> = {},
): LazyProducer {
  let connecting: Promise<Producer> | undefined

  async function connect(): Promise<Producer> {
    const producer = kafka.producer({
      allowAutoTopicCreation: false,
      retry: RETRY,
      metadataMaxAge: METADATA_MAX_AGE_MS,
      ...further,
    })
    await producer.connect()
    return producer
  }

  return {
    connected: () => (connecting ??= connect()),
    async disconnect() {
      const producer = await connecting?.catch(() => undefined)
      connecting = undefined
      await producer?.disconnect()
    },
  }
}
