import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { openWorkerScenario, type ScenarioContext } from '../support/processes/worker-scenario.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'
import {
  startRedisCluster,
  type ClusterNode,
  type RedisCluster,
  type RedisClusterOptions,
} from '../support/servers/redis-cluster.ts'

const LOAD = { devices: 300, perSecond: 400, awkwardPercent: 5, tombstonePercent: 1, seed: 51 }

async function openCluster(
  context: ScenarioContext,
  options: RedisClusterOptions = { replicasPerMaster: 1 },
) {
  const cluster = await startRedisCluster(options)
  context.onTestFinished(() => cluster.stop())
  return { cluster, scenario: await openWorkerScenario(context, { redisCluster: cluster }) }
}

async function firstMasters(cluster: RedisCluster): Promise<[ClusterNode, ClusterNode]> {
  const [one, other] = await cluster.masters()
  if (one === undefined || other === undefined) throw new Error('no masters')
  return [one, other]
}

async function losses(worker: WorkerProcess): Promise<number> {
  const found = await worker.metric('cache_loss_total')
  return found.reduce((sum, { value }) => sum + value, 0)
}

type Disturbance = {
  readonly disturb: (cluster: RedisCluster) => Promise<void>
  /** Whether Redis loses something that has to be read again: certainly, certainly not, or perhaps. */
  readonly loses: boolean | undefined
  readonly options?: RedisClusterOptions
}

const DISTURBANCES: Readonly<Record<string, Disturbance>> = {
  'a thousand slots move to another master': {
    loses: false,
    async disturb(cluster) {
      const [from, to] = await firstMasters(cluster)
      await cluster.moveSlots(from, to, 1_000)
    },
  },
  'a master is added and gets slots of all others': {
    loses: false,
    async disturb(cluster) {
      const masters = await cluster.masters()
      const added = await cluster.addNode()
      for (const master of masters) await cluster.moveSlots(master, added, 150)
    },
  },
  'a master is killed, and its replica takes its place': {
    loses: undefined,
    async disturb(cluster) {
      const [master] = await firstMasters(cluster)
      await cluster.kill(master)
      await cluster.failedOver(master)
      await cluster.restart(master, { waitUntilReady: false })
    },
  },
  'a master is wiped': {
    loses: true,
    async disturb(cluster) {
      const [master] = await firstMasters(cluster)
      await master.admin.flushall()
    },
  },
  'a master is wiped while slots move to it': {
    loses: true,
    async disturb(cluster) {
      const [from, to] = await firstMasters(cluster)
      const moving = cluster.moveSlots(from, to, 200)
      await to.admin.flushall()
      await moving
    },
  },
  'a node freezes, and thaws as a replica': {
    loses: undefined,
    async disturb(cluster) {
      const [master] = await firstMasters(cluster)
      await cluster.freeze(master)
      await cluster.failedOver(master)
      await cluster.thaw(master)
    },
  },
}

describe('a worker on a Redis Cluster loses nothing', () => {
  test.for(Object.entries(DISTURBANCES))('when %s', async ([name, { disturb, loses }], context) => {
    const report = reportFault(context, 'R4')
    const { cluster, scenario } = await openCluster(context)
    const load = scenario.startLoad(LOAD)
    const worker = await scenario.startWorker()
    await worker.ready()
    await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(500))

    const recovered = report.startRecovery()
    await disturb(cluster)
    await cluster.settled()
    const before = await worker.consumed()
    await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(before + 200))
    await worker.ready(60_000)
    recovered()
    report.saw(`a Redis Cluster: ${name}`)

    await load.stop()
    await scenario.oracle.assertHeals({ consumed: scenario.consumed, redelivered: true })
    if (loses === true) expect(await losses(worker)).toBeGreaterThan(0)
    if (loses === false) expect(await losses(worker)).toBe(0)
    expect(await worker.stop()).toBe(0)
  })
})

test('what a lagging replica lacks when it takes the place of its master is noticed, and read again', async (context) => {
  const report = reportFault(context, 'R4')
  const { cluster, scenario } = await openCluster(context)
  const worker = await scenario.startWorker()
  await worker.ready()
  await scenario.sendFleet(1_000, { seed: 52, devices: 100 })
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })

  const [master] = await firstMasters(cluster)
  const [replica] = await cluster.replicasOf(master)
  if (replica === undefined) throw new Error('no replica')
  await cluster.freeze(replica)
  // What is in its socket would be read after the thaw.
  await master.admin.call('CLIENT', 'KILL', 'TYPE', 'replica')
  await scenario.sendFleet(1_000, { seed: 53, devices: 100 })
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })
  await cluster.kill(master)
  await cluster.thaw(replica)
  const recovered = report.startRecovery()
  await cluster.failover(replica, true)
  await scenario.oracle.assertHeals({ consumed: scenario.consumed, redelivered: true })
  recovered()
  expect(await losses(worker)).toBeGreaterThan(0)
  report.saw('a replica that lacked acknowledged records took the place of its master; they were read again')
  expect(await worker.stop()).toBe(0)
})
