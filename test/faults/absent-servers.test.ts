import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { reserveOwnKafka, reserveOwnRedis } from '../support/servers/servers.ts'
import { update } from '../support/records/tagged-records.ts'
import { createTopic } from '../support/test-scope.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'

test('a worker without Redis and Kafka waits for them, reports what it waits for, and then consumes', async (context) => {
  const [topicMissing, unreachable] = [reportFault(context, 'K16'), reportFault(context, 'K18')]
  const [redis, kafka] = await Promise.all([reserveOwnRedis(), reserveOwnKafka()])
  context.onTestFinished(() => redis.stop())
  context.onTestFinished(() => kafka.stop())
  const scenario = await openWorkerScenario(context, {
    kafka,
    ownRedis: redis,
    topic: false,
    errorTopic: false,
  })
  const worker = await scenario.startWorker()
  const reasons = async () => {
    const { status, body } = await worker.get('/readyz')
    expect(status).toBe(503)
    expect(await worker.get('/livez')).toMatchObject({ status: 200 })
    return body
  }

  await patiently(async () => {
    expect(await reasons()).toMatch(new RegExp(`not in the consumer group: .*ECONNREFUSED.*${kafka.port}`))
    expect(await reasons()).toMatch(new RegExp(`Redis at 127.0.0.1:${redis.port} has not accepted a write`))
  })
  await redis.start()
  await patiently(async () => expect(await reasons()).not.toContain('Redis'))
  expect(await reasons()).toContain('not in the consumer group')

  unreachable.saw('Kafka and Redis not started yet: 503 with both addresses, alive')

  await kafka.start()
  await patiently(async () => expect(await reasons()).toContain(scenario.topic))
  await patiently(() =>
    expect(worker.logLines().map(({ msg }) => msg)).toContain(
      `waiting for the topic ${scenario.topic}: it does not exist yet`,
    ),
  )

  topicMissing.saw('503 and one line with the name of the missing topic, alive')

  const recovered = topicMissing.startRecovery()
  await scenario.createTopic()
  await worker.ready(60_000)
  recovered()
  await createTopic(kafka.brokers, scenario.errorTopic)
  await scenario.send([update({ deviceId: 'first' })])
  await scenario.sendFleet(2_000, { seed: 1, devices: 50 })
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })
  expect(await worker.stop()).toBe(0)
})
