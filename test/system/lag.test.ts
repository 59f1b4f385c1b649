import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import { startApi } from '../support/processes/start-api.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'
import { createTopic, uniqueName } from '../support/test-scope.ts'

const records = (partitions: readonly number[]) =>
  partitions.map((partition) => ({ ...update({ deviceId: `d${partition}` }), partition }))

describe.concurrent('a worker', () => {
  test('measures its lag when it gets its partitions, not only when the next poll is due', async (context) => {
    const scenario = await openWorkerScenario(context, { env: { LAG_POLL_INTERVAL_S: '3600' } })
    const workers = [await scenario.startWorker()]
    await patiently(async () => expect(await workers[0]?.metric('consumer_lag')).toHaveLength(3))
    workers.push(await scenario.startWorker())
    await patiently(async () => {
      const [shares, lags] = await Promise.all(
        ['assigned_partitions', 'consumer_lag'].map((name) =>
          Promise.all(workers.map((worker) => worker.metric(name))),
        ),
      )
      const assigned = (shares ?? []).map((samples) => samples[0]?.value)
      expect(assigned.toSorted()).toEqual([1, 2])
      expect((lags ?? []).map((samples) => samples.length)).toEqual(assigned)
    })
  })

  test('reads partitions that are added to its topic, and counts their lag', async (context) => {
    const scenario = await openWorkerScenario(context, { partitions: 1 })
    const worker = await scenario.startWorker()
    await worker.ready()
    await scenario.addPartitions(4)
    await scenario.send(records([1, 2, 3]))
    await patiently(async () => expect(await scenario.redis.scard('devices')).toBe(3))
    await patiently(async () => expect(await worker.metric('consumer_lag')).toHaveLength(4))
    await worker.ready()
    expect((await worker.metric('unread_partitions')).map(({ value }) => value)).toEqual([0, 0, 0, 0])
  })

  test('names partitions that have records and no owner, in its readiness, report and log', async (context) => {
    const scenario = await openWorkerScenario(context)
    const { admin, env, group, kafka, topic } = scenario
    const other = uniqueName('other')
    await createTopic((env['KAFKA_BOOTSTRAP_SERVERS'] ?? '').split(','), other)
    // The first member assigns the partitions, and this one knows only its own topic.
    const leader = kafka.consumer({ groupId: group, heartbeatInterval: 500 })
    context.onTestFinished(() => leader.disconnect())
    await leader.connect()
    await leader.subscribe({ topics: [other] })
    await leader.run({ eachMessage: async () => undefined })
    await patiently(async () => {
      expect((await admin.describeGroups([group])).groups).toMatchObject([{ state: 'Stable' }])
    })
    const worker = await scenario.startWorker()
    await scenario.send(records([0, 2]))
    await patiently(async () => {
      const { body } = await worker.get('/readyz')
      expect(body).toContain('unread: partition 0, 2 (2 records) has no owner in the consumer group')
    })
    expect(await worker.metric('unread_partitions')).toContainEqual(
      expect.objectContaining({ labels: { reason: 'no_owner' }, value: 2 }),
    )
    expect(worker.logLines().filter(({ msg }) => msg === 'partitions stay unread')).toMatchObject([
      { level: 'error', group },
    ])
    const api = await startApi({ REDIS_URL: env['REDIS_URL'] ?? '' })
    context.onTestFinished(() => api.stop())
    await patiently(async () => {
      const { output } = await runCliHere(['lag', '-f', 'json', '--api', api.url])
      expect(JSON.parse(output)).toMatchObject([
        { partition: 0, lag: 1, worker: null, topic, group },
        { partition: 2, lag: 1, worker: null, topic, group },
      ])
    })
    await leader.disconnect()
    await worker.ready()
    await patiently(async () => expect(await scenario.redis.scard('devices')).toBe(2))
  })

  test('names a partition that makes no progress although it is fetched, because of an open transaction', async (context) => {
    const scenario = await openWorkerScenario(context, { partitions: 2 })
    const producer = scenario.kafka.producer({
      transactionalId: uniqueName('transaction'),
      transactionTimeout: 300_000,
      idempotent: true,
      maxInFlightRequests: 1,
    })
    context.onTestFinished(() => producer.disconnect())
    await producer.connect()
    const worker = await scenario.startWorker()
    await worker.ready()
    const transaction = await producer.transaction()
    await transaction.send({
      topic: scenario.topic,
      messages: [{ partition: 1, key: 'd', value: update({ deviceId: 'd' }).value }],
    })
    await patiently(async () => {
      const { body, status } = await worker.get('/readyz')
      expect(status).toBe(503)
      expect(body).toContain('unread: partition 1 (1 record) is being fetched but makes no progress')
    })
    await transaction.commit()
    await worker.ready()
    expect(await scenario.redis.exists('device:d:metadata')).toBe(1)
  })
})
