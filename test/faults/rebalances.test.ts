import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { indexedDevices, startPollingReader } from '../support/oracle/polling-reader.ts'
import { consumesMore, valueOf } from '../support/processes/worker-facts.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { startNetworkProxy } from '../support/servers/network-proxy.ts'
import { startOwnRedis } from '../support/servers/servers.ts'

const SESSION_S = 12
const LOAD = { devices: 200, perSecond: 300, awkwardPercent: 5 }

test('a group of workers makes progress while others join and are killed every second', async (context) => {
  const report = reportFault(context, 'K8')
  const scenario = await openWorkerScenario(context, { partitions: 6 })
  const { oracle, redis } = scenario
  const load = scenario.startLoad({ ...LOAD, seed: 1 })
  const staying = await scenario.startWorker()
  await staying.ready(90_000)
  await consumesMore(staying, 500)
  const reader = startPollingReader(redis, indexedDevices(redis))
  context.onTestFinished(async () => void (await reader.stop()))

  // The coordinator of a new broker may still be loading when the worker starts.
  const restarts = await valueOf(staying, 'consumer_restarts_total')
  const before = await oracle.committed()
  let committed = before
  let advances = 0
  const passing: WorkerProcess[] = []
  for (let round = 0; round < 15; round++) {
    passing.push(await scenario.startWorker())
    if (passing.length > 2) passing.shift()?.kill('SIGKILL')
    await sleep(1_000)
    const now = await oracle.committed()
    // A commit of a worker that does not own the partition any more would set it back, or run ahead.
    for (const [partition, offset] of committed) expect(now.get(partition)).toBeGreaterThanOrEqual(offset)
    if ([...now].some(([partition, offset]) => offset > (committed.get(partition) ?? 0))) advances += 1
    committed = now
    expect(await staying.get('/livez')).toMatchObject({ status: 200 })
  }
  expect(advances).toBeGreaterThan(1)
  for (const worker of passing) worker.kill('SIGKILL')
  const recovered = report.startRecovery()
  await patiently(async () => expect(await valueOf(staying, 'assigned_partitions')).toBe(6))
  await staying.ready(90_000)
  recovered()
  report.saw(
    `15 workers started, all killed: commits advanced in ${advances} of 15 rounds, ` +
      `${await valueOf(staying, 'rebalances_total')} rebalances, no commit went back`,
  )
  await load.stop()
  await oracle.assertCaughtUp({}, 120_000)
  expect(await reader.stop()).toEqual([])
  expect(await valueOf(staying, 'consumer_restarts_total')).toBe(restarts)
  expect(await staying.stop()).toBe(0)
}, 360_000)

test('a worker whose chunks take longer than its session stays in the group, and a commit that comes too late is not fatal', async (context) => {
  const report = reportFault(context, 'K9')
  const redisServer = await startOwnRedis({})
  context.onTestFinished(() => redisServer.stop())
  const toRedis = await startNetworkProxy(redisServer)
  context.onTestFinished(() => toRedis.stop())
  const scenario = await openWorkerScenario(context, {
    ownRedis: redisServer,
    env: { KAFKA_SESSION_TIMEOUT_S: String(SESSION_S), REDIS_TIMEOUT_S: '11', REDIS_SCRIPT_MAX_KEYS: '7' },
  })
  const { oracle } = scenario
  const viaProxy = { REDIS_URL: `redis://127.0.0.1:${toRedis.port}` }
  const load = scenario.startLoad({ ...LOAD, seed: 2 })
  const slow = await scenario.startWorker(viaProxy)
  await slow.ready(90_000)
  await consumesMore(slow, 500)

  const restarts = await valueOf(slow, 'consumer_restarts_total')
  const rebalances = await valueOf(slow, 'rebalances_total')
  // A chunk needs at least two replies, one after the other.
  toRedis.become({ delayMs: 3_500 })
  const slowest = await patiently(
    async () => {
      expect(await slow.get('/livez')).toMatchObject({ status: 200 })
      const tookMs = slow
        .logLines()
        .map(({ msg, totalMs }) => (msg === 'chunk applied' ? Number(totalMs) : 0))
      const long = tookMs.filter((ms) => ms > 1_000 * SESSION_S)
      expect(long.length).toBeGreaterThan(3)
      return Math.max(...long)
    },
    { timeoutMs: 180_000, everyMs: 500 },
  )
  await consumesMore(slow)
  expect(await valueOf(slow, 'rebalances_total')).toBe(rebalances)
  expect(await valueOf(slow, 'consumer_restarts_total')).toBe(restarts)
  report.saw(`chunks of up to ${Math.round(slowest)} ms with a session of ${SESSION_S} s: no rebalance`)

  // Another worker takes partitions over while the chunks of the slow one are being written.
  const other = await scenario.startWorker()
  await patiently(
    async () => {
      const assigned = await Promise.all(
        [slow, other].map((worker) => valueOf(worker, 'assigned_partitions')),
      )
      expect(assigned.toSorted()).toEqual([1, 2])
    },
    { timeoutMs: 120_000 },
  )
  await consumesMore(other, 100)
  expect(slow.isRunning).toBe(true)
  const late = slow.logLines().filter(({ level }) => level === 'error' || level === 'fatal')
  expect(late).toEqual([])
  report.saw('a worker that joins takes partitions over')
  toRedis.become('open')
  const recovered = report.startRecovery()
  await Promise.all([slow.ready(120_000), other.ready(120_000)])
  recovered()
  await load.stop()
  await oracle.assertCaughtUp({ consumed: scenario.consumed, redelivered: true }, 120_000)
  expect(await slow.stop()).toBe(0)
  expect(await other.stop()).toBe(0)
}, 360_000)
