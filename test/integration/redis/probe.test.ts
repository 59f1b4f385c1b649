import type { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { LoopMonitor } from '../../../cache-service/lifecycle/loops.ts'
import { createReadProbe, createWriteProbe } from '../../../cache-service/redis/probe.ts'
import { ServerCheck } from '../../../cache-service/redis/server-check.ts'
import { probeKey } from '../../../shared/contract/keys.ts'
import { eventually } from '../../support/eventually.ts'
import { connectAsService, connectPlainly, redisConfigOf } from '../../support/servers/redis-connection.ts'
import {
  reserveOwnRedis,
  startOwnRedis,
  type OwnRedis,
  type OwnRedisOptions,
} from '../../support/servers/servers.ts'

const KEY = probeKey('worker-1')

/** Whether the server has answered the first command of the service's connection. */
async function greeted(other: Redis): Promise<boolean> {
  return String(await other.client('LIST')).includes('name=a-test')
}

async function ownRedis(options: OwnRedisOptions = {}): Promise<OwnRedis> {
  const server = await startOwnRedis(options)
  onTestFinished(() => server.stop())
  return server
}

type Credentials = { username?: string; password?: string }

function writeProbeOf(server: OwnRedis, credentials: Credentials = {}) {
  const said: string[] = []
  const world = { nowMs: 1_000_000, recoveries: 0 }
  const { redis, connecting } = connectAsService(redisConfigOf(server, { timeoutMs: 300, ...credentials }))
  const telemetry = {
    redisWorks: () => void said.push('works'),
    redisFailed: ({ code }: { code: string }) => void said.push(`failed ${code}`),
    unsafeEviction: (policy: string) => void said.push(`evicts: ${policy}`),
  }
  const recovered = () => void world.recoveries++
  const probe = createWriteProbe(redis, KEY, telemetry, () => world.nowMs, recovered, 'all masters')
  return { probe, redis, connecting, said, world }
}

describe('readiness by the write probe', () => {
  test('is false before the first write', async () => {
    const { probe, connecting } = writeProbeOf(await ownRedis())
    await connecting
    expect(probe.notReadyReasons()).toEqual([expect.stringMatching(/no attempt yet/)])
  })

  test('is true for ten seconds after a write', async () => {
    const { probe, connecting, said, world } = writeProbeOf(await ownRedis())
    await connecting
    await probe.attempt()
    expect(said).toEqual(['works'])
    expect(probe.notReadyReasons()).toEqual([])
    world.nowMs += 9_999
    expect(probe.notReadyReasons()).toEqual([])
    world.nowMs += 1
    expect(probe.notReadyReasons()).toHaveLength(1)
    await probe.attempt()
    expect(probe.notReadyReasons()).toEqual([])
  })

  test('is false without a Redis, and the reason names its address', async () => {
    const server = await reserveOwnRedis()
    onTestFinished(() => server.stop())
    const { probe, connecting, said } = writeProbeOf(server)
    await connecting
    await expect(probe.attempt()).rejects.toMatchObject({ code: 'CONNECTION', failureClass: 'transient' })
    expect(said).toContain('failed CONNECTION')
    const [reason = ''] = probe.notReadyReasons()
    expect(reason).toContain(`127.0.0.1:${server.port}`)
    expect(reason).toContain('ECONNREFUSED')
  })

  test('survives a short failure, and after a longer one the reason names it', async () => {
    const server = await ownRedis({ args: ['--maxmemory-policy', 'noeviction'] })
    const { probe, connecting, world } = writeProbeOf(server)
    await connecting
    await probe.attempt()
    await connectPlainly(server).config('SET', 'maxmemory', '1')
    await expect(probe.attempt()).rejects.toMatchObject({ code: 'OOM' })
    expect(probe.notReadyReasons()).toEqual([])
    world.nowMs += 10_000
    expect(probe.notReadyReasons()).toEqual([expect.stringContaining('OOM')])
  })

  test.each([
    ['WRONGPASS', { password: 'wrong' }],
    ['NOAUTH', {}],
  ])('has the reason %s if that is why there is no connection', async (code, credentials) => {
    const { probe, connecting } = writeProbeOf(
      { ...(await ownRedis({ password: 'secret' })), password: undefined },
      credentials,
    )
    await connecting
    await expect(probe.attempt()).rejects.toMatchObject({ code, failureClass: 'operator' })
    expect(probe.notReadyReasons()).toEqual([expect.stringContaining(code)])
  })

  test('has no reason left over from a failure that has ended', async () => {
    const server = await ownRedis()
    const { probe, connecting, world } = writeProbeOf(server)
    await connecting
    await probe.attempt()
    await server.kill('SIGKILL')
    await eventually(() => expect(probe.attempt()).rejects.toMatchObject({ failureClass: 'transient' }))
    await server.start()
    await eventually(() => probe.attempt())
    expect(probe.notReadyReasons()).toEqual([])
    world.nowMs += 10_000
    expect(probe.notReadyReasons()).toEqual([expect.not.stringMatching(/CONNECTION|TIMEOUT/)])
  })
})

describe('the write probe', () => {
  test('writes only its own key, which expires', async () => {
    const server = await ownRedis()
    const { probe, connecting } = writeProbeOf(server)
    await connecting
    await probe.attempt()
    const plain = connectPlainly(server)
    expect(await plain.keys('*')).toEqual([KEY])
    expect(await plain.pttl(KEY)).toBeGreaterThan(0)
  })

  test('fails on a replica, where a ping succeeds', async () => {
    const server = await ownRedis()
    const { probe, redis, connecting } = writeProbeOf(server)
    await connecting
    const plain = connectPlainly(server)
    await plain.replicaof('127.0.0.1', 1)
    expect(await redis.ping()).toBe('PONG')
    await expect(probe.attempt()).rejects.toMatchObject({ code: 'READONLY', failureClass: 'transient' })
  })

  test.each([
    ['allkeys-lru', ['evicts: allkeys-lru', 'works']],
    ['volatile-ttl', ['evicts: volatile-ttl', 'works']],
    ['noeviction', ['works']],
  ])('warns at most once about the eviction policy %s', async (policy, expected) => {
    const { probe, connecting, said } = writeProbeOf(await ownRedis({ args: ['--maxmemory-policy', policy] }))
    await connecting
    await probe.attempt()
    expect(said).toEqual(expected)
    await probe.attempt()
    expect(said).toEqual([...expected, 'works'])
  })

  test('works for a user who may not read the eviction policy', async () => {
    const server = await ownRedis({ aclUsers: { worker: 'on >pass ~* +@all -info' } })
    const { probe, connecting, said } = writeProbeOf(server, { username: 'worker', password: 'pass' })
    await connecting
    await probe.attempt()
    expect(said).toEqual(['works'])
  })
})

test('the read probe fails for a user who may not read, where a ping succeeds', async () => {
  const server = await ownRedis({ aclUsers: { api: 'on >pass ~* +@all -exists' } })
  const config = redisConfigOf(server, { username: 'api', password: 'pass', timeoutMs: 300 })
  const { redis, connecting } = connectAsService(config)
  await connecting
  const world = { nowMs: 1_000_000 }
  const telemetry = { redisWorks: () => undefined, redisFailed: () => undefined }
  const probe = createReadProbe(redis, telemetry, () => world.nowMs)
  expect(await redis.ping()).toBe('PONG')
  await expect(probe.attempt()).rejects.toMatchObject({ code: 'NOPERM', failureClass: 'operator' })
  expect(probe.notReadyReasons()).toEqual([expect.stringMatching(/has not answered a read: NOPERM/)])
  await connectPlainly(server).acl('SETUSER', 'api', '+exists')
  await probe.attempt()
  world.nowMs += 4_999
  expect(probe.notReadyReasons()).toEqual([])
  world.nowMs += 1
  expect(probe.notReadyReasons()).toHaveLength(1)
})

describe('the service of a probe', () => {
  const monitor = new LoopMonitor(() => 0)

  test.each([
    ['a wrong password', { password: 'wrong' }, /REDIS_PASSWORD/],
    ['no password', {}, /REDIS_PASSWORD/],
    ['a user who may not write', { username: 'reader', password: 'pass' }, /REDIS_USERNAME/],
  ])('fails at start with an error that names the setting for %s', async (_, credentials, named) => {
    const aclUsers = { reader: 'on >pass ~* +@read +@connection' }
    const server = { ...(await ownRedis({ password: 'secret', aclUsers })), password: undefined }
    const { probe } = writeProbeOf(server, credentials)
    const failure: unknown = await probe
      .service(20, monitor)
      .run(AbortSignal.timeout(20_000))
      .catch((error: unknown) => error)
    expect(failure).toMatchObject({ name: 'OperatorError', message: expect.stringMatching(named) })
  })

  test('continues when a password is required before its first attempt, but after the login was accepted', async () => {
    const server = await ownRedis()
    const { connecting, probe, redis, said } = writeProbeOf(server)
    const connectedBefore = connectPlainly(server)
    await connectedBefore.ping()
    await connecting
    await eventually(() => expect(greeted(connectedBefore)).resolves.toBe(true))
    await connectedBefore.config('SET', 'requirepass', 'secret')
    await connectedBefore.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    const check = new ServerCheck(redis, [], {
      keyMistyped: () => undefined,
      keyTypeRestored: () => undefined,
      redisFailed: ({ code }) => void said.push(`check failed ${code}`),
    })
    const stop = new AbortController()
    const running = [probe.service(20, monitor), check.service(monitor)].map((one) => one.run(stop.signal))
    await eventually(() => expect(said).toContain('failed NOAUTH'))
    await eventually(() => expect(said).toContain('check failed NOAUTH'))
    await connectedBefore.config('SET', 'requirepass', '')
    await connectedBefore.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await eventually(() => expect(said).toContain('works'))
    stop.abort()
    await Promise.all(running)
  })

  test('continues during an outage, and when access is denied after it has worked', async () => {
    const server = await ownRedis({ aclUsers: { worker: 'on >pass ~* +@all' } })
    const { probe, said, world } = writeProbeOf(server, { username: 'worker', password: 'pass' })
    const stop = new AbortController()
    const running = probe.service(20, monitor).run(stop.signal)
    const plain = connectPlainly(server)
    await eventually(() => expect(said).toContain('works'))
    await plain.acl('SETUSER', 'worker', '-set')
    await eventually(() => expect(said).toContain('failed NOPERM'))
    const { recoveries } = world
    await plain.acl('SETUSER', 'worker', '+set')
    await eventually(() => expect(said.at(-1)).toBe('works'))
    expect(world.recoveries).toBe(recoveries + 1)
    await server.kill('SIGKILL')
    await eventually(() => expect(said.at(-1)).toMatch(/^failed (CONNECTION|TIMEOUT)/))
    stop.abort()
    await running
  })
})
