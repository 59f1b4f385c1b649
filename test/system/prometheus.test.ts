import { expect, test } from 'vitest'
import { becomesReady, startRoleProcess } from '../support/processes/role-process.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'
import { checkMetrics } from '../support/servers/own-prometheus.ts'

test('promtool finds nothing wrong with the metrics of any role', async (context) => {
  const scenario = await openWorkerScenario(context)
  const worker = await scenario.startWorker()
  const others = [
    await startRoleProcess('api', scenario.env),
    await startRoleProcess('kv-updater', scenario.env),
    await startRoleProcess('lag-monitor', { ...scenario.env, CANARY_INTERVAL_S: '1' }),
  ]
  context.onTestFinished(async () => void (await Promise.all(others.map((role) => role.stop()))))
  await scenario.send([update({ deviceId: 'd1' })])
  await worker.ready()
  await Promise.all(others.map(becomesReady))
  for (const url of [worker.url, ...others.map(({ healthUrl }) => healthUrl)]) {
    const response = await fetch(`${url}/metrics`)
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    const { stdout, stderr } = await checkMetrics(await response.text())
    // Three gauges of prom-client end with _total.
    const findings = `${stdout}${stderr}`.split('\n').filter((line) => !line.startsWith('nodejs_active_'))
    expect(findings.join('\n')).toBe('')
  }
})
