import { once } from 'node:events'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { connect, createServer, type Server, type Socket } from 'node:net'
import original, { type Kafka, type KafkaConfig } from 'kafkajs'
import { beforeAll, describe, expect, inject, onTestFinished, test, vi } from 'vitest'
import { FetchedPartition } from '../../../cache-service/kafka/fetched-partition.ts'
import { kafkajs } from '../../../cache-service/kafka/kafkajs.ts'
import { decodeRecords } from '../../../cache-service/kafka/record-batch.ts'
import { patiently } from '../../support/eventually.ts'
import { installWireCodec, WIRE_CODECS } from '../../support/records/wire-codecs.ts'
import { createTopic, uniqueName } from '../../support/test-scope.ts'

// What the private copy of KafkaJS does that the original does not. Records are written by the original.

let brokers: readonly string[]
beforeAll(() => {
  brokers = inject('kafkaBrokers')
})

type Package = typeof kafkajs

function clientOf({ Kafka: Client, logLevel }: Package, config: Partial<KafkaConfig> = {}): Kafka {
  return new Client({ brokers: [...brokers], logLevel: logLevel.NOTHING, ...config })
}

async function newTopic(): Promise<string> {
  const topic = uniqueName('door')
  await createTopic(brokers, topic)
  return topic
}

/** Follows the topic by our copy, from what the group has committed. */
async function follow(topic: string, groupId = uniqueName('follow')) {
  const fetched: FetchedPartition[] = []
  const consumer = clientOf(kafkajs).consumer({ groupId, maxWaitTimeInMs: 100 })
  onTestFinished(() => consumer.disconnect())
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: true,
    eachBatch: async ({ batch }) => {
      if (!(batch instanceof FetchedPartition)) throw new Error('not what our copy hands over')
      fetched.push(batch)
    },
  })
  return {
    fetched,
    position: () => fetched.at(-1)?.next,
    records: async () => {
      const batches = fetched.flatMap((some) => some.batches)
      return (await Promise.all(batches.map((batch) => decodeRecords(batch)))).flatMap(
        ({ records }) => records,
      )
    },
  }
}

describe('a consumer of our copy', () => {
  test.each(WIRE_CODECS)('reads records that other clients compressed with %s', async (codec) => {
    const topic = await newTopic()
    const producer = clientOf(original).producer()
    onTestFinished(() => producer.disconnect())
    await producer.connect()
    const compression = installWireCodec(codec)
    const messages = [...Array(50).keys()].map((i) => ({
      key: `k${i}`,
      value: `v${i}`,
      timestamp: String(1_749_493_637_000 + i),
      headers: { trace: Buffer.from([i]) },
    }))
    await producer.send({ topic, compression, messages })
    const reader = await follow(topic)
    await patiently(() => expect(reader.position()).toBe(50))
    const [first, ...others] = await reader.records()
    expect(first?.headers).toEqual({ trace: Buffer.from([0]) })
    expect([first?.offset, first?.timestampMs]).toEqual([0, 1_749_493_637_000])
    expect([first?.key, first?.value].map(String)).toEqual(['k0', 'v0'])
    expect(others.map(({ value }) => String(value))).toEqual(messages.slice(1).map(({ value }) => value))
  })

  test.each(['commit', 'abort'] as const)('reads past the end of a transaction: %s', async (end) => {
    const topic = await newTopic()
    const producer = clientOf(original).producer({
      transactionalId: uniqueName('transaction'),
      idempotent: true,
      maxInFlightRequests: 1,
    })
    onTestFinished(() => producer.disconnect())
    await producer.connect()
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ value: 'a' }, { value: 'b' }] })
    await transaction[end]()
    const reader = await follow(topic)
    await patiently(() => expect(reader.position()).toBe(3))
    const values = (await reader.records()).map(({ value }) => String(value))
    expect(values).toEqual(end === 'commit' ? ['a', 'b'] : [])
  })
})

describe('a consumer of our copy whose offset is out of range', () => {
  /** Of 10 records, the first `deleted` are. */
  async function followFrom(offset: number, deleted: number) {
    const [topic, group] = [await newTopic(), uniqueName('group')]
    const admin = clientOf(original).admin()
    const producer = clientOf(original).producer()
    onTestFinished(async () => void (await Promise.all([admin.disconnect(), producer.disconnect()])))
    await Promise.all([admin.connect(), producer.connect()])
    // A batch each: Kafka sends whole ones.
    for (let i = 0; i < 10; i++) await producer.send({ topic, messages: [{ value: `v${i}` }] })
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: String(offset) }] })
    const partitions = [{ partition: 0, offset: String(deleted) }]
    if (deleted > 0) await admin.deleteTopicRecords({ topic, partitions })
    const reader = await follow(topic, group)
    const committed = async () => {
      const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
      return Number(found?.partitions[0]?.offset)
    }
    return { ...reader, committed }
  }
  const first = ([fetched]: readonly FetchedPartition[]) =>
    fetched && { position: fetched.position, next: fetched.next, isRestart: fetched.isRestart }

  test.each([
    ['some of them', 7, 10],
    ['all of them', 10, 10],
  ])(
    'because Kafka has deleted records, %s, passes over those and commits nothing',
    async (_, deleted, end) => {
      const reader = await followFrom(3, deleted)
      await patiently(() => expect(reader.position()).toBe(end))
      expect(first(reader.fetched)).toEqual({ position: 3, next: deleted, isRestart: false })
      expect((await reader.records()).map(({ offset }) => offset)).toEqual([7, 8, 9].slice(0, end - deleted))
      expect(await reader.committed()).toBe(3)
    },
  )

  test.each([
    ['with records', 4],
    ['without records', 10],
  ])(
    'because the log, %s, ends before it, begins at the first offset and commits nothing',
    async (_, begin) => {
      const reader = await followFrom(25, begin)
      await patiently(() => expect(reader.position()).toBe(10))
      expect(first(reader.fetched)).toEqual({ position: begin, next: begin, isRestart: true })
      expect(await reader.records()).toHaveLength(10 - begin)
      expect(await reader.committed()).toBe(25)
    },
  )
})

test('a producer of our copy writes null headers, repeated headers, and records without headers', async () => {
  const topic = await newTopic()
  const producer = clientOf(kafkajs).producer()
  onTestFinished(() => producer.disconnect())
  await producer.connect()
  const sent = [{ traceparent: null }, { a: ['1', null, '2'], b: 'ü' }, {}]
  // The types of KafkaJS know no null.
  const messages = sent.map((headers) => ({ value: 'v', headers: headers as Record<string, string> }))
  await producer.send({ topic, messages })
  const reader = await follow(topic)
  await patiently(() => expect(reader.position()).toBe(3))
  expect((await reader.records()).map(({ headers }) => headers)).toEqual([
    { traceparent: null },
    { a: [Buffer.from('1'), null, Buffer.from('2')], b: Buffer.from('ü') },
    {},
  ])
})

describe('a client of our copy', () => {
  /** A listener that accepts connections and never says a word. */
  async function silentServer(): Promise<string> {
    const sockets = new Set<Socket>()
    const server: Server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    })
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no address')
    return `127.0.0.1:${address.port}`
  }

  test('tries the next bootstrap broker if one accepts connections but never responds', async () => {
    const silent = await silentServer()
    const kafka = clientOf(kafkajs, {
      brokers: [silent, ...brokers],
      connectionTimeout: 1_000,
      requestTimeout: 1_000,
    })
    const admin = kafka.admin()
    onTestFinished(() => admin.disconnect())
    await admin.connect()
    expect((await admin.describeCluster()).brokers.length).toBeGreaterThan(0)
  })

  test('reaches the only bootstrap broker that responds, in whichever place of a long list', async () => {
    const dead = Array.from({ length: 7 }, (_, i) => `127.0.0.1:${i + 1}`)
    const kafka = clientOf(kafkajs, { brokers: [...dead, ...brokers], retry: { retries: 3 } })
    await patiently(async () => {
      const admin = kafka.admin()
      onTestFinished(() => admin.disconnect())
      await admin.connect()
    })
  })

  /** Clients whose connections can fall silent: nothing that arrives on them reaches KafkaJS any more. */
  function clientsThatFallSilent(config: Partial<KafkaConfig>) {
    const sockets: Socket[] = []
    const kafka = clientOf(kafkajs, {
      retry: { retries: 0 },
      socketFactory: ({ host, port, onConnect }) => {
        const socket = connect({ host, port }, onConnect)
        sockets.push(socket)
        return socket
      },
      ...config,
    })
    return {
      async connectAdmin() {
        const admin = kafka.admin()
        onTestFinished(() => admin.disconnect())
        await admin.connect()
        await admin.listTopics()
        return admin
      },
      fallSilent: () => {
        for (const socket of sockets) socket.pause()
      },
      get bytesSent() {
        return sockets.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0)
      },
    }
  }

  test('does not use connections that are as silent as one on which a request of another client timed out', async () => {
    const clients = clientsThatFallSilent({ requestTimeout: 1_000 })
    const [first, second] = [await clients.connectAdmin(), await clients.connectAdmin()]
    clients.fallSilent()
    await expect(first.listTopics()).rejects.toThrow()
    expect(await second.listTopics()).toBeInstanceOf(Array)
  })

  test('disconnects although a request is not answered', async () => {
    const clients = clientsThatFallSilent({ requestTimeout: 600_000 })
    const admin = await clients.connectAdmin()
    clients.fallSilent()
    const before = clients.bytesSent
    const listed = admin.listTopics().catch((error: unknown) => error)
    await patiently(() => expect(clients.bytesSent).toBeGreaterThan(before))
    await admin.disconnect()
    expect(await listed).toBeInstanceOf(Error)
  })

  test('sees at once that partitions were added to a topic', async () => {
    const topic = await newTopic()
    const admin = clientOf(kafkajs).admin()
    onTestFinished(() => admin.disconnect())
    await admin.connect()
    const before = await admin.fetchTopicOffsets(topic)
    const count = before.length + 2
    const other = clientOf(original).admin()
    onTestFinished(() => other.disconnect())
    await other.createPartitions({ topicPartitions: [{ topic, count }] })
    await patiently(async () => expect(await admin.fetchTopicOffsets(topic)).toHaveLength(count))
  })

  test.each([
    ['[::1]:9092', { host: '::1', port: 9092 }],
    ['kafka.example:19092', { host: 'kafka.example', port: 19092 }],
  ])('takes %s for a host and a port', async (broker, expected) => {
    const asked: unknown[] = []
    const kafka = clientOf(kafkajs, {
      brokers: [broker],
      retry: { retries: 0 },
      socketFactory: ({ host, port }) => {
        asked.push({ host, port })
        throw new Error('that is all we want to know')
      },
    })
    await kafka
      .admin()
      .connect()
      .catch(() => undefined)
    expect(asked[0]).toEqual(expected)
  })

  test('reads no file once it is loaded: there may be no free file descriptor then', async () => {
    const topic = await newTopic()
    const read = vi.spyOn(fs, 'readFileSync')
    syncBuiltinESMExports()
    onTestFinished(() => {
      read.mockRestore()
      syncBuiltinESMExports()
    })
    const kafka = clientOf(kafkajs)
    const [admin, producer] = [kafka.admin(), kafka.producer({ idempotent: true, transactionalId: topic })]
    onTestFinished(async () => void (await Promise.all([admin.disconnect(), producer.disconnect()])))
    await Promise.all([admin.connect(), producer.connect()])
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ value: 'x' }] })
    await transaction.commit()
    const group = uniqueName('group')
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '0' }] })
    const reader = await follow(topic, group)
    await patiently(() => expect(reader.position()).toBe(2))
    await admin.describeGroups([group])
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '1' }] })
    const modules = read.mock.calls.map(([path]) => String(path)).filter((path) => path.includes('kafkajs'))
    expect(modules).toEqual([])
  })

  test('does not change the original package', async () => {
    expect(kafkajs.Kafka).not.toBe(original.Kafka)
    const topic = await newTopic()
    const producer = clientOf(original).producer()
    onTestFinished(() => producer.disconnect())
    await producer.connect()
    await producer.send({ topic, messages: [{ value: 'x' }] })
    const values: string[] = []
    const consumer = clientOf(original).consumer({ groupId: uniqueName('original') })
    onTestFinished(() => consumer.disconnect())
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({ eachMessage: async ({ message }) => void values.push(String(message.value)) })
    await patiently(() => expect(values).toEqual(['x']))
  })
})
