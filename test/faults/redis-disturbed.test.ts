import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { reportFault } from '../support/faults/fault-test.ts'
import { openLoadedWorker } from '../support/faults/loaded-worker.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'

describe('a worker under load', () => {
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
