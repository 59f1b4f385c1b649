import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { kafkajs } from '../../../cache-service/kafka/kafkajs.ts'
import { openKvUpdater } from '../../../cache-service/roles/kv-updater.ts'
import { openLagMonitor } from '../../../cache-service/roles/lag-monitor.ts'
import { openWorker } from '../../../cache-service/roles/worker.ts'
import { patiently } from '../../support/eventually.ts'
import { redisAclOf } from '../../support/docs/redis-acl.ts'
import { startRole, type RoleRun } from '../../support/processes/role-run.ts'
import { startApi } from '../../support/processes/start-api.ts'
import { startRedisCluster, type RedisCluster } from '../../support/servers/redis-cluster.ts'
import { createTopic, uniqueName } from '../../support/test-scope.ts'

const USERS = ['worker', 'api', 'kv_updater', 'lag_monitor'] as const

let cluster: RedisCluster
beforeAll(async () => {
  const aclUsers = USERS.map((user) => [user, `on >password ${redisAclOf(user, 'cluster')}`])
  cluster = await startRedisCluster({ replicasPerMaster: 1, aclUsers: Object.fromEntries(aclUsers) })
})
afterAll(() => cluster?.stop())

describe('in a Cluster, the permissions of docs/configuration.md suffice', () => {
  test(
    'for all roles, also after a failover, and each additional one is used',
    { timeout: 180_000 },
    async () => {
      const brokers = inject('kafkaBrokers')
      const topic = uniqueName('topic')
      await createTopic(brokers, topic, { partitions: 2 })
      const env = (user: (typeof USERS)[number]) => ({
        KAFKA_BOOTSTRAP_SERVERS: brokers.join(),
        KAFKA_VALIDATED_DATA_TOPIC: topic,
        KAFKA_CONSUMER_GROUP_ID: topic,
        LAG_POLL_INTERVAL_S: '0.5',
        REDIS_CLUSTER_NODES: cluster.seeds,
        REDIS_USERNAME: user,
        REDIS_PASSWORD: 'password',
      })
      const roles: readonly RoleRun[] = [
        await startRole(openWorker, env('worker')),
        await startRole(openKvUpdater, { ...env('kv_updater'), REDIS_UPDATE_CHANNEL: 'update' }),
        await startRole(openLagMonitor, env('lag_monitor')),
      ]
      for (const role of roles) onTestFinished(() => role.stop())
      const producer = new kafkajs.Kafka({
        brokers: [...brokers],
        logLevel: kafkajs.logLevel.NOTHING,
      }).producer()
      await producer.connect()
      onTestFinished(() => producer.disconnect())
      const send = async (ids: readonly string[]) =>
        await producer.send({ topic, messages: ids.map((id) => ({ key: id, value: recordOf(id) })) })
      const api = await startApi(env('api'))
      onTestFinished(() => api.stop())
      for (const role of roles) await patiently(async () => expect(await role.isReady()).toBe(true))
      const ask = async (path: string, init?: RequestInit) => (await fetch(api.url + path, init)).status

      const work = async (round: string) => {
        const ids = Array.from({ length: 20 }, (_, n) => `${round}-${n}`)
        await send(ids)
        for (const id of ids) await patiently(async () => expect(await ask(`/api/devices/${id}`)).toBe(200))
        expect(await ask(`/api/devices/${ids[0]}`, { method: 'DELETE' })).toBe(204)
        // Deletes a device.
        await producer.send({ topic, messages: [{ key: ids[1] ?? '', value: null }] })
        await patiently(async () => expect(await ask(`/api/devices/${ids[1]}`)).toBe(404))
        const [node] = await cluster.masters()
        await node?.admin.publish('update', JSON.stringify({ type: round, values: [1] }))
        await patiently(async () => expect(await ask(`/api/state/${round}`)).toBe(200))
        for (const path of ['/api/redis', '/stats', '/api/cache/keys?pattern=x*', '/api/queue/channels'])
          expect([path, await ask(path)]).toEqual([path, 200])
        for (const path of ['/api/workers', '/api/lag', '/api/state', '/api/devices'])
          expect([path, await ask(path)]).toEqual([path, 200])
        for (const role of roles) await patiently(async () => expect(await role.isReady()).toBe(true))
      }
      await work('before')
      const [master] = await cluster.masters()
      const [replica] = master === undefined ? [] : await cluster.replicasOf(master)
      if (replica === undefined) throw new Error('the first master has no replica')
      await cluster.failover(replica)
      await work('after')
      // The new owner is asked for a key that may have moved.
      const owner = await cluster.ownerOf('moving')
      const slot = Number(await owner.admin.cluster('KEYSLOT', 'moving'))
      const target = (await cluster.masters()).find((one) => one !== owner)
      if (target === undefined) throw new Error('there is one master only')
      await cluster.beginMove(owner, target, slot)
      expect(await ask('/api/cache/moving')).toBe(404)

      for (const { admin } of cluster.nodes) expect(await admin.acl('LOG')).toEqual([])
      for (const { lines } of [...roles, api])
        expect(lines().filter((line) => JSON.stringify(line).includes('NOPERM'))).toEqual([])
      const used = new Set((await Promise.all(cluster.nodes.map(({ admin }) => commandsOf(admin)))).flat())
      expect(
        ['cluster|slots', 'readonly', 'readwrite', 'asking', 'eval'].filter((one) => !used.has(one)),
      ).toEqual([])
    },
  )
})

function recordOf(id: string): string {
  const timestamp = new Date().toISOString()
  return JSON.stringify({ request_id: 'r', timestamp, device_id: id, metadata: { datatype_name: 't' } })
}

async function commandsOf(admin: RedisCluster['nodes'][number]['admin']): Promise<string[]> {
  return [...(await admin.info('commandstats')).matchAll(/^cmdstat_([\w|]+):/gm)].map(([, name = '']) => name)
}
