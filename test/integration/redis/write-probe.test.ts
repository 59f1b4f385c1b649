import { describe, expect, onTestFinished, test } from 'vitest'
import { LoopMonitor } from '../../../cache-service/lifecycle/loops.ts'
import { WriteProbe } from '../../../cache-service/redis/write-probe.ts'
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

async function ownRedis(options: OwnRedisOptions = {}): Promise<OwnRedis> {
  const server = await startOwnRedis(options)
  onTestFinished(() => server.stop())
  return server
}

function probeOf(server: OwnRedis, credentials: { username?: string; password?: string } = {}) {
  const said: string[] = []
  const world = { nowMs: 1_000_000 }
  const { redis, connecting } = connectAsService(redisConfigOf(server, { timeoutMs: 300, ...credentials }))
  const telemetry = {
    redisWorks: () => void said.push('works'),
    redisFailed: ({ code }: { code: string }) => void said.push(`failed ${code}`),
    unsafeEviction: (policy: string) => void said.push(`evicts: ${policy}`),
  }
  const probe = new WriteProbe(redis, KEY, telemetry, () => world.nowMs)
  return { probe, redis, connecting, said, world }
}

describe('readiness', () => {
  test('is not there before the first write', async () => {
    const { probe, connecting } = probeOf(await ownRedis())
    await connecting
    expect(probe.notReadyReasons()).toEqual([expect.stringMatching(/not tried yet/)])
  })

  test('is there after a write, for ten seconds', async () => {
    const { probe, connecting, said, world } = probeOf(await ownRedis())
    await connecting
    await probe.write()
    expect(said).toEqual(['works'])
    expect(probe.notReadyReasons()).toEqual([])
    world.nowMs += 9_999
    expect(probe.notReadyReasons()).toEqual([])
    world.nowMs += 1
    expect(probe.notReadyReasons()).toHaveLength(1)
    await probe.write()
    expect(probe.notReadyReasons()).toEqual([])
  })

  test('is not there without a Redis, and says where it was looked for', async () => {
    const server = await reserveOwnRedis()
    onTestFinished(() => server.stop())
    const { probe, connecting, said } = probeOf(server)
    await connecting
    await expect(probe.write()).rejects.toMatchObject({ code: 'CONNECTION', failureClass: 'transient' })
    expect(said).toContain('failed CONNECTION')
    const [reason = ''] = probe.notReadyReasons()
    expect(reason).toContain(`127.0.0.1:${server.port}`)
    expect(reason).toContain('ECONNREFUSED')
  })

  test('outlasts a failure of a moment, and then says which it was', async () => {
    const server = await ownRedis({ args: ['--maxmemory-policy', 'noeviction'] })
    const { probe, connecting, world } = probeOf(server)
    await connecting
    await probe.write()
    await connectPlainly(server).config('SET', 'maxmemory', '1')
    await expect(probe.write()).rejects.toMatchObject({ code: 'OOM' })
    expect(probe.notReadyReasons()).toEqual([])
    world.nowMs += 10_000
    expect(probe.notReadyReasons()).toEqual([expect.stringContaining('OOM')])
  })

  test.each([
    ['WRONGPASS', { password: 'wrong' }],
    ['NOAUTH', {}],
  ])('says %s where that is why there is no connection', async (code, credentials) => {
    const { probe, connecting } = probeOf(
      { ...(await ownRedis({ password: 'secret' })), password: undefined },
      credentials,
    )
    await connecting
    await expect(probe.write()).rejects.toMatchObject({ code, failureClass: 'operator' })
    expect(probe.notReadyReasons()).toEqual([expect.stringContaining(code)])
  })

  test('does not speak of an old trouble', async () => {
    const server = await ownRedis()
    const { probe, connecting, world } = probeOf(server)
    await connecting
    await probe.write()
    await server.kill('SIGKILL')
    await eventually(() => expect(probe.write()).rejects.toMatchObject({ failureClass: 'transient' }))
    await server.start()
    await eventually(() => probe.write())
    expect(probe.notReadyReasons()).toEqual([])
    world.nowMs += 10_000
    expect(probe.notReadyReasons()).toEqual([expect.not.stringMatching(/CONNECTION|TIMEOUT/)])
  })
})

describe('the probe', () => {
  test('writes a key of its own, which goes by itself', async () => {
    const server = await ownRedis()
    const { probe, connecting } = probeOf(server)
    await connecting
    await probe.write()
    const plain = connectPlainly(server)
    expect(await plain.keys('*')).toEqual([KEY])
    expect(await plain.pttl(KEY)).toBeGreaterThan(0)
  })

  test('fails on a replica, where a ping would not', async () => {
    const server = await ownRedis()
    const { probe, redis, connecting } = probeOf(server)
    await connecting
    const plain = connectPlainly(server)
    await plain.replicaof('127.0.0.1', 1)
    expect(await redis.ping()).toBe('PONG')
    await expect(probe.write()).rejects.toMatchObject({ code: 'READONLY', failureClass: 'transient' })
  })

  test.each([
    ['allkeys-lru', ['evicts: allkeys-lru', 'works']],
    ['volatile-ttl', ['evicts: volatile-ttl', 'works']],
    ['noeviction', ['works']],
  ])('warns once of the policy %s', async (policy, expected) => {
    const { probe, connecting, said } = probeOf(await ownRedis({ args: ['--maxmemory-policy', policy] }))
    await connecting
    await probe.write()
    expect(said).toEqual(expected)
    await probe.write()
    expect(said).toEqual([...expected, 'works'])
  })

  test('works for a user who may not ask for the policy', async () => {
    const server = await ownRedis({ aclUsers: { worker: 'on >pass ~* +@all -info' } })
    const { probe, connecting, said } = probeOf(server, { username: 'worker', password: 'pass' })
    await connecting
    await probe.write()
    expect(said).toEqual(['works'])
  })
})

describe('the probe as a service', () => {
  const monitor = new LoopMonitor(() => 0)

  test.each([
    ['a wrong password', { password: 'wrong' }, /REDIS_PASSWORD/],
    ['no password', {}, /REDIS_PASSWORD/],
    ['a user who may not write', { username: 'reader', password: 'pass' }, /REDIS_USERNAME/],
  ])('ends with an error that names the setting for %s at start', async (_, credentials, named) => {
    const aclUsers = { reader: 'on >pass ~* +@read +@connection' }
    const server = { ...(await ownRedis({ password: 'secret', aclUsers })), password: undefined }
    const { probe } = probeOf(server, credentials)
    const failure: unknown = await probe
      .service(20, monitor)
      .run(AbortSignal.timeout(20_000))
      .catch((error: unknown) => error)
    expect(failure).toMatchObject({ name: 'OperatorError', message: expect.stringMatching(named) })
  })

  test('goes on through an outage, and through a refusal after it has worked', async () => {
    const server = await ownRedis({ aclUsers: { worker: 'on >pass ~* +@all' } })
    const { probe, said } = probeOf(server, { username: 'worker', password: 'pass' })
    const stop = new AbortController()
    const running = probe.service(20, monitor).run(stop.signal)
    const plain = connectPlainly(server)
    await eventually(() => expect(said).toContain('works'))
    await plain.acl('SETUSER', 'worker', '-set')
    await eventually(() => expect(said).toContain('failed NOPERM'))
    await plain.acl('SETUSER', 'worker', '+set')
    await eventually(() => expect(said.at(-1)).toBe('works'))
    await server.kill('SIGKILL')
    await eventually(() => expect(said.at(-1)).toMatch(/^failed (CONNECTION|TIMEOUT)/))
    stop.abort()
    await running
  })
})
