import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { becomesReady, startRoleProcess } from '../support/processes/role-process.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'
import { startOwnPrometheus } from '../support/servers/own-prometheus.ts'

test('Prometheus fires an alert while Redis does not answer a worker, and clears it afterwards', async (context) => {
  const scenario = await openWorkerScenario(context, { ownRedis: {}, env: { REDIS_TIMEOUT_S: '1' } })
  const worker = await scenario.startWorker()
  await scenario.send([update({ deviceId: 'd1' })])
  await worker.ready()
  const prometheus = await startOwnPrometheus([new URL(worker.url).host])
  context.onTestFinished(() => prometheus.stop())
  await scenario.redisServer.kill('SIGSTOP')
  await patiently(async () => {
    expect(await prometheus.firingAlerts()).toContain('CacheServiceRedisDown')
  })
  await scenario.redisServer.kill('SIGCONT')
  await worker.ready()
  await patiently(async () => {
    expect(await prometheus.firingAlerts()).not.toContain('CacheServiceRedisDown')
  })
})

test('Prometheus fires the alerts of the lag monitor while no worker runs, and clears them afterwards', async (context) => {
  const scenario = await openWorkerScenario(context, { partitions: 1 })
  const worker = await scenario.startWorker()
  await worker.ready()
  const settings = { LAG_POLL_INTERVAL_S: '0.2', LAG_WINDOW_S: '2', CANARY_INTERVAL_S: '0.5' }
  const monitor = await startRoleProcess('lag-monitor', { ...scenario.env, ...settings })
  context.onTestFinished(async () => expect(await monitor.stop()).toBe(0))
  await becomesReady(monitor)
  const prometheus = await startOwnPrometheus([new URL(monitor.healthUrl).host])
  context.onTestFinished(() => prometheus.stop())
  await worker.stop()
  const expected = ['CacheServiceCanaryFailing', 'CacheServiceGroupStuck']
  const firing = async () => (await prometheus.firingAlerts()).filter((name) => /Canary|Group/.test(name))
  await patiently(async () => expect(await firing()).toEqual(expected), { timeoutMs: 120_000 })
  await (await scenario.startWorker()).ready()
  await patiently(async () => expect(await firing()).not.toContain('CacheServiceGroupStuck'))
})
