import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { becomesReady, startRoleProcess } from '../support/processes/role-process.ts'
import { openWorkerScenario, type ScenarioContext } from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'

const FAST = { LAG_POLL_INTERVAL_S: '0.2', LAG_WINDOW_S: '1' }

async function startMonitor(
  context: ScenarioContext,
  role: 'lag-monitor' | 'all',
  env: Readonly<Record<string, string>>,
) {
  const monitor = await startRoleProcess(role, { ...env, ...FAST })
  context.onTestFinished(async () => expect(await monitor.stop()).toBe(0))
  return monitor
}

describe.concurrent('the lag monitor', () => {
  test('knows the lag of our workers also while none runs, and says what it means', async (context) => {
    const scenario = await openWorkerScenario(context, { partitions: 1 })
    const { env, group: consumergroup, topic } = scenario
    await scenario.send([update({ deviceId: 'a' }), update({ deviceId: 'b' })])
    const monitor = await startMonitor(context, 'lag-monitor', env)
    const lag = (name: string, labels = {}) =>
      monitor.metric(`cache_service_group_${name}`, { consumergroup, ...labels })
    await becomesReady(monitor)
    expect(await lag('lag', { topic, partition: '0' })).toBe(2)
    expect(await lag('lag_seconds', { topic, partition: '0' })).toBeGreaterThan(0)
    expect(await lag('retention_seconds', { topic, partition: '0' })).toBeGreaterThan(3_600)
    expect(await lag('members')).toBe(0)
    await patiently(async () => expect(await lag('partitions', { topic, state: 'no_consumer' })).toBe(1))

    await (await scenario.startWorker()).ready()
    await patiently(async () => expect(await lag('partitions', { topic, state: 'ok' })).toBe(1))
    expect(await lag('lag', { topic, partition: '0' })).toBe(0)
    expect(await lag('members')).toBe(1)
  })

  test('follows a canary record to each partition through the worker to Redis and the API', async (context) => {
    const { env, redis, startWorker } = await openWorkerScenario(context, { partitions: 2 })
    await (await startWorker()).ready()
    const api = await startRoleProcess('api', { ...env, API_AUTH: 'off' })
    context.onTestFinished(async () => expect(await api.stop()).toBe(0))
    await becomesReady(api)
    const canary = { CANARY_INTERVAL_S: '0.2', CANARY_API_URL: api.apiUrl }
    const monitor = await startMonitor(context, 'lag-monitor', { ...env, ...canary })
    const metric = (name: string, labels = {}) => monitor.metric(`cache_service_canary_${name}`, labels)
    await patiently(async () =>
      expect(await metric('records_total', { result: 'arrived' })).toBeGreaterThan(3),
    )
    expect(await metric('latency_seconds_count', { stage: 'served' })).toBeGreaterThan(3)
    expect(await metric('last_success_timestamp_seconds')).toBeGreaterThan(Date.now() / 1000 - 60)
    expect(await redis.hget('device:cache_service_canary:metadata', 'datatype_name')).toBe('canary')
    expect(monitor.output).not.toContain('a canary record did not arrive')
  })

  test('is part of the role "all" if LAG_GROUPS names groups', async (context) => {
    const { env, group } = await openWorkerScenario(context, { partitions: 1 })
    const named = await startMonitor(context, 'all', { ...env, LAG_GROUPS: `${group},another-group` })
    await becomesReady(named)
    await patiently(async () => {
      const members = ['group', 'another'].map((name) =>
        named.metric('cache_service_group_members', {
          consumergroup: name === 'group' ? group : 'another-group',
        }),
      )
      expect(await Promise.all(members)).toEqual([1, 0])
    })
  })
})
