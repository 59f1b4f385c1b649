import { expect, inject, test } from 'vitest'
import { patiently } from '../../../support/eventually.ts'
import { runCliHere, startCliHere } from '../../../support/processes/run-cli-here.ts'
import { startApi } from '../../../support/processes/start-api.ts'
import { update } from '../../../support/records/tagged-records.ts'
import { uniqueName } from '../../../support/test-scope.ts'
import { lagReport, partitionLag } from '../../../support/records/lag-report.ts'
import { workerReport } from '../../../support/records/worker-report.ts'
import { openWorkerScenario, type WorkerScenario } from '../../../support/processes/worker-scenario.ts'
import { lastingLagReporter, lastingWorkerReporter } from '../../../support/records/lasting-reporter.ts'

const send = ({ send: sendRecords }: WorkerScenario, ids: readonly string[]) =>
  sendRecords(ids.map((deviceId) => update({ deviceId })))

test('lag and info follow a worker from before its start until it has caught up', async (context) => {
  const scenario = await openWorkerScenario(context, { partitions: 1 })
  const { env } = scenario
  const lag = async (...args: string[]) => {
    const { code, errors, output } = await runCliHere(['lag', '-f', 'json', ...args], env)
    expect(code, errors).toBe(0)
    const rows: unknown = JSON.parse(output)
    return rows
  }
  await send(scenario, ['a', 'b', 'c'])
  expect(await lag()).toEqual([
    { partition: 0, committed: null, end: 3, lag: 3, seconds: null, worker: null },
  ])
  const watch = startCliHere(['lag', '--watch', '--interval', '1', '-f', 'json'], env)
  await patiently(() => expect(watch.output).toContain('"lag":3'))

  const worker = await scenario.startWorker()
  await patiently(async () => {
    expect(await lag()).toEqual([
      { partition: 0, committed: 3, end: 3, lag: 0, seconds: 0, worker: expect.any(String) },
    ])
  })
  const table = await runCliHere(['lag'], env)
  expect(table.output).toMatch(
    /^partition +committed +end +lag +seconds +worker\n +0 +3 +3 +0 +0\.0 {2}\S+\n$/,
  )
  expect(table.errors).toBe('0 records behind\n')
  await patiently(async () => {
    const info: unknown = JSON.parse((await runCliHere(['info', '-f', 'json'], env)).output)
    expect(info).toMatchObject({
      ...{ devices: 3, consumer_state: 'consuming', ready_workers: 1, lag_records: 0, lag_seconds: 0 },
      workers: [{ ready: true, totals: { applied: 3 } }],
    })
  })

  await patiently(() => expect(watch.output).toMatch(/"lag":0,.*\n$/))
  for (const line of watch.output.trimEnd().split('\n')) {
    expect(JSON.parse(line)).toEqual({
      at: expect.stringMatching(/Z$/),
      lag: expect.any(Number),
      partitions: [expect.objectContaining({ partition: 0, end: 3 })],
    })
  }
  watch.interrupt()
  expect(await watch.ended).toMatchObject({ code: 130, errors: '' })
  expect(await worker.stop()).toBe(0)
})

test('lag shows the age that the worker reports, also with --api', async (context) => {
  const scenario = await openWorkerScenario(context, { partitions: 2 })
  await send(scenario, ['a', 'b', 'c', 'd'])
  const reporter = lastingWorkerReporter(scenario.redis, 'w')
  const lag = [
    { partition: 0, records: 2, seconds: 12.5 },
    // Reported before the latest records arrived.
    { partition: 1, records: 0, seconds: 0 },
  ]
  const { group, topic } = scenario
  await reporter.write(workerReport({ id: 'w', group, topic, lag, lag_records: 2 }))
  const direct = await runCliHere(['lag', '-f', 'json'], scenario.env)
  const rows: { lag: number; seconds: number | null; worker: string }[] = JSON.parse(direct.output)
  expect(rows.map(({ lag: records }) => records).reduce((a, b) => a + b)).toBe(4)
  expect(rows.map(({ seconds, worker }) => ({ seconds, worker }))).toEqual([
    { seconds: rows[0]?.lag === 0 ? 0 : 12.5, worker: 'w' },
    { seconds: rows[1]?.lag === 0 ? 0 : null, worker: 'w' },
  ])
  const { REDIS_URL: redisUrl = '' } = scenario.env
  const api = await startApi({ REDIS_URL: redisUrl })
  context.onTestFinished(() => api.stop())
  const reported = await runCliHere(['lag', '-f', 'csv', '--api', api.url])
  expect(reported.output).toBe(
    `partition,committed,end,lag,seconds,worker,topic,group\n0,,,2,12.5,w,${topic},${group}\n1,,,0,0.0,w,${topic},${group}\n`,
  )
})

test('lag takes ages and workers only from workers of its topic and group', async (context) => {
  const scenario = await openWorkerScenario(context, { partitions: 1 })
  const { env, group, redis, topic } = scenario
  await send(scenario, ['a'])
  const lag = [{ partition: 0, records: 9, seconds: 99 }]
  for (const [id, other] of [
    ['a', { group, topic: 'other' }],
    ['b', { group: 'other', topic }],
    ['c', {}], // of an older release
  ] as const)
    await lastingWorkerReporter(redis, id).write(workerReport({ id, lag, ...other }))
  const read = async () => JSON.parse((await runCliHere(['lag', '-f', 'json'], env)).output)
  expect(await read()).toMatchObject([{ partition: 0, seconds: null, worker: null }])
  const own = workerReport({ id: 'd', lag: [{ partition: 0, records: 1, seconds: 5 }], group, topic })
  await lastingWorkerReporter(redis, 'd').write(own)
  expect(await read()).toMatchObject([{ partition: 0, seconds: 5, worker: 'd' }])
})

test('lag --watch clears the terminal before each table', async (context) => {
  const { env } = await openWorkerScenario(context, { partitions: 1 })
  const watch = startCliHere(['lag', '--watch', '--interval', '1'], env, { isTerminal: true })
  await patiently(() => expect(watch.output.split('\u001b[H\u001b[2J')).toHaveLength(3))
  expect(watch.output).toContain('0 records behind')
  watch.interrupt()
  expect(await watch.ended).toMatchObject({ code: 130 })
})

test('lag --api exits with 3 and says why if no worker reports, or if none knows the lag', async (context) => {
  const { env, group, redis, topic } = await openWorkerScenario(context, { partitions: 1 })
  const api = await startApi({ REDIS_URL: env['REDIS_URL'] ?? '' })
  context.onTestFinished(() => api.stop())
  for (const format of ['table', 'json']) {
    expect(await runCliHere(['lag', '--api', api.url, '-f', format])).toEqual({
      code: 3,
      output: '',
      errors:
        'cache-cli: the lag is not known, because no worker reports to the Redis of this API: check that the workers are running and use this Redis\n',
    })
  }
  expect(await runCliHere(['lag', '--watch', '--api', api.url])).toMatchObject({ code: 3, output: '' })

  const reporter = lastingWorkerReporter(redis, 'w')
  await reporter.write(workerReport({ id: 'w', group, topic, state: 'joining', lag: null }))
  const unknown = await runCliHere(['lag', '--api', api.url])
  expect(unknown).toMatchObject({
    code: 3,
    errors: expect.stringContaining('no worker has measured it yet (joining)'),
  })

  await reporter.write(
    workerReport({ id: 'w', group, topic, lag: [{ partition: 0, records: 0, seconds: 0 }] }),
  )
  expect(await runCliHere(['lag', '--api', api.url])).toMatchObject({ code: 0, errors: '0 records behind\n' })
})

test('lag works without Redis, but shows no ages and workers', async (context) => {
  const { env } = await openWorkerScenario(context, { partitions: 1 })
  const { code, errors, output } = await runCliHere(['lag', '-f', 'csv'], {
    ...env,
    REDIS_URL: 'redis://127.0.0.1:1',
  })
  expect({ code, output }).toEqual({ code: 0, output: expect.stringMatching(/\n0,,0,0,0\.0,\n$/) })
  expect(errors).toMatch(/^ages and workers are not shown: Redis at 127\.0\.0\.1:1 can't be reached/)
})

test('lag exits with 3 if the topic does not exist, and with 4 if Kafka does not answer', async () => {
  const topic = uniqueName('nope')
  const env = { REDIS_URL: inject('redisUrl'), KAFKA_VALIDATED_DATA_TOPIC: topic }
  const missing = await runCliHere(['lag'], {
    ...env,
    KAFKA_BOOTSTRAP_SERVERS: inject('kafkaBrokers').join(','),
  })
  expect(missing).toMatchObject({ code: 3, output: '' })
  expect(missing.errors).toContain(
    `has no such topic (the topic ${topic} does not exist): check KAFKA_VALIDATED_DATA_TOPIC`,
  )
  const away = await runCliHere(['lag'], { ...env, KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1' })
  expect(away).toMatchObject({ code: 4, output: '' })
  expect(away.errors).toMatch(
    /^cache-cli: Kafka at 127\.0\.0\.1:1 can't be reached .*KAFKA_BOOTSTRAP_SERVERS/,
  )
})

test('lag --all shows what a lag monitor reports, from Redis and through an API, and names what is not known', async (context) => {
  const { env, redis } = await openWorkerScenario(context, { topic: false, errorTopic: false })
  const api = await startApi({ REDIS_URL: env['REDIS_URL'] ?? '' })
  context.onTestFinished(() => api.stop())
  const none = await runCliHere(['lag', '--all'], env)
  expect(none).toMatchObject({ code: 3, errors: expect.stringContaining('cache-service lag-monitor') })

  const reporter = lastingLagReporter(redis)
  const leaderless = { records: null, seconds: null, seconds_until_deleted: null, owner: null }
  const partitions = [
    partitionLag({ state: 'standing' }),
    partitionLag({ partition: 1, state: 'no_leader', ...leaderless }),
  ]
  const deleted = { topic: 'old', problem: 'the topic old does not exist', partitions: [] }
  await reporter.write(
    lagReport({ group: 'a', topics: [{ topic: 't', problem: null, partitions }, deleted] }),
  )
  await reporter.write(lagReport({ group: 'b', problem: 'not authorized', topics: [] }))
  for (const source of [[], ['--api', api.url]]) {
    const { code, errors, output } = await runCliHere(['lag', '--all', '-f', 'json', ...source], env)
    expect(code).toBe(0)
    expect(JSON.parse(output)).toMatchObject([
      {
        ...{ group: 'a', topic: 't', partition: 0, state: 'standing', lag: 3, seconds: 1.5 },
        ...{ owner: 'worker-1 at 10.0.0.7', deleted_unread: 0, seconds_until_deleted: 3_600 },
      },
      { group: 'a', topic: 't', partition: 1, state: 'no_leader', lag: null },
    ])
    expect(errors).toBe(
      'the lag of a on old is not known: the topic old does not exist\n' +
        'the lag of b is not known: not authorized\n' +
        'partition 1 of t, group a, has no leader: its lag is not known\n' +
        '3 records behind\n',
    )
  }
  const watch = startCliHere(['lag', '--all', '--watch', '-f', 'jsonl'], env)
  await patiently(() => expect(watch.output).toContain('"state":"standing"'))
  watch.interrupt()
  expect((await watch.ended).code).toBe(130)
})
