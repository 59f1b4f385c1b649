import { describe, expect, inject, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { assertNone } from '../support/oracle/oracle.ts'
import { describeGroup } from '../support/processes/kafka-tools.ts'
import { consumesMore, valueOf } from '../support/processes/worker-facts.ts'
import { openWorkerScenario, type WorkerScenario } from '../support/processes/worker-scenario.ts'
import { progressKey } from '../../shared/contract/keys.ts'

const FLEET = { devices: 200, awkwardPercent: 5 }

/** Deletes the first records of every partition; returns the new earliest offsets. */
async function deleteRecords(
  { admin, topic, oracle }: WorkerScenario,
  share: number,
): Promise<Map<number, number>> {
  const begins = new Map([...oracle.ends()].map(([partition, end]) => [partition, Math.floor(end * share)]))
  await admin.deleteTopicRecords({
    topic,
    partitions: [...begins].map(([partition, offset]) => ({ partition, offset: String(offset) })),
  })
  return begins
}

describe.concurrent('when the topic is deleted and recreated', () => {
  test('the worker names the missing topic, waits for it, and reads the new one from the beginning', async (context) => {
    const report = reportFault(context, 'K14')
    const scenario = await openWorkerScenario(context)
    const { oracle, topic } = scenario
    const worker = await scenario.startWorker()
    await scenario.sendFleet(3_000, { ...FLEET, seed: 1, invalidPercent: 0 })
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    await scenario.deleteTopic()
    await patiently(async () => {
      const { status, body } = await worker.get('/readyz')
      expect(status).toBe(503)
      expect(body).toContain(`the topic ${topic} does not exist`)
    })
    expect(await worker.get('/livez')).toMatchObject({ status: 200 })
    report.saw('503 with the name of the missing topic, alive')
    await scenario.createTopic()
    const recovered = report.startRecovery()
    await scenario.sendFleet(2_000, { ...FLEET, seed: 2 })
    await oracle.assertCaughtUp({ consumed: scenario.consumed }, 60_000)
    await worker.ready()
    recovered()
    expect(await worker.stop()).toBe(0)
  })

  test('while no worker is running, the next worker reads the new topic from the beginning, longer or shorter', async (context) => {
    const report = reportFault(context, 'K14')
    const scenario = await openWorkerScenario(context)
    const { oracle } = scenario
    for (const records of [2_000, 4_000, 500]) {
      await scenario.sendFleet(records, { ...FLEET, seed: records, invalidPercent: 0 })
      const worker = await scenario.startWorker()
      await oracle.caughtUp()
      // Records may be delivered twice that were being read when the progress was found to be of the old topic.
      expect(await worker.consumed()).toBeGreaterThanOrEqual(records)
      assertNone(await oracle.cacheDifferences())
      expect(await worker.stop()).toBe(0)
      await scenario.deleteTopic()
      await patiently(() => scenario.createTopic())
    }
    report.saw('while no worker runs: the new topic is read from the beginning, longer or shorter')
  })
})

describe.concurrent('when Kafka has deleted records', () => {
  test('that were not read yet, the worker continues from the earliest remaining offset, and counts that', async (context) => {
    const report = reportFault(context, 'K13')
    const scenario = await openWorkerScenario(context)
    const { oracle } = scenario
    const first = await scenario.startWorker()
    await scenario.sendFleet(2_000, { ...FLEET, seed: 5 })
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    const read = await oracle.committed()
    expect(await first.stop()).toBe(0)
    await scenario.sendFleet(6_000, { ...FLEET, seed: 6 })
    for (const [partition, begin] of await deleteRecords(scenario, 0.7)) {
      oracle.deletedUnread(partition, read.get(partition) ?? 0, begin)
    }
    const second = await scenario.startWorker()
    await oracle.assertCaughtUp({ consumed: async () => (await second.consumed()) + 2_000 })
    await second.ready()
    const [outOfRange] = await second.metric('offset_out_of_range_total')
    expect(outOfRange?.value).toBe(scenario.partitions)
    report.saw(`${outOfRange?.value} partitions continued at the earliest record, one warning each`)
    expect(second.logLines()).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        msg: expect.stringContaining('Kafka deleted records before they were read'),
      }),
    )
    expect(await second.stop()).toBe(0)
  })

  test('to the last one before they were read, or the commit is after the end, the group has no lag afterwards', async (context) => {
    const report = reportFault(context, 'K13')
    const scenario = await openWorkerScenario(context, { ownRedis: {} })
    const { admin, group, oracle, topic } = scenario
    const first = await scenario.startWorker()
    await scenario.sendFleet(1_000, { ...FLEET, seed: 9, invalidPercent: 0 })
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    const read = await oracle.committed()
    expect(await first.stop()).toBe(0)
    await scenario.sendFleet(1_000, { ...FLEET, seed: 10, invalidPercent: 0 })
    const ends = await deleteRecords(scenario, 1)
    for (const [partition, end] of ends) oracle.deletedUnread(partition, read.get(partition) ?? 0, end)
    const afterEnd = (ends.get(1) ?? 0) + 50
    await admin.setOffsets({
      groupId: group,
      topic,
      partitions: [{ partition: 1, offset: String(afterEnd) }],
    })
    const second = await scenario.startWorker()
    await second.ready()
    await patiently(async () => {
      const described = await describeGroup(inject('kafkaBrokers'), group)
      expect(described.map(({ committed, records }) => [committed, records])).toEqual(
        [...ends].toSorted(([a], [b]) => a - b).map(([, end]) => [end, 0]),
      )
    })
    report.saw(
      'with nothing left to read: `kafka-consumer-groups` shows the end as committed, and a lag of 0',
    )
    await scenario.sendFleet(300, { ...FLEET, seed: 11 })
    await oracle.assertCaughtUp({ consumed: async () => (await second.consumed()) + 1_000 })
    expect(await second.stop()).toBe(0)
  })

  test('and Redis is empty, the rebuild restores what Kafka still has, and ends', async (context) => {
    const report = reportFault(context, 'K13')
    const scenario = await openWorkerScenario(context, { ownRedis: {} })
    const { oracle } = scenario
    const worker = await scenario.startWorker()
    await scenario.sendFleet(4_000, { ...FLEET, seed: 7, invalidPercent: 0 })
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    for (const [partition, begin] of await deleteRecords(scenario, 0.9)) {
      oracle.deletedUnread(partition, 0, begin)
    }
    await scenario.redis.flushall()
    const recovered = report.startRecovery()
    await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(4_000))
    await worker.ready()
    recovered()
    report.saw('with an empty Redis: what Kafka still has is read again')
    await oracle.assertCaughtUp({ consumed: async () => (await scenario.consumed()) - 4_000 })
    await deleteRecords(scenario, 1)
    await scenario.redis.flushall()
    await patiently(async () =>
      expect(await scenario.redis.hlen(progressKey(scenario.group, scenario.topic))).toBe(3),
    )
    await worker.ready()
    expect(await worker.stop()).toBe(0)
  })
})

test('when partitions are added under load, their records are read although their devices move', async (context) => {
  const report = reportFault(context, 'K15')
  const scenario = await openWorkerScenario(context, { partitions: 2 })
  const { oracle } = scenario
  const worker = await scenario.startWorker()
  const load = scenario.startLoad({ ...FLEET, seed: 8, perSecond: 300 })
  await worker.ready()
  await consumesMore(worker, 500)
  await scenario.addPartitions(5)
  const read = report.startRecovery()
  await patiently(async () => expect(await valueOf(worker, 'assigned_partitions')).toBe(5))
  // Every partition gets records of the load, and each is committed.
  await patiently(async () => expect((await oracle.committed()).size).toBe(5))
  await worker.ready()
  read()
  report.saw('2 partitions become 5; all are assigned, read and committed without a restart')
  await consumesMore(worker, 500)
  await load.stop()
  await oracle.assertCaughtUp({ consumed: scenario.consumed, redelivered: true })
  expect(await valueOf(worker, 'offset_out_of_range_total')).toBe(0)
  expect(await worker.stop()).toBe(0)
})
