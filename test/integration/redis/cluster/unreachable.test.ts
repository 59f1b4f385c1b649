import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createReadProbe } from '../../../../cache-service/redis/probe.ts'
import { eventually } from '../../../support/eventually.ts'
import { startCliHere } from '../../../support/processes/run-cli-here.ts'
import { startApi } from '../../../support/processes/start-api.ts'
import { startRedisCluster, type RedisCluster } from '../../../support/servers/redis-cluster.ts'
import { connectToCluster } from '../../../support/servers/redis-connection.ts'
import { startOwnRedis, type OwnRedis } from '../../../support/servers/servers.ts'

let cluster: RedisCluster
let single: OwnRedis
beforeAll(async () => {
  cluster = await startRedisCluster({ aclUsers: { unprivileged: 'on >password ~* &* +@all -cluster' } })
  single = await startOwnRedis()
})
afterAll(async () => {
  await cluster?.stop()
  await single?.stop()
})

type Failure = {
  readonly name: string
  readonly env: () => Readonly<Record<string, string>>
  readonly reason: RegExp
  readonly setting: RegExp
  readonly exitCode: number
}

const FAILURES: readonly Failure[] = [
  {
    name: 'nothing listens at the addresses',
    env: () => ({ REDIS_CLUSTER_NODES: '127.0.0.1:1,127.0.0.1:2' }),
    reason: /127\.0\.0\.1:1, 127\.0\.0\.1:2: connect ECONNREFUSED/,
    setting: /REDIS_CLUSTER_NODES/,
    exitCode: 4,
  },
  {
    name: 'the name is unknown',
    env: () => ({ REDIS_CLUSTER_NODES: 'nohost.invalid:6379' }),
    reason: /nohost\.invalid:6379: getaddrinfo (ENOTFOUND|EAI_AGAIN)/,
    setting: /REDIS_CLUSTER_NODES/,
    exitCode: 4,
  },
  {
    name: 'the password is wrong',
    env: () => ({ REDIS_CLUSTER_NODES: cluster.seeds, REDIS_PASSWORD: 'wrong', REDIS_USERNAME: 'stranger' }),
    reason: /127\.0\.0\.1:\d+.*: WRONGPASS/,
    setting: /REDIS_USERNAME and REDIS_PASSWORD/,
    exitCode: 5,
  },
  {
    name: 'the user may not ask for the slots',
    env: () => ({
      REDIS_CLUSTER_NODES: cluster.seeds,
      REDIS_PASSWORD: 'password',
      REDIS_USERNAME: 'unprivileged',
    }),
    reason: /NOPERM .*cluster/,
    setting: /REDIS_USERNAME/,
    exitCode: 5,
  },
  {
    name: 'the server uses no TLS',
    env: () => ({ REDIS_CLUSTER_NODES: cluster.seeds, REDIS_TLS: 'true' }),
    reason: /127\.0\.0\.1:\d+.*: timeout/,
    setting: /REDIS_TLS/,
    exitCode: 4,
  },
  {
    name: 'the server is not in cluster mode',
    env: () => ({ REDIS_CLUSTER_NODES: `${single.host}:${single.port}` }),
    reason: /cluster support disabled/,
    setting: /REDIS_HOST and REDIS_PORT, or REDIS_URL, instead of REDIS_CLUSTER_NODES/,
    exitCode: 1,
  },
]

describe.each(FAILURES)('if $name', ({ env, exitCode, reason, setting }) => {
  test('cache-cli names the node, the reason and the setting', async () => {
    const { code, errors } = await startCliHere(['get', 'x'], { ...env(), REDIS_TIMEOUT_S: '0.3' }).ended
    expect(errors).toMatch(reason)
    expect(errors).toMatch(setting)
    expect(code).toBe(exitCode)
  })
})

test('a role that can reach no node names the configured ones in /readyz, and logs each reason', async () => {
  const seeds = '127.0.0.1:1,127.0.0.1:2'
  const api = await startApi({ REDIS_CLUSTER_NODES: seeds }, { until: '/livez' })
  onTestFinished(() => api.stop())
  await eventually(async () => {
    const reasons = await (await fetch(`${api.health}/readyz`)).text()
    expect(reasons).toContain(
      'Redis at the Cluster of 127.0.0.1:1, 127.0.0.1:2 has not answered a read: NO_NODE: 127.0.0.1:1, 127.0.0.1:2: connect ECONNREFUSED; check REDIS_CLUSTER_NODES',
    )
    expect(reasons).toContain('not following the event streams: 127.0.0.1:1, 127.0.0.1:2: connect ECONN')
  })
  const lines = api.lines()
  expect(lines.find(({ msg }) => msg === 'api started')?.['redis']).toBe(
    'the Cluster of 127.0.0.1:1, 127.0.0.1:2',
  )
  const failed = lines.filter(({ msg }) => msg === 'Redis is unavailable')
  for (const line of failed) expect(line).toMatchObject({ error: expect.stringMatching(/ECONNREFUSED/) })
  expect(failed.length).toBeGreaterThan(0)
})

test('a role that is refused by all nodes ends with the reason', async () => {
  const env = { REDIS_CLUSTER_NODES: cluster.seeds, REDIS_USERNAME: 'stranger', REDIS_PASSWORD: 'wrong' }
  await expect(startApi(env)).rejects.toThrow(/rejects the credentials \(127\.0\.0\.1:\d+.*: WRONGPASS/)
})

test('a client whose nodes have all stopped says why, and forgets it when they answer again', async () => {
  const own = await startRedisCluster({ masters: 1 })
  onTestFinished(() => own.stop())
  const { redis } = await connectToCluster(own, { timeoutMs: 300 })
  const telemetry = { redisWorks: () => undefined, redisFailed: () => undefined }
  const probe = createReadProbe(redis, telemetry, () => performance.now())
  await probe.attempt()
  const [node] = own.nodes
  if (node === undefined) throw new Error('no node')
  await own.kill(node)
  await eventually(async () => {
    await expect(probe.attempt()).rejects.toMatchObject({ code: 'NO_NODE' })
  })
  await own.restart(node)
  await eventually(() => probe.attempt())
})
