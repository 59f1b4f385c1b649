import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { becomesReady, startRoleProcess } from '../support/processes/role-process.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { startOwnKafka } from '../support/servers/servers.ts'

/** A record is given up after 30 seconds. */
const LONG = { timeoutMs: 120_000 }

test('the canary fails while no worker runs or the API is down, arrives again afterwards, and the lag monitor stays ready', async (context) => {
  const { env, startWorker } = await openWorkerScenario(context, { partitions: 2 })
  const startApi = () => startRoleProcess('api', { ...env, API_AUTH: 'off' })
  const worker = await startWorker()
  await worker.ready()
  const api = await startApi()
  context.onTestFinished(async () => void (await api.stop()))
  await becomesReady(api)
  const canary = { CANARY_INTERVAL_S: '0.5', CANARY_API_URL: api.apiUrl, LAG_POLL_INTERVAL_S: '1' }
  const monitor = await startRoleProcess('lag-monitor', { ...env, ...canary })
  context.onTestFinished(async () => expect(await monitor.stop()).toBe(0))
  await becomesReady(monitor)
  const records = (result: string) => monitor.metric('cache_service_canary_records_total', { result })
  const lastSuccess = () => monitor.metric('cache_service_canary_last_success_timestamp_seconds')
  const arrivesAgain = async () => {
    const before = (await records('arrived')) ?? 0
    await patiently(async () => expect(await records('arrived')).toBeGreaterThan(before + 1), LONG)
  }
  await arrivesAgain()

  expect(await worker.stop()).toBe(0)
  await patiently(async () => expect(await records('not_stored')).toBeGreaterThan(0), LONG)
  // What the alert compares with the time: the last success is at least as old as the time-out of a record.
  expect(Date.now() / 1000 - ((await lastSuccess()) ?? 0)).toBeGreaterThan(29)
  expect(await monitor.isReady()).toBe(true)
  expect(monitor.output).toMatch(/"stage":"stored","partition":[01].*"msg":"a canary record did not arrive"/)
  await (await startWorker()).ready()
  await arrivesAgain()
  expect(Date.now() / 1000 - ((await lastSuccess()) ?? 0)).toBeLessThan(29)
  expect(monitor.output).toContain('canary records arrive again')

  await api.stop()
  await patiently(async () => expect(await records('not_served')).toBeGreaterThan(0), LONG)
  expect(await records('not_acknowledged')).toBe(0)
  expect(await monitor.isReady()).toBe(true)
})

test('the canary fails while the broker hangs, neither it nor its process is stuck, and it arrives again afterwards', async (context) => {
  const kafka = await startOwnKafka()
  context.onTestFinished(() => kafka.stop())
  const { env, startWorker } = await openWorkerScenario(context, { kafka, partitions: 1 })
  await (await startWorker()).ready()
  const monitor = await startRoleProcess('lag-monitor', { ...env, CANARY_INTERVAL_S: '0.5' })
  const records = (result: string) => monitor.metric('cache_service_canary_records_total', { result })
  await patiently(async () => expect(await records('arrived')).toBeGreaterThan(1), LONG)

  await kafka.kill('SIGSTOP')
  await patiently(async () => expect(await records('not_acknowledged')).toBeGreaterThan(1), LONG)
  expect(monitor.output).toContain('"stage":"acknowledged"')
  expect((await fetch(`${monitor.healthUrl}/livez`)).status).toBe(200)

  await kafka.kill('SIGCONT')
  const before = (await records('arrived')) ?? 0
  await patiently(async () => expect(await records('arrived')).toBeGreaterThan(before + 1), LONG)
  expect(await records('not_stored')).toBe(0)
  expect(await monitor.stop()).toBe(0)
})
