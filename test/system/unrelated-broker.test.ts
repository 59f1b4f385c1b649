import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'
import { reserveOwnKafkaCluster } from '../support/servers/servers.ts'
import { uniqueName } from '../support/test-scope.ts'

test('a broker that holds only an unrelated topic may be down: the worker restarts, and the commands work', async (context) => {
  const cluster = await reserveOwnKafkaCluster(2, { controllers: 1 })
  context.onTestFinished(async () => {
    await Promise.all(cluster.map((broker) => broker.stop()))
  })
  const [first, second] = cluster
  if (first === undefined || second === undefined) throw new Error('a cluster of two has two brokers')
  await Promise.all([first.start(), second.start()])
  const scenario = await openWorkerScenario(context, {
    kafka: first,
    topic: false,
    errorTopic: false,
    // Two of the three addresses are dead.
    env: {
      KAFKA_BOOTSTRAP_SERVERS: ['127.0.0.1:1', ...second.brokers, ...first.brokers].join(','),
    },
  })
  const { admin, env } = scenario
  const unrelated = uniqueName('unrelated')
  const onBroker = (topic: string, broker: number) => ({
    topic,
    replicaAssignment: [{ partition: 0, replicas: [broker] }],
  })
  // The second broker may have registered only now.
  await patiently(() =>
    admin.createTopics({
      topics: [onBroker(scenario.topic, 1), onBroker(scenario.errorTopic, 1), onBroker(unrelated, 2)],
    }),
  )
  await scenario.send([{ ...update({ deviceId: 'a' }), partition: 0 }])
  const before = await scenario.startWorker()
  await before.ready()
  expect(await before.stop()).toBe(0)
  await second.kill('SIGKILL')
  await patiently(async () => {
    await expect(admin.fetchTopicMetadata({ topics: [unrelated] })).rejects.toThrow(/no leader/)
  })

  await scenario.send([{ ...update({ deviceId: 'b' }), partition: 0 }])
  const after = await scenario.startWorker()
  await after.ready(60_000)
  await patiently(async () => expect(await scenario.redis.smembers('devices')).toHaveLength(2))
  const doctor = await runCliHere(['doctor', '-f', 'json'], env)
  expect(doctor.output).not.toContain('"failed"')
  for (const command of [['lag'], ['rebuild', '--yes'], ['errors', 'list']]) {
    expect({ command, ...(await runCliHere(command, env)) }).toMatchObject({ command, code: 0 })
  }
}, 180_000)
