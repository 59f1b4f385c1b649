import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { assertNone } from '../support/oracle/oracle.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { valueOf } from '../support/processes/worker-facts.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'

const DURABLE = { args: ['--appendonly', 'yes'] }
const LOAD = { devices: 200, perSecond: 400, awkwardPercent: 5, tombstonePercent: 1 }

async function consumerStates(worker: WorkerProcess): Promise<string[]> {
  const states = await worker.metric('consumer_state')
  return states.filter(({ value }) => value === 1).map(({ labels }) => labels['state'] ?? '')
}

describe.concurrent('a worker holds, reports it, and recovers', () => {
  test('when Redis is killed and restarted after 20 s', async (context) => {
    const report = reportFault(context, 'R2')
    const scenario = await openWorkerScenario(context, { ownRedis: DURABLE })
    const { oracle, redisServer } = scenario
    const load = scenario.startLoad({ ...LOAD, seed: 1 })
    const worker = await scenario.startWorker()
    await worker.ready()
    await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(500))

    await redisServer.kill('SIGKILL')
    await patiently(async () => {
      const { status, body } = await worker.get('/readyz')
      expect(status).toBe(503)
      expect(body).toMatch(/holding: redis CONNECTION/)
    })
    // The last commit of what was durable may follow within its interval.
    let atOutage = await oracle.committed()
    await patiently(async () => {
      const before = atOutage
      await sleep(1_000)
      atOutage = await oracle.committed()
      expect(atOutage).toEqual(before)
    })
    const outageEndsAt = performance.now() + 20_000
    const statesSeen = new Set<string>()
    // Partitions are paused at the first attempt that fails after 8 s; by then attempts may be 25 s apart.
    while (performance.now() < outageEndsAt || !statesSeen.has('paused')) {
      for (const state of await consumerStates(worker)) statesSeen.add(state)
      expect(await worker.get('/livez')).toMatchObject({ status: 200 })
      expect(await worker.get('/readyz')).toMatchObject({ status: 503 })
      expect(await valueOf(worker, 'redis_up')).toBe(0)
      expect(await oracle.committed()).toEqual(atOutage)
      await sleep(500)
    }
    expect([...statesSeen].toSorted()).toEqual(['holding', 'paused'])
    expect((await worker.get('/readyz')).body).toMatch(/Redis at 127.0.0.1:\d+ has not accepted a write/)
    expect(worker.logLines().filter(({ level }) => level === 'warn').length).toBeLessThan(60)

    // The worker is frozen for a moment, to compare the committed state with what Redis kept.
    report.saw('503 with `holding: redis CONNECTION`, then paused partitions; nothing committed for 20 s')
    worker.kill('SIGSTOP')
    await redisServer.start()
    await patiently(() => scenario.redis.ping())
    assertNone(await oracle.differencesBelowCommit())
    worker.kill('SIGCONT')
    const recovered = report.startRecovery()

    await worker.ready(60_000)
    recovered()
    await load.stop()
    await oracle.assertCaughtUp({ consumed: scenario.consumed, redelivered: true })
    expect(await valueOf(worker, 'redis_up')).toBe(1)
    expect(await consumerStates(worker)).toEqual(['consuming'])
    expect(await valueOf(worker, 'cache_loss_total')).toBe(0)
    expect(await worker.stop()).toBe(0)
  })

  test('when Redis hangs for 8 s', async (context) => {
    const report = reportFault(context, 'R10')
    const scenario = await openWorkerScenario(context, { ownRedis: {} })
    const { oracle, redisServer } = scenario
    const load = scenario.startLoad({ ...LOAD, seed: 2 })
    const worker = await scenario.startWorker()
    await worker.ready()
    await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(500))

    await redisServer.kill('SIGSTOP')
    const hungAt = performance.now()
    await patiently(async () => expect((await worker.get('/readyz')).body).toMatch(/holding: redis/))
    const atHang = await oracle.committed()
    expect(await consumerStates(worker)).toEqual(['holding'])
    while (performance.now() < hungAt + 8_000) {
      expect(await worker.get('/livez')).toMatchObject({ status: 200 })
      expect(await worker.get('/readyz')).toMatchObject({ status: 503 })
      expect(await oracle.committed()).toEqual(atHang)
      await sleep(250)
    }
    report.saw('503 with `holding: redis`, alive, nothing committed for 8 s')
    await redisServer.kill('SIGCONT')
    const recovered = report.startRecovery()
    await worker.ready(60_000)
    recovered()
    await load.stop()
    await oracle.assertCaughtUp({ consumed: scenario.consumed, redelivered: true })
    expect(await valueOf(worker, 'cache_loss_total')).toBe(0)
    expect(await worker.stop()).toBe(0)
  })
})
