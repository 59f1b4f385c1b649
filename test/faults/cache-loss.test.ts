import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createSeededRandom } from '../simulator/seeded-random.ts'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { assertNone } from '../support/oracle/oracle.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { valueOf } from '../support/processes/worker-facts.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'
import { requestRebuild } from '../../cache-service/redis/workers/group-progress.ts'
import { progressKey } from '../../shared/contract/keys.ts'

const FLEET = { devices: 300, awkwardPercent: 8, tombstonePercent: 2 }
const SMALL_STEPS = { CHUNK_MAX_RECORDS: '100', KAFKA_FETCH_MAX_BYTES_PER_PARTITION: '40000' }

async function reportsRebuild(worker: WorkerProcess): Promise<void> {
  await patiently(
    async () => {
      const { status, body } = await worker.get('/readyz')
      expect(body).toContain('rebuilding')
      expect(status).toBe(503)
      expect(await valueOf(worker, 'rebuild_in_progress')).toBe(1)
    },
    { everyMs: 10, describe: 'the worker reports a rebuild' },
  )
  expect(await worker.get('/livez')).toMatchObject({ status: 200 })
}

describe.concurrent('a worker rereads data that Redis lost', () => {
  test('when everything is flushed repeatedly under load', async (context) => {
    const report = reportFault(context, 'R15')
    const scenario = await openWorkerScenario(context, { ownRedis: {}, env: SMALL_STEPS })
    const { oracle } = scenario
    const load = scenario.startLoad({ ...FLEET, seed: 1, perSecond: 1_000 })
    const worker = await scenario.startWorker()
    await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(1_000))
    const random = createSeededRandom(7)
    for (let flushes = 0; flushes < 4; flushes++) {
      await scenario.redis.flushall()
      await sleep(random.below(1_500))
    }
    const recovered = report.startRecovery()
    await load.stop()
    await oracle.caughtUp()
    await oracle.assertHeals({ consumed: scenario.consumed, redelivered: true })
    await worker.ready()
    recovered()
    report.saw(`4 times under load; ${(await worker.consumed()) - oracle.produced} records read again`)
    expect(await valueOf(worker, 'cache_loss_total')).toBeGreaterThanOrEqual(scenario.partitions)
    expect(await valueOf(worker, 'rebuild_in_progress')).toBe(0)
    expect(await worker.stop()).toBe(0)
  })

  test('when everything is flushed while the topic is idle, exactly once for each partition', async (context) => {
    const report = reportFault(context, 'R15')
    const scenario = await openWorkerScenario(context, { ownRedis: {}, env: SMALL_STEPS })
    const { oracle } = scenario
    await scenario.sendFleet(9_000, { ...FLEET, seed: 2 })
    const worker = await scenario.startWorker()
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    await worker.ready()
    expect(await valueOf(worker, 'cache_loss_total')).toBe(0)
    await scenario.redis.flushall()
    const recovered = report.startRecovery()
    await reportsRebuild(worker)
    report.saw('while idle: 503 with `rebuilding`, every record read again once')
    await worker.ready()
    recovered()
    await oracle.assertCaughtUp({ consumed: async () => (await scenario.consumed()) / 2 })
    expect(await valueOf(worker, 'cache_loss_total')).toBe(scenario.partitions)
    expect(await valueOf(worker, 'rebuild_in_progress')).toBe(0)
    expect(worker.output).toContain('Redis lost data that Kafka still has')
    expect(await worker.stop()).toBe(0)
  })

  test('before it becomes ready, if Redis is empty or was flushed while no worker was running', async (context) => {
    const scenario = await openWorkerScenario(context, { ownRedis: {}, env: SMALL_STEPS })
    const { oracle, redis } = scenario
    await scenario.sendFleet(6_000, { ...FLEET, seed: 3 })
    for (let life = 0; life < 2; life++) {
      const worker = await scenario.startWorker()
      await patiently(async () => expect(await worker.get('/readyz')).toMatchObject({ status: 200 }), {
        everyMs: 5,
      })
      assertNone(await oracle.cacheDifferences())
      await oracle.assertCaughtUp({ consumed: scenario.consumed })
      expect(await worker.stop()).toBe(0)
      await redis.flushall()
    }
  })

  test('and becomes ready even if the end of an earlier rebuild was not recorded', async (context) => {
    const scenario = await openWorkerScenario(context, { partitions: 1 })
    const { oracle, redis, group, topic } = scenario
    await scenario.sendFleet(1_000, { ...FLEET, seed: 8 })
    const first = await scenario.startWorker()
    await oracle.caughtUp()
    expect(await first.stop()).toBe(0)
    // As if it had been killed between the last chunk and the end of the rebuild.
    await redis.hset(progressKey(group, topic), '0:until', '1000')
    const second = await scenario.startWorker()
    await second.ready()
    expect(await second.consumed()).toBe(0)
    expect(await second.stop()).toBe(0)
  })

  test('to its end if everything is flushed during each rebuild, and the worker is killed with it', async (context) => {
    const scenario = await openWorkerScenario(context, {
      partitions: 1,
      ownRedis: {},
      env: { CHUNK_MAX_RECORDS: '20', KAFKA_FETCH_MAX_BYTES_PER_PARTITION: '20000' },
    })
    const { oracle, redis } = scenario
    await scenario.sendFleet(9_000, { ...FLEET, seed: 9 })
    let worker = await scenario.startWorker()
    await oracle.caughtUp()
    await redis.flushall()
    for (let losses = 0; losses < 2; losses++) {
      const before = losses === 0 ? 9_000 : 0
      await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(before + 500), {
        everyMs: 5,
      })
      worker.kill('SIGKILL')
      await worker.exit
      await redis.flushall()
      worker = await scenario.startWorker()
    }
    // Not even for a moment before everything is there.
    await patiently(async () => expect(await worker.get('/readyz')).toMatchObject({ status: 200 }), {
      everyMs: 5,
    })
    assertNone(await oracle.cacheDifferences())
    expect(await worker.stop()).toBe(0)
  })

  test('from the position of an older snapshot when Redis restarts with it', async (context) => {
    const report = reportFault(context, 'R2')
    const scenario = await openWorkerScenario(context, { ownRedis: {}, env: SMALL_STEPS })
    const { oracle, redisServer } = scenario
    await scenario.sendFleet(4_000, { ...FLEET, seed: 4 })
    const worker = await scenario.startWorker()
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    await scenario.redis.save()
    await scenario.sendFleet(5_000, { ...FLEET, seed: 5 })
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    await redisServer.kill('SIGKILL')
    await redisServer.start()
    const recovered = report.startRecovery()
    await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(oracle.produced))
    await worker.ready()
    recovered()
    report.saw('older snapshot: exactly the 5,000 records after it read again')
    await oracle.assertCaughtUp({ consumed: async () => (await scenario.consumed()) - 5_000 })
    expect(await valueOf(worker, 'cache_loss_total')).toBe(scenario.partitions)
    expect(await worker.stop()).toBe(0)
  })

  test('when cache-cli requests a rebuild, which does not count as a loss', async (context) => {
    const scenario = await openWorkerScenario(context, { env: SMALL_STEPS })
    const { oracle, redis, group, topic } = scenario
    await scenario.sendFleet(9_000, { ...FLEET, seed: 10 })
    const worker = await scenario.startWorker()
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    await worker.ready()
    await requestRebuild(redis, group, topic, [0, 1, 2])
    await reportsRebuild(worker)
    await worker.ready()
    await oracle.assertCaughtUp({ consumed: async () => (await scenario.consumed()) / 2 })
    expect(await valueOf(worker, 'cache_loss_total')).toBe(0)
    expect(worker.output).toContain('a rebuild was requested')
    expect(worker.output).not.toContain('Redis lost data')
    await redis.del(progressKey(group, topic))
    await patiently(async () => {
      expect(await valueOf(worker, 'cache_loss_total')).toBe(scenario.partitions)
    })
    expect(await worker.stop()).toBe(0)
  })

  test('when the progress is deleted by hand', async (context) => {
    const scenario = await openWorkerScenario(context, { env: SMALL_STEPS })
    const { oracle, redis, group, topic } = scenario
    await scenario.sendFleet(9_000, { ...FLEET, seed: 6 })
    const worker = await scenario.startWorker()
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    const victim = oracle.records.find(({ expectation }) => expectation.outcome === 'update')
    const key = `device:${victim?.key?.toString()}:metadata`
    await redis.hset(
      key,
      'datatype_name',
      'corrupted by the test',
      'last_updated',
      '2001-01-01T00:00:00.000000+00:00',
    )
    await redis.del(progressKey(group, topic))
    await reportsRebuild(worker)
    await worker.ready()
    await oracle.assertCaughtUp({ consumed: async () => (await scenario.consumed()) / 2 })
    expect(await worker.stop()).toBe(0)
  })
})
