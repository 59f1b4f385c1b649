import { describe, expect, test, type TestContext } from 'vitest'
import type { FaultId } from '../support/faults/catalogue.ts'
import {
  consumesMore,
  sumOf,
  survivesWithClients,
  type RunningScenario,
} from '../support/faults/scenario-with-clients.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { startRedisCluster, type ClusterNode, type RedisCluster } from '../support/servers/redis-cluster.ts'

const LOAD = { devices: 300, perSecond: 300, awkwardPercent: 5, tombstonePercent: 1, seed: 51 }

type Disturbance = {
  readonly id: FaultId
  /** Whether Redis loses something that has to be read again: certainly, certainly not, or perhaps. */
  readonly loses: boolean | undefined
  readonly disturb: (cluster: RedisCluster, running: RunningScenario) => Promise<void>
}

const DISTURBANCES: Readonly<Record<string, Disturbance>> = {
  'a thousand slots move to another master': {
    id: 'R17',
    loses: false,
    async disturb(cluster) {
      const [from, to] = await firstMasters(cluster)
      await cluster.moveSlots(from, to, 1_000)
    },
  },
  'a master is added and gets slots of all others': {
    id: 'R17',
    loses: false,
    async disturb(cluster) {
      const masters = await cluster.masters()
      const added = await cluster.addNode()
      for (const master of masters) await cluster.moveSlots(master, added, 150)
    },
  },
  'a master is killed, and its replica takes its place': {
    id: 'R18',
    loses: undefined,
    async disturb(cluster) {
      const [master] = await firstMasters(cluster)
      await cluster.kill(master)
      await cluster.failedOver(master)
      await cluster.restart(master, { waitUntilReady: false })
    },
  },
  'a master freezes, and thaws as a replica': {
    id: 'R18',
    loses: undefined,
    async disturb(cluster) {
      const [master] = await firstMasters(cluster)
      await cluster.freeze(master)
      await cluster.failedOver(master)
      await cluster.thaw(master)
    },
  },
  'a master is wiped': {
    id: 'R19',
    loses: true,
    async disturb(cluster) {
      const [master] = await firstMasters(cluster)
      await master.admin.flushall()
    },
  },
  'a master is wiped while slots move to it': {
    id: 'R19',
    loses: true,
    async disturb(cluster) {
      const [from, to] = await firstMasters(cluster)
      const moving = cluster.moveSlots(from, to, 200)
      await to.admin.flushall()
      await moving
    },
  },
  'a replica that lacks a thousand acknowledged records takes the place of its master': {
    id: 'R20',
    loses: true,
    async disturb(cluster, { scenario }) {
      const [master] = await firstMasters(cluster)
      const [replica] = await cluster.replicasOf(master)
      if (replica === undefined) throw new Error('no replica')
      await cluster.freeze(replica)
      // What is in its socket would be read after the thaw.
      await master.admin.call('CLIENT', 'KILL', 'TYPE', 'replica')
      await consumesMore(scenario, 1_000)
      await cluster.kill(master)
      await cluster.thaw(replica)
      await cluster.failover(replica, true)
    },
  },
}

describe('on a Redis Cluster of three masters and three replicas, workers and the clients of an API lose nothing', () => {
  test.for(Object.entries(DISTURBANCES))('when %s', async ([name, { disturb, id, loses }], context) => {
    const cluster = await ownCluster(context)
    const { scenario } = await survivesWithClients(context, {
      id,
      name: `Redis Cluster: ${name}`,
      scenario: await openWorkerScenario(context, { redisCluster: cluster }),
      load: LOAD,
      publishTo: { isCluster: true, server: async () => firstRunning(cluster) },
      mayGoBack: loses !== false,
      async disturb(running) {
        await disturb(cluster, running)
        await cluster.settled()
      },
    })
    const losses = await sumOf(scenario, 'cache_loss_total')
    if (loses === true) expect(losses).toBeGreaterThan(0)
    if (loses === false) expect(losses).toBe(0)
  })
})

async function ownCluster(context: TestContext): Promise<RedisCluster> {
  const cluster = await startRedisCluster({ replicasPerMaster: 1 })
  context.onTestFinished(() => cluster.stop())
  return cluster
}

async function firstMasters(cluster: RedisCluster): Promise<[ClusterNode, ClusterNode]> {
  const [one, other] = await cluster.masters()
  if (one === undefined || other === undefined) throw new Error('no masters')
  return [one, other]
}

function firstRunning(cluster: RedisCluster): ClusterNode {
  const [node] = cluster.running()
  if (node === undefined) throw new Error('no node is running')
  return node
}
