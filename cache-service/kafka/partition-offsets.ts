import type { Admin, Kafka } from 'kafkajs'
import { kafkaError } from '../../shared/errors.ts'
import { RETRY } from './client.ts'

export type OffsetRange = {
  /** The next offset to read as committed by the group; undefined: none (Kafka's -1 and -2 are none). */
  readonly committed: number | undefined
  readonly earliest: number
  readonly end: number
}

/** Where the partitions and the group stand, asked of an admin client that reconnects when asked again. */
export type PartitionOffsets = {
  /** Rejects with a ServiceError. Committed is read before the end, so that lag is never negative by more than a race. */
  read(): Promise<Map<number, OffsetRange>>
  disconnect(): Promise<void>
}

export function createPartitionOffsets(kafka: Kafka, topic: string, groupId: string): PartitionOffsets {
  let connected: Promise<Admin> | undefined

  async function connect(): Promise<Admin> {
    const admin = kafka.admin({ retry: RETRY })
    await admin.connect()
    return admin
  }

  async function disconnect(): Promise<void> {
    const admin = await connected?.catch(() => undefined)
    connected = undefined
    await admin?.disconnect()
  }

  return {
    async read() {
      try {
        connected ??= connect()
        const admin = await connected
        const committed = await admin.fetchOffsets({ groupId, topics: [topic] })
        const bounds = await admin.fetchTopicOffsets(topic)
        const committedOf = new Map(
          committed[0]?.partitions.map(({ partition, offset }) => [partition, Number(offset)]),
        )
        return new Map(
          bounds.map(({ partition, low, high }) => {
            const offset = committedOf.get(partition)
            const known = offset !== undefined && offset >= 0 ? offset : undefined
            return [partition, { committed: known, earliest: Number(low), end: Number(high) }]
          }),
        )
      } catch (error) {
        await disconnect().catch(() => undefined)
        throw kafkaError(error)
      }
    },
    disconnect,
  }
}
