import type { Kafka } from 'kafkajs'
import { beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { kafkajs } from '../../../cache-service/kafka/kafkajs.ts'
import { createRecordFinder } from '../../../cache-service/kafka/record-finder.ts'
import { createTopicBounds } from '../../../cache-service/kafka/topic-bounds.ts'
import { TopicReader } from '../../../cache-service/kafka/topic-reader.ts'
import { patiently } from '../../support/eventually.ts'
import { createTopic, uniqueName } from '../../support/test-scope.ts'

const now = () => Date.now()
const never = new AbortController().signal

let kafka: Kafka

beforeAll(() => {
  kafka = new kafkajs.Kafka({
    clientId: 'test',
    brokers: [...inject('kafkaBrokers')],
    logLevel: kafkajs.logLevel.NOTHING,
  })
})

/** A topic whose records contain their coordinates, as `partition:offset`. */
async function numberedTopic(partitions: number, each: number): Promise<string> {
  const topic = uniqueName('numbered')
  await createTopic(inject('kafkaBrokers'), topic, { partitions })
  const producer = kafka.producer({ allowAutoTopicCreation: false })
  await producer.connect()
  // Not in one request: one partition of such a new topic may be refused, and KafkaJS then sends everything again.
  for (let partition = 0; partition < partitions; partition++) {
    const messages = [...Array(each).keys()].map((offset) => ({ partition, value: `${partition}:${offset}` }))
    await producer.send({ topic, messages })
  }
  await producer.disconnect()
  return topic
}

function openReader(topic: string, groupId = uniqueName('reader')): TopicReader {
  const reader = new TopicReader(kafka, topic, { id: groupId, sessionTimeoutMs: 30_000 }, now)
  onTestFinished(() => reader.close())
  return reader
}

async function deleteRecordsBefore(topic: string, partition: number, offset: number): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  await admin.fetchTopicOffsets(topic)
  await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] })
  await admin.disconnect()
}

describe('a topic reader', () => {
  test('visits exactly the records in the ranges, in any number of calls, and reports progress', async () => {
    const topic = await numberedTopic(2, 50)
    const reader = openReader(topic)
    const read = async (...ranges: [partition: number, from: number, to: number][]) => {
      const visited: string[] = []
      const seen: number[] = []
      await reader.read(
        ranges.map(([partition, from, to]) => ({ partition, from, to })),
        async ({ value }) => void visited.push(String(value)),
        { stop: never, progress: (done, total) => void seen.push(done / total) },
      )
      expect(seen.at(-1)).toBe(1)
      expect(seen).toEqual(seen.toSorted((a, b) => a - b))
      return visited.sort()
    }
    expect(await read([0, 0, 50], [1, 10, 12])).toHaveLength(52)
    expect(await read([0, 3, 4], [0, 40, 42], [1, 49, 50])).toEqual(['0:3', '0:40', '0:41', '1:49'])
    expect(await read([1, 0, 1], [1, 2, 3], [1, 4, 5])).toEqual(['1:0', '1:2', '1:4'])
  })

  test('stops reading a partition when the visitor returns false', async () => {
    const topic = await numberedTopic(1, 50)
    const visited: string[] = []
    await openReader(topic).read(
      [{ partition: 0, from: 5, to: 50 }],
      async ({ value }) => {
        visited.push(String(value))
        return visited.length < 3
      },
      { stop: never },
    )
    expect(visited).toEqual(['0:5', '0:6', '0:7'])
  })

  test('finishes if the last offsets of a range hold no records', async () => {
    const topic = await numberedTopic(1, 5)
    const producer = kafka.producer({
      transactionalId: uniqueName('tx'),
      maxInFlightRequests: 1,
      idempotent: true,
    })
    await producer.connect()
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ partition: 0, value: 'aborted' }] })
    await transaction.abort()
    await producer.disconnect()
    const visited: string[] = []
    await openReader(topic).read(
      [{ partition: 0, from: 3, to: 7 }],
      async ({ value }) => void visited.push(String(value)),
      { stop: never },
    )
    expect(visited).toEqual(['0:3', '0:4'])
  })

  test("rejects with the visitor's error, with the signal's reason, and for a missing topic", async () => {
    const topic = await numberedTopic(1, 5)
    const reader = openReader(topic)
    const all = [{ partition: 0, from: 0, to: 5 }]
    await expect(
      reader.read(all, () => Promise.reject(new Error('not this one')), { stop: never }),
    ).rejects.toThrow('not this one')
    const stop = new AbortController()
    const reading = reader.read(all, async () => stop.abort(new Error('stopped')), { stop: stop.signal })
    await expect(reading).rejects.toThrow('stopped')
    let visited = 0
    await reader.read(all, async () => void visited++, { stop: never })
    expect(visited).toBe(5)
    const missing = uniqueName('missing')
    await expect(openReader(missing).read(all, async () => undefined, { stop: never })).rejects.toMatchObject(
      {
        code: 'TOPIC_MISSING',
        message: `the topic ${missing} does not exist`,
      },
    )
  })

  test('leaves no group behind', async () => {
    const topic = await numberedTopic(1, 1)
    const groupId = uniqueName('reader')
    const reader = openReader(topic, groupId)
    const admin = kafka.admin()
    await admin.connect()
    onTestFinished(() => admin.disconnect())
    const groups = async () => (await admin.listGroups()).groups.map((group) => group.groupId)
    await reader.read([{ partition: 0, from: 0, to: 1 }], async () => undefined, { stop: never })
    expect(await groups()).toContain(groupId)
    await reader.close()
    await patiently(async () => expect(await groups()).not.toContain(groupId))
  })
})

test('a record finder finds records by their coordinates, and explains why the others are gone', async () => {
  const topic = await numberedTopic(2, 10)
  await deleteRecordsBefore(topic, 1, 4)
  const bounds = createTopicBounds(kafka)
  onTestFinished(() => bounds.disconnect())
  const finder = createRecordFinder(
    kafka,
    topic,
    bounds,
    { id: uniqueName('finder'), sessionTimeoutMs: 30_000 },
    now,
  )
  onTestFinished(() => finder.close())
  const places = [
    { partition: 1, offset: 9 },
    { partition: 0, offset: 0 },
    { partition: 1, offset: 3 },
    { partition: 1, offset: 10 },
    { partition: 1, offset: 9 },
    { partition: 7, offset: 0 },
  ]
  const found = await finder.find(places, never)
  expect(
    found.map((answer) => (answer.kind === 'found' ? String(answer.record.value) : answer.reason)),
  ).toEqual([
    '1:9',
    '0:0',
    `Kafka has deleted ${topic} 1:3: the partition begins at 4`,
    `${topic} 1:10 does not exist: the partition ends at 10`,
    '1:9',
    `${topic} has no partition 7`,
  ])
})
