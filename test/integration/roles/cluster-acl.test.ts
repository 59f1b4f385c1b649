import { readFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { openKvUpdater } from '../../../cache-service/roles/kv-updater.ts'
import { patiently } from '../../support/eventually.ts'
import { startRole } from '../../support/processes/role-run.ts'
import { startApi } from '../../support/processes/start-api.ts'
import { startRedisCluster } from '../../support/servers/redis-cluster.ts'

/** The rules of docs/configuration.md, with what a Cluster needs in addition. */
function rulesOf(user: string): string {
  const docs = readFileSync('docs/configuration.md', 'utf8')
  const rules = new RegExp(`ACL SETUSER ${user} (on [^]*?)\\n(?:\\n|\`\`\`)`).exec(docs)?.[1]
  const further = user === 'kv_updater' ? ' +publish &cache_service:*' : ''
  return `${rules?.replaceAll(/\s+/g, ' ')} +cluster|slots +readonly +eval${further}`
}

test('the documented permissions suffice for the api and the kv-updater in a Cluster', async () => {
  const cluster = await startRedisCluster({
    aclUsers: { api: rulesOf('api'), kv_updater: rulesOf('kv_updater') },
  })
  onTestFinished(() => cluster.stop())
  const env = (user: string) => ({
    REDIS_CLUSTER_NODES: cluster.seeds,
    REDIS_USERNAME: user,
    REDIS_PASSWORD: 'password',
  })
  const api = await startApi(env('api'))
  onTestFinished(() => api.stop())
  const updater = await startRole(openKvUpdater, { ...env('kv_updater'), REDIS_UPDATE_CHANNEL: 'update' })
  onTestFinished(() => updater.stop())
  await patiently(async () => expect(await updater.isReady()).toBe(true))
  await patiently(() => expect(updater.lines().some(({ msg }) => msg.includes('lease taken'))).toBe(true))
  await cluster.nodes[0]?.admin.publish('update', JSON.stringify({ type: 'allowed', values: [1] }))
  await patiently(async () => expect((await fetch(`${api.url}/api/state/allowed`)).status).toBe(200))
  for (const path of [
    '/api/redis',
    '/stats',
    '/api/cache/keys?pattern=x*',
    '/api/queue/channels',
    '/api/workers',
  ])
    expect(`${path} ${(await fetch(api.url + path)).status}`).toBe(`${path} 200`)
  for (const { admin } of cluster.nodes) {
    const denied = await admin.acl('LOG')
    expect(denied).toEqual([])
  }
})
