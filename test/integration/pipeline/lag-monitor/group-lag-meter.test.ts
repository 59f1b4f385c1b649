import { beforeAll, describe, expect, inject, test } from 'vitest'
import { createGroupLagReader } from '../../../../cache-service/kafka/group-lag-reader.ts'
import { kafkajs } from '../../../../cache-service/kafka/kafkajs.ts'
import { patiently } from '../../../support/eventually.ts'
import { openLagWorld, type LagWorld } from '../../../support/records/lag-topic.ts'
import { uniqueName } from '../../../support/test-scope.ts'

// test/faults/lag-monitor.test.ts compares this with Kafka's own tool.

const HOUR_MS = 3_600_000

let world: LagWorld

beforeAll(async () => {
  world = await openLagWorld(inject('kafkaBrokers'))
  return () => world.close()
})

describe.concurrent('the lag monitor', () => {
  test('says that a group is unknown if it has neither members nor offsets', async (context) => {
    const group = uniqueName('no-group')
    expect(await world.openMeter(context, group).measure()).toMatchObject({
      ...{ group_state: 'Dead', members: [], topics: [], records: 0 },
      problem: expect.stringContaining('neither members nor committed offsets: check its name in LAG_GROUPS'),
    })
  })

  test('counts what the group of our workers would read before it has committed anything', async (context) => {
    const topic = await world.topicWith([5_000, 0])
    const report = await world.openMeter(context, uniqueName('group'), topic).measure()
    expect(report).toMatchObject({ problem: expect.stringContaining('committed offsets'), records: 2 })
    expect(report.topics).toMatchObject([
      { topic, partitions: [{ committed: null, records: 2, seconds: 5, owner: null }, { records: 0 }] },
    ])
  })

  test('names a topic that does not exist, and still measures the others', async (context) => {
    const [kept, deleted] = [await world.topicWith([0]), await world.topicWith([0])]
    const group = uniqueName('group')
    const consumer = world.kafka.consumer({ groupId: group })
    context.onTestFinished(() => consumer.disconnect())
    await consumer.connect()
    await consumer.subscribe({ topics: [kept, deleted] })
    await consumer.run({ autoCommit: false, eachMessage: async () => undefined })
    const meter = world.openMeter(context, group)
    await patiently(async () => expect((await meter.measure()).members_total).toBe(1))
    await world.admin.deleteTopics({ topics: [deleted] })
    await patiently(async () => {
      const { problem, topics } = await meter.measure()
      expect(problem).toBeNull()
      expect(topics.toSorted((a, b) => a.partitions.length - b.partitions.length)).toMatchObject([
        { topic: deleted, problem: expect.stringContaining('does not exist'), partitions: [] },
        { topic: kept, problem: null, partitions: [{ records: 1 }, { records: 0 }] },
      ])
    })
  })

  test('counts as deleted what Kafka has deleted before the group has read it', async (context) => {
    const topic = await world.topicWith([3_000, 2_000, 1_000, 0])
    const group = uniqueName('group')
    await world.commit(group, topic, 1)
    await world.admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '3' }] })
    const [partition] = (await world.openMeter(context, group).measure()).topics[0]?.partitions ?? []
    expect(partition).toMatchObject({ committed: 1, earliest: 3, records: 1, deleted_unread: 2, seconds: 0 })
  })

  test('reports how long Kafka keeps the first unread record', async (context) => {
    const config = { 'retention.ms': String(24 * HOUR_MS) }
    const topic = await world.topicWith([2 * HOUR_MS, HOUR_MS, 0], config)
    const group = uniqueName('group')
    await world.commit(group, topic, 1)
    const [partition] = (await world.openMeter(context, group).measure()).topics[0]?.partitions ?? []
    expect(partition).toMatchObject({ seconds: 3_600, seconds_until_deleted: 23 * 3_600 })
  })

  test('reads the time of a compressed record in the middle of its batch, and passes over the ends of transactions', async (context) => {
    const topic = await world.topicWith([])
    const producer = world.kafka.producer({
      ...{ transactionalId: uniqueName('transaction'), idempotent: true, maxInFlightRequests: 1 },
    })
    context.onTestFinished(() => producer.disconnect())
    await producer.connect()
    for (const agesMs of [[90_000], [80_000, 70_000, 60_000]]) {
      const transaction = await producer.transaction()
      const messages = agesMs.map((ageMs) => ({
        partition: 0,
        value: 'r',
        timestamp: String(world.nowMs - ageMs),
      }))
      await transaction.send({ topic, compression: kafkajs.CompressionTypes.GZIP, messages })
      await transaction.commit()
    }
    const reader = createGroupLagReader(world.kafka)
    context.onTestFinished(() => reader.disconnect())
    await reader.read(uniqueName('group'), [topic])
    const ageS = async (offset: number) => {
      const record = await reader.recordAt(topic, 0, offset)
      return record && (world.nowMs - record.timestampMs) / 1000
    }
    // 0: 90 s, 1: the end of its transaction, 2 to 4: 80, 70 and 60 s, 5: the end.
    const ages = await Promise.all([0, 1, 2, 3, 4, 5].map(ageS))
    expect(ages).toEqual([90, 80, 80, 70, 60, undefined])
  })
})
