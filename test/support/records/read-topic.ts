import type { Admin, Kafka } from 'kafkajs'
import { eventually } from '../eventually.ts'
import { uniqueName } from '../test-scope.ts'

export type TopicMessage = {
  readonly partition: number
  readonly offset: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer | undefined>>
}

/** All messages that are now in the topic, ordered by partition and offset. */
export async function readTopic(kafka: Kafka, admin: Admin, topic: string): Promise<TopicMessage[]> {
  const bounds = await admin.fetchTopicOffsets(topic)
  const wanted = new Map(
    bounds.filter(({ low, high }) => low !== high).map(({ partition, high }) => [partition, Number(high)]),
  )
  if (wanted.size === 0) return []
  const messages = new Map<string, TopicMessage>()
  const reached = new Map<number, number>()
  const groupId = uniqueName('reader')
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, sessionTimeout: 6_000 })
  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        const { partition } = batch
        for (const { offset, key, value, headers = {} } of batch.messages) {
          messages.set(`${partition}:${offset}`, {
            partition,
            offset: Number(offset),
            key,
            value,
            headers: Object.fromEntries(
              Object.entries(headers).map(([name, bytes]) => [name, oneHeader(bytes)]),
            ),
          })
        }
        reached.set(partition, Number(batch.lastOffset()) + 1)
      },
    })
    await eventually(
      () => {
        for (const [partition, end] of wanted) {
          const position = reached.get(partition) ?? 0
          if (position < end) throw new Error(`partition ${partition} is read up to ${position} of ${end}`)
        }
      },
      { timeoutMs: 90_000, describe: `reading ${topic}` },
    )
  } finally {
    await consumer.disconnect()
  }
  return [...messages.values()].toSorted((a, b) => a.partition - b.partition || a.offset - b.offset)
}

function oneHeader(value: Buffer | string | (Buffer | string)[] | undefined): Buffer | undefined {
  const first = Array.isArray(value) ? value[0] : value
  return typeof first === 'string' ? Buffer.from(first) : first
}
