import { expect, test } from 'vitest'
import { invalid, tombstone, update } from '../support/records/tagged-records.ts'
import { openWorkerScenario, type WorkerScenario } from '../support/processes/worker-scenario.ts'

// Tests the oracle that all other tests of this folder rely on: every kind of error is caused once.

type Damage = { what: string; report: RegExp; cause: (scenario: WorkerScenario) => Promise<unknown> }

const damages: Damage[] = [
  {
    what: 'a field is wrong',
    report: /^one datatype_name: "pressure", not "humidity"$/,
    cause: ({ redis }) => redis.hset('device:one:metadata', 'datatype_name', 'pressure'),
  },
  {
    what: 'a field is missing',
    report: /^one persist: undefined, not "true"$/,
    cause: ({ redis }) => redis.hdel('device:one:metadata', 'persist'),
  },
  {
    what: 'a hash has an extra field',
    report: /^one colour: "red", not undefined$/,
    cause: ({ redis }) => redis.hset('device:one:metadata', 'colour', 'red'),
  },
  {
    what: 'a hash never expires',
    report: /^one never expires$/,
    cause: ({ redis }) => redis.persist('device:one:metadata'),
  },
  {
    what: 'a hash expires too early',
    report: /^one expires -\d+ ms later/,
    cause: ({ redis }) => redis.expire('device:one:metadata', 1000),
  },
  {
    what: 'a hash is missing',
    report: /^one has no metadata, not/,
    cause: ({ redis }) => redis.del('device:one:metadata'),
  },
  {
    what: 'an id is missing from the index',
    report: /^one is not in the index$/,
    cause: ({ redis }) => redis.srem('devices', 'one'),
  },
  {
    what: 'a deleted id is in the index',
    report: /^gone is in the index, but has no metadata$/,
    cause: ({ redis }) => redis.sadd('devices', 'gone'),
  },
  {
    what: 'a deleted device has a hash',
    report: /^the key device:gone:metadata should not exist$/,
    cause: ({ redis }) => redis.hset('device:gone:metadata', 'persist', 'true'),
  },
  {
    what: 'the commit is behind',
    report: /^partition 0: 5 is committed of 6$/,
    cause: (scenario) => scenario.send([update({ deviceId: 'one', timestampMs: 1 })]),
  },
  {
    what: 'a dead letter is missing',
    report: /^the not_json record at 0:6 has no dead letter$/,
    cause: (scenario) => scenario.send([invalid('not_json', '{')]),
  },
  {
    what: 'a valid record has a dead letter, which also lacks all of its headers',
    report: /^a dead letter \(not_json\) for 0:0, which is not an invalid record$/,
    cause: async ({ kafka, errorTopic }) => {
      const producer = kafka.producer()
      await producer.connect()
      const headers = { source_partition: '0', source_offset: '0', reason: 'not_json' }
      await producer.send({ topic: errorTopic, messages: [{ value: '{}', headers }] })
      await producer.disconnect()
    },
  },
  {
    what: 'a dead letter has a wrong header',
    report: /^the dead letter of the bad_metadata record at 0:4: reason is "not_json", not "bad_metadata"$/,
    cause: async ({ kafka, errorTopic }) => {
      const producer = kafka.producer()
      await producer.connect()
      const headers = { source_partition: '0', source_offset: '4', reason: 'not_json' }
      await producer.send({ topic: errorTopic, messages: [{ value: '{}', headers }] })
      await producer.disconnect()
    },
  },
]

test('the oracle reports nothing for a correct cache, and every kind of error', async (context) => {
  const scenario = await openWorkerScenario(context, { partitions: 1 })
  const worker = await scenario.startWorker()
  const now = Date.now()
  await scenario.send([
    update({ deviceId: 'one', timestampMs: now - 10 }),
    update({ deviceId: 'one', timestampMs: now - 5, metadata: { datatype_name: 'humidity' } }),
    update({ deviceId: 'gone', timestampMs: now }),
    tombstone('gone', now),
    invalid('bad_metadata', JSON.stringify({ device_id: 'one', metadata: 'humidity' })),
  ])
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })
  expect(await scenario.oracle.differences({ consumed: () => 4 })).toEqual([
    '4 records were consumed, 5 produced',
  ])
  expect(await scenario.oracle.differences({ consumed: () => 6, redelivered: true })).toEqual([])
  expect(await worker.stop()).toBe(0)
  let before: string[] = []
  for (const { what, report, cause } of damages) {
    await cause(scenario)
    const after = await scenario.oracle.differences()
    const news = after.filter((difference) => !before.includes(difference))
    expect(news, what).toContainEqual(expect.stringMatching(report))
    before = after
  }
})

test('below the committed offsets the oracle reports a device that is outdated, made up or missing', async (context) => {
  const scenario = await openWorkerScenario(context, { partitions: 1 })
  const differences = () => scenario.oracle.differencesBelowCommit()
  const now = Date.now()
  await scenario.send([
    update({ deviceId: 'one', timestampMs: now - 5, metadata: { datatype_name: 'older' } }),
  ])
  expect(await differences()).toEqual([])
  const worker = await scenario.startWorker()
  await scenario.oracle.caughtUp()
  expect(await worker.stop()).toBe(0)
  expect(await differences()).toEqual([])
  await scenario.send([update({ deviceId: 'one', timestampMs: now, metadata: { datatype_name: 'newer' } })])
  expect(await differences()).toEqual([])
  await scenario.redis.hset('device:one:metadata', 'datatype_name', 'made up')
  expect(await differences()).toEqual([
    expect.stringMatching(/^one holds .*made up.*, less than the committed/),
    expect.stringMatching(/^one holds .*made up.*, which none of its records contains$/),
  ])
  await scenario.redis.del('device:one:metadata')
  expect(await differences()).toEqual([expect.stringMatching(/^one has no metadata, though its records are/)])
})
