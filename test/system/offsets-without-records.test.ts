import { randomBytes } from 'node:crypto'
import kafkajs, { type Kafka } from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { startOwnKafka } from '../support/servers/servers.ts'
import { update } from '../support/records/tagged-records.ts'
import { openWorkerScenario, type WorkerScenario } from '../support/processes/worker-scenario.ts'
import { uniqueName } from '../support/test-scope.ts'

// Offsets that hold no record: the ends of transactions, aborted records, and what compaction leaves.

async function transact(kafka: Kafka, topic: string, values: readonly string[], end: 'commit' | 'abort') {
  const producer = kafka.producer({
    transactionalId: uniqueName('transaction'),
    idempotent: true,
    maxInFlightRequests: 1,
  })
  await producer.connect()
  try {
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: values.map((value) => ({ value, key: 'd', partition: 0 })) })
    await transaction[end]()
  } finally {
    await producer.disconnect()
  }
}

const recordOf = (deviceId: string, more: object = {}) =>
  JSON.stringify({
    request_id: 'r',
    timestamp: new Date().toISOString(),
    device_id: deviceId,
    metadata: { datatype_name: 't' },
    ...more,
  })

async function lagOf({ admin, group, topic }: WorkerScenario): Promise<number> {
  const [committed] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
  const ends = await admin.fetchTopicOffsets(topic)
  return ends.reduce((sum, { high, partition }) => {
    const offset = committed?.partitions.find((found) => found.partition === partition)?.offset
    return sum + Number(high) - Math.max(0, Number(offset))
  }, 0)
}

describe.concurrent('a worker passes over', () => {
  test('the end of a transaction that is a fetch of its own, and becomes ready', async (context) => {
    const scenario = await openWorkerScenario(context, { partitions: 1 })
    const values = Array.from({ length: 1_400 }, (_, i) => recordOf(`d${i}`, { padding: 'x'.repeat(350) }))
    await transact(scenario.kafka, scenario.topic, values, 'commit')
    const worker = await scenario.startWorker()
    await worker.ready()
    expect(await scenario.redis.scard('devices')).toBe(1_400)
    await patiently(async () => expect(await lagOf(scenario)).toBe(0))
    expect(await worker.metric('cache_loss_total')).toMatchObject([{ value: 0 }])
  })

  test('an aborted transaction at the end of the topic, and counts no loss', async (context) => {
    const scenario = await openWorkerScenario(context, { partitions: 1 })
    await transact(
      scenario.kafka,
      scenario.topic,
      Array.from({ length: 10 }, () => recordOf('aborted')),
      'abort',
    )
    const worker = await scenario.startWorker()
    await worker.ready()
    await patiently(async () => expect(await lagOf(scenario)).toBe(0))
    await scenario.send([{ ...update({ deviceId: 'after' }), partition: 0 }])
    await patiently(async () => expect(await scenario.redis.exists('device:after:metadata')).toBe(1))
    expect(await scenario.redis.exists('device:aborted:metadata')).toBe(0)
    expect(await worker.metric('cache_loss_total')).toMatchObject([{ value: 0 }])
  })

  test('aborted records that are more than a fetch, also after a restart', async (context) => {
    const scenario = await openWorkerScenario(context, {
      partitions: 1,
      env: { KAFKA_FETCH_MAX_BYTES: '65536', KAFKA_FETCH_MAX_BYTES_PER_PARTITION: '65536' },
    })
    await scenario.send([{ ...update({ deviceId: 'before' }), partition: 0 }])
    for (let i = 0; i < 12; i++) {
      const padding = randomBytes(20_000).toString('hex')
      await transact(scenario.kafka, scenario.topic, [recordOf(`aborted-${i}`, { padding })], 'abort')
    }
    await scenario.send([{ ...update({ deviceId: 'after' }), partition: 0 }])
    for (let life = 0; life < 2; life++) {
      const worker = await scenario.startWorker()
      await worker.ready()
      await patiently(async () => expect(await lagOf(scenario)).toBe(0))
      expect(await worker.metric('cache_loss_total')).toMatchObject([{ value: 0 }])
      expect(await worker.stop()).toBe(0)
    }
    expect(await scenario.redis.smembers('devices')).toEqual(expect.arrayContaining(['before', 'after']))
    expect(await scenario.redis.scard('devices')).toBe(2)
  })
})

test.concurrent(
  'a worker passes over a batch that compaction has emptied',
  async (context) => {
    const kafka = await startOwnKafka({ properties: { 'log.cleaner.backoff.ms': '500' } })
    context.onTestFinished(() => kafka.stop())
    const scenario = await openWorkerScenario(context, { partitions: 1, topic: false, kafka })
    const admin = scenario.admin
    const configEntries = Object.entries({
      'cleanup.policy': 'compact',
      'segment.bytes': '1048576',
      'segment.ms': '10000',
      'min.cleanable.dirty.ratio': '0.001',
      'delete.retention.ms': '0',
    }).map(([name, value]) => ({ name, value }))
    await admin.createTopics({ topics: [{ topic: scenario.topic, numPartitions: 1, configEntries }] })
    const client = new kafkajs.Kafka({ brokers: [...kafka.brokers], logLevel: kafkajs.logLevel.NOTHING })
    const write = async (messages: { key: string; value: string | null }[], idempotent = false) => {
      const producer = client.producer({ idempotent, maxInFlightRequests: 1 })
      await producer.connect()
      await producer.send({
        topic: scenario.topic,
        messages: messages.map((message) => ({ ...message, partition: 0 })),
      })
      await producer.disconnect()
    }
    const devices = (prefix: string) =>
      Array.from({ length: 2_000 }, (_, i) => {
        const key = `${prefix}${i}`
        return { key, value: recordOf(key, { padding: 'x'.repeat(300) }) }
      })
    await write([{ key: 'gone', value: recordOf('gone') }])
    await write(devices('a'))
    await write([{ key: 'gone', value: null }], true)
    const rollover = () => new Promise((resolve) => setTimeout(resolve, 11_000))
    await rollover()
    await write(devices('b'))
    await rollover()
    await write(devices('c'))
    await rollover()
    await write([{ key: 'last', value: recordOf('last') }])
    const worker = await scenario.startWorker()
    await worker.ready()
    expect(await scenario.redis.scard('devices')).toBe(6_001)
    await patiently(async () => expect(await lagOf(scenario)).toBe(0))
  },
  180_000,
)
