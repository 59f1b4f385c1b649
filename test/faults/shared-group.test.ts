import { describe, expect, test } from 'vitest'
import { eventually, patiently } from '../support/eventually.ts'
import { startJavaConsumer } from '../support/processes/kafka-tools.ts'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'
import {
  openWorkerScenario,
  type ScenarioContext,
  type WorkerScenario,
} from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'
import { createTopic, uniqueName } from '../support/test-scope.ts'

// Names of consumer groups are unique only by agreement. Who is in the group of a worker, apart from workers like it?

const brokersOf = ({ env }: WorkerScenario) => (env['KAFKA_BOOTSTRAP_SERVERS'] ?? '').split(',')

async function notReady(worker: WorkerProcess, reason: RegExp): Promise<void> {
  await patiently(async () => {
    const { body, status } = await worker.get('/readyz')
    expect({ body, status }).toEqual({ body: expect.stringMatching(reason), status: 503 })
  })
}

const sharedLines = (worker: WorkerProcess) =>
  worker.logLines().filter(({ level, msg }) => level === 'error' && msg.includes('KAFKA_CONSUMER_GROUP_ID'))

async function doctor({ env }: WorkerScenario) {
  const { code, output } = await runCliHere(['doctor', '-f', 'json'], env)
  const findings: { check: string; verdict: string; detail: string; fix: string }[] = JSON.parse(output)
  return { code, group: findings.filter(({ check }) => check.startsWith('group ')) }
}

/** The Java program is named by `/readyz` and the doctor; the worker recovers when it has stopped. */
async function isNamedUntilItStops(
  java: ReturnType<typeof javaProgram>,
  worker: WorkerProcess,
  scenario: WorkerScenario,
): Promise<void> {
  await notReady(
    worker,
    new RegExp(`shared group: .* java-app at \\S+, another program, which reads ${scenario.topic};`),
  )
  expect((await doctor(scenario)).group).toMatchObject([
    { verdict: 'failed', detail: expect.stringContaining('java-app at 127.0.0.1, another program') },
  ])
  await java.stop()
  await worker.ready(60_000)
}

/** A consumer of KafkaJS that is not a worker. */
async function otherProgram({ group, kafka }: WorkerScenario, context: ScenarioContext, topics: string[]) {
  const consumer = kafka.consumer({ groupId: group, sessionTimeout: 6_000, heartbeatInterval: 500 })
  context.onTestFinished(() => consumer.disconnect())
  await consumer.connect()
  await consumer.subscribe({ topics })
  await consumer.run({ eachMessage: async () => undefined })
  return consumer
}

function javaProgram(scenario: WorkerScenario, context: ScenarioContext, protocol: 'classic' | 'consumer') {
  const { group, topic } = scenario
  const consumer = startJavaConsumer({ brokers: brokersOf(scenario), group, topic }, protocol)
  context.onTestFinished(() => consumer.stop())
  return consumer
}

describe.concurrent('a worker is not ready, and names the member, while its group has', () => {
  test('a worker that reads another topic, which is not ready either; both are when one has left', async (context) => {
    const scenario = await openWorkerScenario(context)
    const other = uniqueName('other')
    await createTopic(brokersOf(scenario), other, { partitions: 3 })
    const a = await scenario.startWorker({ KAFKA_CLIENT_ID: 'site-a' })
    await a.ready()
    const b = await scenario.startWorker({ KAFKA_VALIDATED_DATA_TOPIC: other, KAFKA_CLIENT_ID: 'site-b' })
    await notReady(
      a,
      new RegExp(
        `shared group: ${scenario.group} is also used by site-b at \\S+, which reads ${other};.*KAFKA_CONSUMER_GROUP_ID`,
      ),
    )
    await notReady(
      b,
      new RegExp(`shared group: .* site-a at \\S+, which reads ${scenario.topic};.*KAFKA_CONSUMER_GROUP_ID`),
    )
    expect((await a.metric('foreign_group_members'))[0]?.value).toBe(1)
    for (const worker of [a, b]) expect(sharedLines(worker)).toMatchObject([{ group: scenario.group }])
    expect(await doctor(scenario)).toMatchObject({
      code: 1,
      group: [
        {
          verdict: 'failed',
          detail: expect.stringContaining(`site-b at 127.0.0.1, which reads ${other}`),
          fix: expect.stringContaining('KAFKA_CONSUMER_GROUP_ID'),
        },
      ],
    })

    // The partitions of a topic go only to members that read it.
    await scenario.send(
      [0, 1, 2].map((partition) => ({ ...update({ deviceId: `d${partition}` }), partition })),
    )
    await b.stop()
    await a.ready()
    await patiently(async () => expect(await scenario.redis.scard('devices')).toBe(3))
    expect((await a.metric('foreign_group_members'))[0]?.value).toBe(0)
    expect(sharedLines(a)).toHaveLength(1)
    expect((await doctor(scenario)).group).toMatchObject([{ verdict: 'ok' }])
  })

  test('a consumer of another program that reads further topics', async (context) => {
    const scenario = await openWorkerScenario(context)
    const further = uniqueName('further')
    await createTopic(brokersOf(scenario), further)
    const worker = await scenario.startWorker()
    const consumer = await otherProgram(scenario, context, [scenario.topic, further])
    await notReady(
      worker,
      new RegExp(`shared group: .* test at \\S+, which reads ${scenario.topic}, ${further};`),
    )
    await consumer.disconnect()
    await worker.ready(60_000)
  })

  test('a consumer of another program on the same topic, as soon as records do not reach Redis', async (context) => {
    const scenario = await openWorkerScenario(context)
    const worker = await scenario.startWorker()
    await worker.ready(60_000)
    const consumer = await otherProgram(scenario, context, [scenario.topic])
    // It might be a worker of an older release.
    await patiently(async () => {
      expect((await doctor(scenario)).group).toMatchObject([
        { verdict: 'warning', detail: expect.stringContaining('test at 127.0.0.1') },
      ])
    })
    await worker.ready(60_000)
    await patiently(
      async () => {
        await scenario.send(
          [0, 1, 2].map((partition) => ({ ...update({ deviceId: `d${partition}` }), partition })),
        )
        const { body, status } = await worker.get('/readyz')
        expect(body).toMatch(/unread: partition \d(, \d)* \(\d+ records?\) belongs to test at 127.0.0.1/)
        expect(status).toBe(503)
      },
      { everyMs: 1_000 },
    )
    // The worker joined first, so that it is the leader and shows the lag of all partitions.
    await patiently(async () => expect(await worker.metric('consumer_lag')).toHaveLength(3))
    await consumer.disconnect()
    await worker.ready(60_000)
    expect(await scenario.redis.scard('devices')).toBe(3)
  })

  test('a consumer of another program, of an incompatible protocol, which keeps the worker out', async (context) => {
    const scenario = await openWorkerScenario(context)
    const java = javaProgram(scenario, context, 'classic')
    await patiently(async () => {
      const [group] = (await scenario.admin.describeGroups([scenario.group])).groups
      expect(group?.state).toBe('Stable')
    })
    const worker = await scenario.startWorker()
    await notReady(worker, /not in the consumer group: .*incompatible.*; set another KAFKA_CONSUMER_GROUP_ID/)
    await isNamedUntilItStops(java, worker, scenario)
  })

  test('a consumer of another program, of the newer protocol, which takes its partitions', async (context) => {
    const scenario = await openWorkerScenario(context)
    const worker = await scenario.startWorker()
    await worker.ready(60_000)
    const java = javaProgram(scenario, context, 'consumer')
    await isNamedUntilItStops(java, worker, scenario)
  })
})

test('workers with different client ids, and one of an earlier release, accuse each other of nothing', async (context) => {
  const scenario = await openWorkerScenario(context, { partitions: 4 })
  // An earlier worker uses KafkaJS's own assigner, and its progress advances.
  const consumer = scenario.kafka.consumer({ groupId: scenario.group, heartbeatInterval: 500 })
  context.onTestFinished(() => consumer.disconnect())
  await consumer.connect()
  await consumer.subscribe({ topics: [scenario.topic], fromBeginning: true })
  await consumer.run({ eachMessage: async () => undefined })
  const workers = [
    await scenario.startWorker({ KAFKA_CLIENT_ID: 'one' }),
    await scenario.startWorker({ KAFKA_CLIENT_ID: 'two' }),
  ]
  await eventually(
    async () => {
      const [group] = (await scenario.admin.describeGroups([scenario.group])).groups
      expect(group).toMatchObject({ state: 'Stable', members: { length: 3 } })
      for (const worker of workers) {
        await worker.ready(60_000)
        expect((await worker.metric('foreign_group_members'))[0]?.value).toBe(0)
        expect((await worker.metric('unread_partitions')).every(({ value }) => value === 0)).toBe(true)
      }
    },
    { timeoutMs: 60_000 },
  )
  for (const worker of workers) expect(sharedLines(worker)).toEqual([])
})
