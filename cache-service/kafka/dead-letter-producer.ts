import type { Kafka, Message } from 'kafkajs'
import { kafkaError } from '../../shared/errors.ts'
import { withoutOriginal, type DeadLetter, type Origin } from '../core/dead-letters/dead-letter.ts'
import { kafkajs } from './kafkajs.ts'
import { createLazyProducer } from './lazy-producer.ts'

/** The broker's default limit per request is 1 MiB, shared by all dead letters of the request. */
const MAX_REQUEST_BYTES = 512 * 1024
const OVERHEAD_BYTES = 512

export type DeadLetterProducer = {
  /** Resolves when all in-sync replicas have acknowledged every dead letter; rejects with a ServiceError. */
  send(deadLetters: readonly DeadLetter[], origin: Origin): Promise<void>
  disconnect(): Promise<void>
}

export type DeadLetterTelemetry = { deadLetterShortened(offset: number): void }

export function createDeadLetterProducer(
  kafka: Kafka,
  topic: string,
  telemetry: DeadLetterTelemetry,
): DeadLetterProducer {
  const lazy = createLazyProducer(kafka)

  async function sendRequest(deadLetters: readonly DeadLetter[]): Promise<void> {
    try {
      const producer = await lazy.connected()
      const messages = deadLetters.map(({ key, value, headers }): Message => ({
        key,
        value,
        headers: { ...headers },
      }))
      await producer.send({ topic, messages, acks: -1, compression: kafkajs.CompressionTypes.GZIP })
    } catch (error) {
      const failure = kafkaError(error, topic)
      if (failure.code !== 'MESSAGE_TOO_LARGE') await lazy.disconnect().catch(() => undefined)
      throw failure
    }
  }

  /** One oversized dead letter fails its whole request: each is then sent alone, and the oversized one shortened. */
  async function sendOrSplit(deadLetters: readonly DeadLetter[], origin: Origin): Promise<void> {
    try {
      await sendRequest(deadLetters)
    } catch (error) {
      if (kafkaError(error).code !== 'MESSAGE_TOO_LARGE') throw error
      const [deadLetter] = deadLetters
      if (deadLetters.length > 1) {
        for (const one of deadLetters) await sendOrSplit([one], origin)
      } else if (deadLetter !== undefined && deadLetter.headers['original_value'] !== undefined) {
        telemetry.deadLetterShortened(Number(deadLetter.headers['source_offset']))
        await sendOrSplit([withoutOriginal(deadLetter, origin)], origin)
      } else {
        throw error
      }
    }
  }

  return {
    async send(deadLetters, origin) {
      for (const request of withinBytes(deadLetters)) await sendOrSplit(request, origin)
    },
    disconnect: () => lazy.disconnect(),
  }
}

function withinBytes(deadLetters: readonly DeadLetter[]): DeadLetter[][] {
  const requests: DeadLetter[][] = []
  let bytes = Infinity
  for (const deadLetter of deadLetters) {
    const original = deadLetter.headers['original_value']
    const size = deadLetter.value.length + deadLetter.key.length + (original?.length ?? 0) + OVERHEAD_BYTES
    if (bytes + size > MAX_REQUEST_BYTES) {
      requests.push([])
      bytes = 0
    }
    requests.at(-1)?.push(deadLetter)
    bytes += size
  }
  return requests
}
