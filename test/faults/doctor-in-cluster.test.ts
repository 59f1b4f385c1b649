import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { redisAclOf } from '../support/docs/redis-acl.ts'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import { startRedisCluster, type RedisCluster } from '../support/servers/redis-cluster.ts'
import { startOwnRedis } from '../support/servers/servers.ts'

type Finding = { verdict: string; check: string; detail: string; fix: string | null }

async function runDoctor(cluster: RedisCluster, env: Readonly<Record<string, string>> = {}) {
  const { code, output, errors } = await runCliHere(['doctor', '-f', 'json', '--role', 'kv-updater'], {
    METRICS_PORT: '0',
    REDIS_CLUSTER_NODES: cluster.seeds,
    REDIS_TIMEOUT_S: '1',
    ...env,
  })
  if (output === '') throw new Error(errors)
  const findings: Finding[] = JSON.parse(output)
  for (const { fix, verdict } of findings)
    expect(fix !== null).toBe(verdict === 'warning' || verdict === 'failed')
  return { code, findings, find: (check: string) => findings.find((one) => one.check.startsWith(check)) }
}

const ACL = redisAclOf('kv_updater', 'cluster')
const AS_USER = { REDIS_USERNAME: 'user', REDIS_PASSWORD: 'horse-battery' }
/** Without a replica for the last master. */
let cluster: RedisCluster

beforeAll(async () => {
  cluster = await startRedisCluster({
    args: ['--cluster-require-full-coverage', 'no'],
    nodeTimeoutMs: 1_000,
    aclUsers: { user: `on >horse-battery ${ACL}` },
  })
  const [first, second] = cluster.nodes
  await cluster.addNode(first)
  await cluster.addNode(second)
  // A replica is announced to clients once it has received something.
  for (const node of cluster.nodes) await node.admin.call('PUBLISH', 'any', '')
  for (const { admin } of cluster.nodes)
    await patiently(async () => {
      const slots = await admin.cluster('SLOTS')
      expect(new Set(JSON.stringify(slots).match(/"[0-9a-f]{40}"/g)).size).toBe(5)
    })
})
afterAll(() => cluster?.stop())

describe('in a Cluster, the doctor', () => {
  test('says what is the same on all nodes once, and which masters have no replica', async () => {
    const { code, find, findings } = await runDoctor(cluster)
    expect(code).toBe(0)
    expect(find('cluster state')).toMatchObject({ verdict: 'ok' })
    expect(find('slots')).toMatchObject({ verdict: 'ok' })
    expect(findings.filter(({ check }) => check.startsWith('version'))).toMatchObject([
      { verdict: 'ok', detail: expect.stringMatching(/\d \(3 masters\)$/) },
    ])
    expect(find('commands of the kv-updater')).toMatchObject({
      verdict: 'ok',
      detail: expect.stringContaining('(5 nodes)'),
    })
    expect(find('replicas')).toMatchObject({
      verdict: 'warning',
      detail: expect.stringContaining(`none for 127.0.0.1:${cluster.nodes[2]?.port}:`),
    })
  })

  test('warns if all masters refuse commands while one without a replica is down', async () => {
    expect((await runDoctor(cluster)).find('full coverage')).toBeUndefined()
    const [first] = cluster.nodes
    await first?.admin.config('SET', 'cluster-require-full-coverage', 'yes')
    onTestFinished(async () => void (await first?.admin.config('SET', 'cluster-require-full-coverage', 'no')))
    expect((await runDoctor(cluster)).find('full coverage')).toMatchObject({
      verdict: 'warning',
      detail: expect.stringContaining(`yes at 127.0.0.1:${first?.port}: `),
    })
  })

  test('is content with the documented permissions, and says what these do not show', async () => {
    const { code, find } = await runDoctor(cluster, AS_USER)
    expect(code).toBe(0)
    expect(find('commands of the kv-updater')).toMatchObject({ verdict: 'ok' })
    expect(find('cluster state')).toMatchObject({ verdict: 'skipped' })
  })

  test('warns of a configured node that is away while others answer', async () => {
    const { code, find } = await runDoctor(cluster, { REDIS_CLUSTER_NODES: `127.0.0.1:1,${cluster.seeds}` })
    expect(code).toBe(0)
    expect(find('connection 127.0.0.1:1:')).toBeUndefined()
    expect(find('connection 127.0.0.1:1')).toMatchObject({ verdict: 'warning' })
  })

  test.each(['+readwrite', '+readonly', '+asking', '+eval', '&cache_service:echo:*', '+publish'])(
    'names %s if it is missing on one node, also on a replica',
    async (rule) => {
      const node = cluster.nodes.at(-1)
      if (node === undefined) throw new Error('no node')
      const set = (rules: string) =>
        node.admin.call('ACL', 'SETUSER', 'user', 'reset', 'on', '>horse-battery', ...rules.split(' '))
      onTestFinished(async () => void (await set(ACL)))
      await set(
        ACL.split(' ')
          .filter((one) => one !== rule)
          .join(' '),
      )
      const { findings } = await runDoctor(cluster, AS_USER)
      expect(
        findings.find(({ check }) => check === `commands of the kv-updater at 127.0.0.1:${node.port}`),
      ).toMatchObject({
        verdict: rule === '+publish' ? 'warning' : 'failed',
        fix: `On 127.0.0.1:${node.port}: redis-cli ACL SETUSER user ${rule}`,
      })
    },
  )

  test('fails if the user does not exist on a replica, which may become a master', async () => {
    const node = cluster.nodes.at(-1)
    await node?.admin.call('ACL', 'DELUSER', 'user')
    onTestFinished(async () => {
      await node?.admin.call('ACL', 'SETUSER', 'user', 'on', '>horse-battery', ...ACL.split(' '))
    })
    const { code, find } = await runDoctor(cluster, AS_USER)
    expect(code).toBe(1)
    expect(find(`commands of the kv-updater at 127.0.0.1:${node?.port}`)).toMatchObject({
      verdict: 'failed',
      detail: expect.stringContaining('WRONGPASS'),
    })
  })

  test('asks for the permission to read the slots, on all nodes', async () => {
    for (const { admin } of cluster.nodes) await admin.call('ACL', 'SETUSER', 'user', '-cluster|slots')
    onTestFinished(async () => {
      for (const { admin } of cluster.nodes) await admin.call('ACL', 'SETUSER', 'user', '+cluster|slots')
    })
    const { code, find } = await runDoctor(cluster, AS_USER)
    expect(code).toBe(1)
    expect(find('login')).toMatchObject({
      verdict: 'failed',
      fix: 'On every node: redis-cli ACL SETUSER user +cluster|slots',
    })
  })

  test('names configured nodes that are of another Cluster, or of none', async () => {
    const other = await startRedisCluster({ masters: 1, aclUsers: { user: `on >horse-battery ${ACL}` } })
    onTestFinished(() => other.stop())
    const single = await startOwnRedis({ aclUsers: { user: `on >horse-battery ${ACL}` } })
    onTestFinished(() => single.stop())
    const name = `${single.host}:${single.port}`
    for (const env of [{}, AS_USER]) {
      const both = { ...env, REDIS_CLUSTER_NODES: `${cluster.seeds},${other.seeds},${name}` }
      const { code, find, findings } = await runDoctor(cluster, both)
      expect(code).toBe(1)
      expect(findings.filter(({ check }) => check.startsWith('REDIS_CLUSTER_NODES'))).toHaveLength(2)
      expect(find(`REDIS_CLUSTER_NODES ${other.seeds}`)).toMatchObject({
        ...{ verdict: 'failed', detail: expect.stringMatching(/^it belongs to another Cluster than/) },
        fix: expect.stringMatching(/^Remove it from REDIS_CLUSTER_NODES/),
      })
      expect(find(`REDIS_CLUSTER_NODES ${name}`)?.detail).toBe('it is not in cluster mode')
    }
    const alone = await runDoctor(cluster, { REDIS_CLUSTER_NODES: name })
    expect(alone.find('login')?.fix).toBe(
      'Set REDIS_HOST and REDIS_PORT, or REDIS_URL, instead of REDIS_CLUSTER_NODES.',
    )
  })

  // The last one: it breaks the Cluster.
  test('names a master that has failed, and the slots without an owner', async () => {
    const [first, , dead] = cluster.nodes
    if (first === undefined || dead === undefined) throw new Error('no node')
    await cluster.kill(dead)
    await patiently(async () => expect(String(await first.admin.cluster('NODES'))).toMatch(/master,fail /))
    const { code, find, findings } = await runDoctor(cluster)
    expect(code).toBe(1)
    expect(find(`node 127.0.0.1:${dead.port}`)).toMatchObject({
      verdict: 'failed',
      detail: expect.stringMatching(/^a master of \d+ slots that does not answer/),
      fix: expect.stringContaining(`CLUSTER FORGET ${dead.id} on every other node`),
    })
    // It is one failure, not one of each check.
    expect(findings.filter(({ verdict }) => verdict === 'failed')).toHaveLength(1)
    expect(find(`server at 127.0.0.1:${dead.port}`)).toMatchObject({ verdict: 'skipped' })
    expect(find('scripts')).toMatchObject({ verdict: 'skipped' })
    // Who may not ask for the state of the nodes learns it from the master itself.
    const user = await runDoctor(cluster, AS_USER)
    expect(user.findings.filter(({ verdict }) => verdict === 'failed')).toMatchObject([
      {
        check: `server at 127.0.0.1:${dead.port}`,
        fix: expect.stringContaining(': restart it, or let a replica'),
      },
    ])
    await first.admin.call('CLUSTER', 'DELSLOTSRANGE', '0', '99')
    expect((await runDoctor(cluster)).find('slots')).toMatchObject({
      verdict: 'failed',
      detail: expect.stringMatching(/^100 of 16384 have no owner/),
    })
  })
})
