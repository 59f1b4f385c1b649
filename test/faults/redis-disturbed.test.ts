import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createSeededRandom } from '../simulator/seeded-random.ts'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { openLoadedWorker } from '../support/faults/loaded-worker.ts'
import { valueOf } from '../support/processes/worker-facts.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { startNetworkProxy } from '../support/servers/network-proxy.ts'
import { startOwnRedis } from '../support/servers/servers.ts'

const SLEEPS = 20
const CUTS = 40
const CUT_SEED = 16

describe('a worker under load', { timeout: 600_000 }, () => {
  test('is slowed down by a slow Redis, and remains in its group', async (context) => {
    const report = reportFault(context, 'R8')
    // Half a second for a command is no outage, also on a busy machine.
    const loaded = await openLoadedWorker(context, {
      ownRedis: { args: ['--enable-debug-command', 'yes'] },
      env: { KAFKA_SESSION_TIMEOUT_S: '15', REDIS_TIMEOUT_S: '14' },
    })
    const { scenario, worker } = loaded
    const restarts = await valueOf(worker, 'consumer_restarts_total')
    const rebalances = await valueOf(worker, 'rebalances_total')
    const slower = scenario.redis.duplicate()
    context.onTestFinished(() => slower.disconnect())
    const before = await worker.consumed()
    for (let times = 0; times < SLEEPS; times++) {
      await slower.call('DEBUG', 'SLEEP', '0.5')
      expect(await worker.get('/livez')).toMatchObject({ status: 200 })
      expect(await valueOf(worker, 'assigned_partitions')).toBe(scenario.partitions)
    }
    const meanwhile = (await worker.consumed()) - before
    expect(meanwhile).toBeGreaterThan(0)
    await loaded.recovers(report)
    expect(await valueOf(worker, 'rebalances_total')).toBe(rebalances)
    expect(await valueOf(worker, 'consumer_restarts_total')).toBe(restarts)
    report.saw(`${SLEEPS} times half a second: ${meanwhile} records applied meanwhile, no rebalance`)
  })

  test('applies the whole chunk again when its connection is cut after any number of bytes', async (context) => {
    const report = reportFault(context, 'R16')
    const server = await startOwnRedis()
    context.onTestFinished(() => server.stop())
    const proxy = await startNetworkProxy(server)
    context.onTestFinished(() => proxy.stop())
    // Many calls a chunk, so that some of them are cut, and others are not.
    const loaded = await openLoadedWorker(context, {
      ownRedis: server,
      env: { REDIS_URL: `redis://${proxy.host}:${proxy.port}`, REDIS_SCRIPT_MAX_KEYS: '7' },
    })
    const random = createSeededRandom(CUT_SEED)
    // Commands are cut within their bytes, or after them, before their replies have arrived.
    proxy.limit = () =>
      random.percent(60) ? { toServer: 1 + random.below(20_000) } : { toClient: 1 + random.below(1_000) }
    const before = await loaded.worker.consumed()
    proxy.breakConnections()
    await patiently(() => expect(proxy.cuts).toBeGreaterThanOrEqual(CUTS), { timeoutMs: 400_000 })
    const { cuts } = proxy
    const meanwhile = (await loaded.worker.consumed()) - before
    proxy.limit = () => ({})
    await loaded.recovers(report)
    report.saw(
      `${cuts} cuts (seed ${CUT_SEED}), ${meanwhile} records applied meanwhile; nothing is missing, no reader saw a device go back`,
    )
    expect(loaded.worker.output).not.toContain('Redis lost data')
  })

  test('loads its scripts again each time they are flushed', async (context) => {
    const report = reportFault(context, 'R13')
    const loaded = await openLoadedWorker(context)
    const { scenario, worker } = loaded
    const before = await worker.consumed()
    const until = performance.now() + 5_000
    let flushes = 0
    for (; performance.now() < until; flushes++) {
      await scenario.redis.script('FLUSH')
      await sleep(flushes % 20)
    }
    const meanwhile = (await worker.consumed()) - before
    expect(meanwhile).toBeGreaterThan(0)
    await loaded.recovers(report)
    report.saw(
      `${flushes} times in 5 s: ${meanwhile} records applied meanwhile; no reader saw a device go back`,
    )
  })
})

test('a worker warns once about an eviction policy that may drop devices', async (context) => {
  const report = reportFault(context, 'R6')
  const scenario = await openWorkerScenario(context, {
    ownRedis: { args: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'] },
  })
  const worker = await scenario.startWorker()
  await scenario.sendFleet(500, { seed: 6, devices: 50 })
  await worker.ready()
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })
  const warnings = worker.logLines().filter(({ level, msg }) => level === 'warn' && /evict/i.test(msg))
  expect(warnings).toEqual([expect.objectContaining({ policy: 'allkeys-lru' })])
  report.saw('1 warning that names the policy')
  expect(await worker.stop()).toBe(0)
})
