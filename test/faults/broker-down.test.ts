import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kafkajs } from '../../cache-service/kafka/kafkajs.ts'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { runCliHere, startCliHere } from '../support/processes/run-cli-here.ts'
import { openWorkerScenario, type ScenarioContext } from '../support/processes/worker-scenario.ts'
import { invalid, update } from '../support/records/tagged-records.ts'
import { reserveOwnKafkaCluster, type OwnKafka } from '../support/servers/servers.ts'
import { uniqueName } from '../support/test-scope.ts'

let first: OwnKafka
let second: OwnKafka

beforeAll(async () => {
  const cluster = await reserveOwnKafkaCluster(2, { controllers: 1 })
  const [one, two] = cluster
  if (one === undefined || two === undefined) throw new Error('a cluster of two has two brokers')
  first = one
  second = two
  await Promise.all([first.start(), second.start()])
})
afterAll(async () => {
  await Promise.all([first.stop(), second.stop()])
})

async function openScenario(context: ScenarioContext) {
  return await openWorkerScenario(context, {
    kafka: first,
    topic: false,
    errorTopic: false,
    // Two of the three addresses are dead while the second broker is down.
    env: {
      KAFKA_BOOTSTRAP_SERVERS: ['127.0.0.1:1', ...second.brokers, ...first.brokers].join(','),
    },
  })
}

/** A topic, and the broker of each of its partitions. */
function placed(topic: string, brokers: readonly number[]) {
  return {
    topic,
    replicaAssignment: brokers.map((broker, partition) => ({ partition, replicas: [broker] })),
  }
}

describe('while a broker is down', () => {
  test('that holds only an unrelated topic, the worker restarts, and the commands work', async (context) => {
    const scenario = await openScenario(context)
    const { admin, env } = scenario
    const unrelated = uniqueName('unrelated')
    // The second broker may have registered only now.
    await patiently(() =>
      admin.createTopics({
        topics: [placed(scenario.topic, [1]), placed(scenario.errorTopic, [1]), placed(unrelated, [2])],
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
    expect(await after.stop()).toBe(0)
    await second.start()
  }, 180_000)

  test('that holds a partition of the topic, the other partitions are read, and that one is named', async (context) => {
    const scenario = await openScenario(context)
    const { admin, env, redis } = scenario
    await patiently(() =>
      admin.createTopics({
        topics: [placed(scenario.topic, [1, 2]), placed(scenario.errorTopic, [1])],
      }),
    )
    const send = async (partition: number, deviceId: string) =>
      await patiently(() => scenario.send([{ ...update({ deviceId }), partition }]))
    const devices = async () => (await redis.smembers('devices')).toSorted()
    await send(0, 'a0')
    await send(1, 'a1')
    const worker = await scenario.startWorker()
    await worker.ready()
    await patiently(async () => expect(await devices()).toEqual(['a0', 'a1']))
    const watches = ['jsonl', 'table'].map((format) =>
      startCliHere(['lag', '--watch', '--interval', '1', '-f', format], env, {
        isTerminal: format === 'table',
      }),
    )
    const [lines, screen] = watches
    await patiently(() => expect(lines?.output).toContain('"lag":0'))
    await second.kill('SIGKILL')
    await patiently(async () => {
      await expect(admin.fetchTopicMetadata({ topics: [scenario.topic] })).rejects.toThrow(/no leader/)
    })
    await send(0, 'b0')
    await patiently(async () => expect(await devices()).toEqual(['a0', 'a1', 'b0']))
    await patiently(async () =>
      expect((await worker.get('/readyz')).body).toContain('partition 1 has no leader'),
    )
    const { code, errors, output } = await runCliHere(['lag', '-f', 'json'], env)
    expect({ code, rows: JSON.parse(output) }).toMatchObject({
      code: 0,
      rows: [{ partition: 0, lag: 0 }, UNKNOWN],
    })
    expect(errors).toContain('partition 1 has no leader')
    const unknownSamples = () =>
      (lines?.output ?? '').split('\n').filter((line) => /"partition":1,.*"lag":null/.test(line))
    await patiently(() => expect(unknownSamples().length).toBeGreaterThan(2))
    expect(lines?.errors.match(/partition 1 has no leader/g)).toHaveLength(1)
    // Each table replaces the one before, so each names the partition.
    await patiently(() =>
      expect(screen?.output.match(/partition 1 has no leader/g)?.length).toBeGreaterThan(2),
    )
    expect(screen?.errors).not.toContain('leader')
    expect(await worker.stop()).toBe(0)

    // A worker that starts meanwhile, without a committed offset for the partition.
    const other = await scenario.startWorker({ KAFKA_CONSUMER_GROUP_ID: uniqueName('other') })
    await send(0, 'c0')
    await patiently(async () => expect(await devices()).toContain('c0'))
    await second.start()
    await send(1, 'c1')
    await patiently(async () => expect(await devices()).toEqual(['a0', 'a1', 'b0', 'c0', 'c1']))
    await other.ready(60_000)
    expect(await other.stop()).toBe(0)
    await patiently(() => expect(lines?.errors).toContain('partition 1 has a leader again\n'))
    expect(lines?.errors.match(/leader/g)).toHaveLength(2)
    for (const watch of watches) {
      watch.interrupt()
      expect(await watch.ended).toMatchObject({ code: 130 })
    }
  }, 180_000)

  test('that holds the error topic, a partition with an invalid record holds, the others go on, and no record is skipped', async (context) => {
    const report = reportFault(context, 'D1')
    const scenario = await openScenario(context)
    const { admin, group, oracle, redis, topic } = scenario
    await patiently(() =>
      admin.createTopics({
        topics: [placed(topic, [1, 1]), placed(scenario.errorTopic, [2])],
      }),
    )
    const send = async (partition: number, ...records: readonly ReturnType<typeof update>[]) =>
      await patiently(() => scenario.send(records.map((record) => ({ ...record, partition }))))
    const worker = await scenario.startWorker()
    await send(0, update({ deviceId: 'a0' }), invalid('not_json', '{'))
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    await second.kill('SIGKILL')
    await send(0, update({ deviceId: 'b0' }), invalid('not_json', '}'), update({ deviceId: 'c0' }))
    await patiently(async () =>
      expect((await worker.get('/readyz')).body).toMatch(/holding: kafka .*\(partition 0\)/),
    )
    for (let i = 0; i < 20; i++) await send(1, update({ deviceId: `other-${i}` }))
    await patiently(async () => expect(await redis.sismember('devices', 'other-19')).toBe(1))
    // The original KafkaJS asks for the metadata of all topics, and fails while the error topic has no leader.
    const other = new kafkajs.Kafka({ brokers: [...first.brokers] }).admin()
    context.onTestFinished(() => other.disconnect())
    const [committed] = await patiently(() => other.fetchOffsets({ groupId: group, topics: [topic] }))
    expect(committed?.partitions).toContainEqual(expect.objectContaining({ partition: 0, offset: '2' }))
    expect(await worker.get('/livez')).toMatchObject({ status: 200 })
    report.saw('its broker killed: 503 `holding: kafka` for that partition; the other partition is read')
    await second.start()
    const recovered = report.startRecovery()
    await worker.ready(120_000)
    recovered()
    await oracle.assertHeals({ consumed: scenario.consumed, redelivered: true })
    expect(await worker.stop()).toBe(0)
  }, 240_000)
})

const UNKNOWN = { partition: 1, committed: null, end: null, lag: null, seconds: null }
