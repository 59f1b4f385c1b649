import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
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
