import { beforeAll, describe, expect, inject, test } from 'vitest'
import type { LagReport } from '../../cache-service/core/workers/lag-report.ts'
import { patiently } from '../support/eventually.ts'
import { describeGroup, startJavaConsumer } from '../support/processes/kafka-tools.ts'
import { openLagWorld, type LagWorld } from '../support/records/lag-topic.ts'
import { uniqueName } from '../support/test-scope.ts'

// What the lag monitor measures, compared with Kafka's own tool, and with members that are Kafka's own client.

const HOUR_MS = 3_600_000

let world: LagWorld

beforeAll(async () => {
  world = await openLagWorld(inject('kafkaBrokers'))
  return () => world.close()
})

const partitionsOf = ({ topics }: LagReport) =>
  topics.flatMap(({ partitions, topic }) =>
    partitions.map(({ committed, end, owner, partition, records }) => ({
      ...{ topic, partition, committed, end, owner },
      // kafka-consumer-groups reports no lag where nothing is committed.
      records: committed === null ? null : records,
    })),
  )

describe.concurrent('the lag of a group is what kafka-consumer-groups reports', () => {
  test.for(['classic', 'consumer'] as const)(
    'for a member of the protocol "%s"',
    async (protocol, context) => {
      const topic = await world.topicWith([HOUR_MS, 60_000, 30_000, 0])
      const group = uniqueName('group')
      await world.commit(group, topic, 1)
      const member = { brokers: world.brokers, group, topic }
      const consumer = startJavaConsumer(member, protocol, ['enable.auto.commit=false'])
      context.onTestFinished(() => consumer.stop())
      const meter = world.openMeter(context, group)
      const report = await patiently(async () => {
        const measured = await meter.measure()
        expect(measured).toMatchObject({
          ...{ group, problem: null, group_state: 'Stable', members_total: 1, records: 3, shared_with: [] },
          members: [{ client_id: 'java-app', host: '127.0.0.1', topics: [topic], partitions: 2 }],
        })
        return measured
      })
      expect(await describeGroup(world.brokers, group)).toEqual(partitionsOf(report))
      expect(partitionsOf(report)).toMatchObject([
        { partition: 0, committed: 1, end: 4, records: 3, owner: 'java-app at 127.0.0.1' },
        { partition: 1, committed: null, end: 0, owner: 'java-app at 127.0.0.1' },
      ])
      expect(report.topics[0]?.partitions).toMatchObject([{ seconds: 60 }, { seconds: 0, records: 0 }])
      await patiently(async () => {
        const [partition] = (await meter.measure()).topics[0]?.partitions ?? []
        expect(partition).toMatchObject({ state: 'standing' })
      })

      await consumer.stop()
      const left = await patiently(async () => {
        const measured = await meter.measure()
        expect(measured).toMatchObject({ members: [], members_total: 0, group_state: 'Empty' })
        return measured
      })
      expect(await describeGroup(world.brokers, group)).toEqual(
        partitionsOf(left).filter(({ committed }) => committed !== null),
      )
    },
  )
})

describe.concurrent('the lag monitor', () => {
  test('calls a partition shared if it belongs to a member of another program', async (context) => {
    const topic = await world.topicWith([0])
    const group = uniqueName('group')
    const consumer = startJavaConsumer({ brokers: world.brokers, group, topic }, 'classic')
    context.onTestFinished(() => consumer.stop())
    const meter = world.openMeter(context, group, topic)
    await patiently(async () => {
      const report = await meter.measure()
      expect(report.shared_with).toEqual([
        expect.stringMatching(`java-app at 127.0.0.1, another program, which reads ${topic}`),
      ])
      expect(report.topics[0]?.partitions.map(({ state }) => state)).toEqual(['shared', 'shared'])
    })
  })
})
