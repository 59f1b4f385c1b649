import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { redisAclOf } from '../support/docs/redis-acl.ts'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { openLoadedWorker } from '../support/faults/loaded-worker.ts'
import { becomesNotReady, valueOf } from '../support/processes/worker-facts.ts'
import type { ScenarioContext } from '../support/processes/worker-scenario.ts'
import { startNetworkProxy } from '../support/servers/network-proxy.ts'
import { readEverything } from '../support/servers/redis-connection.ts'
import { startOwnRedis } from '../support/servers/servers.ts'

const HELD_MS = 3_000

function openPlainly({ onTestFinished }: ScenarioContext, url: string): Redis {
  const redis = new Redis(url, { enableReadyCheck: false, retryStrategy: () => null })
  redis.on('error', () => undefined)
  onTestFinished(() => redis.disconnect())
  return redis
}

/** The device hashes with their expiries, and the index. */
async function devicesIn(redis: Redis): Promise<Record<string, unknown>> {
  const everything = Object.entries(await readEverything(redis))
  return Object.fromEntries(everything.filter(([key]) => !key.startsWith('cache_service:')))
}

describe('a worker under load holds, and recovers by itself', () => {
  test('when the primary becomes a replica, and its address leads to the new primary later', async (context) => {
    const report = reportFault(context, 'R4')
    const first = await startOwnRedis()
    context.onTestFinished(() => first.stop())
    const second = await startOwnRedis()
    context.onTestFinished(() => second.stop())
    const [old, next] = [openPlainly(context, first.url), openPlainly(context, second.url)]
    await next.replicaof('127.0.0.1', first.port)
    await patiently(async () => expect(await next.info('replication')).toContain('master_link_status:up'))
    const proxy = await startNetworkProxy(first)
    context.onTestFinished(() => proxy.stop())
    // The test reads from the server that is the primary at the end.
    const loaded = await openLoadedWorker(context, {
      ownRedis: second,
      env: { REDIS_URL: `redis://127.0.0.1:${proxy.port}` },
    })
    const { load, reader } = loaded

    // What the old primary accepts after the new one was promoted is lost.
    const lostFrom = load.sent
    await reader.duringLoss(async () => {
      await next.replicaof('NO', 'ONE')
      await patiently(() => expect(load.sent).toBeGreaterThan(lostFrom + 200))
      await old.replicaof('127.0.0.1', second.port)
    })
    const heldAfterMs = await becomesNotReady(
      loaded.worker,
      /holding: redis (READONLY|MASTERDOWN|CONNECTION)/,
    )
    await loaded.staysHeld(/holding: redis/, HELD_MS)
    proxy.target = second
    await loaded.recovers(report)
    const lost = await valueOf(loaded.worker, 'cache_loss_total')
    report.saw(
      `503 after ${heldAfterMs} ms; the writes that only the old primary had (${lost} partitions) are read again`,
    )
    expect(await valueOf(loaded.worker, 'redis_errors_total', { code: 'READONLY' })).toBeGreaterThan(0)
    expect(lost).toBeGreaterThan(0)
  })

  test('when Redis is full, without moving an expiry', async (context) => {
    const report = reportFault(context, 'R5')
    const loaded = await openLoadedWorker(context, {
      ownRedis: { args: ['--maxmemory-policy', 'noeviction'] },
    })
    const { redis } = loaded.scenario
    await redis.config('SET', 'maxmemory', '1mb')
    const heldAfterMs = await becomesNotReady(loaded.worker, /holding: redis OOM.*raise maxmemory/)
    const before = await devicesIn(redis)
    await loaded.staysHeld(/holding: redis OOM/, HELD_MS)
    expect(await devicesIn(redis)).toEqual(before)
    await redis.config('SET', 'maxmemory', '0')
    await loaded.recovers(report)
    const count = Object.keys(before).length
    report.saw(`\`holding: redis OOM\` after ${heldAfterMs} ms; ${count} keys and their expiries unchanged`)
    expect(await valueOf(loaded.worker, 'redis_errors_total', { code: 'OOM' })).toBeGreaterThan(0)
  })

  test('when Redis cannot save', async (context) => {
    const report = reportFault(context, 'R7')
    const loaded = await openLoadedWorker(context, {
      ownRedis: { args: ['--enable-protected-configs', 'local'] },
    })
    const { redis, redisServer } = loaded.scenario
    const folder = join(redisServer.folder, 'data')
    mkdirSync(folder)
    await redis.config('SET', 'dir', folder)
    await redis.config('SET', 'save', '3600 1000000')
    rmSync(folder, { recursive: true })
    await redis.bgsave()
    const heldAfterMs = await becomesNotReady(loaded.worker, /holding: redis MISCONF/)
    await loaded.staysHeld(/holding: redis MISCONF/, HELD_MS)
    mkdirSync(folder)
    // Its working folder is still the one that was removed.
    await redis.config('SET', 'dir', folder)
    await redis.bgsave()
    await loaded.recovers(report)
    report.saw(`\`holding: redis MISCONF\` after ${heldAfterMs} ms`)
  })

  test('when Redis is busy with the script of another client', async (context) => {
    const report = reportFault(context, 'R9')
    const loaded = await openLoadedWorker(context, { ownRedis: { args: ['--busy-reply-threshold', '100'] } })
    const { redis, redisServer } = loaded.scenario
    const endless = openPlainly(context, redisServer.url)
      .eval('while true do end', 0)
      .catch((error: unknown) => String(error))
    const heldAfterMs = await becomesNotReady(loaded.worker, /holding: redis (BUSY|TIMEOUT)/)
    await loaded.staysHeld(/holding: redis/, HELD_MS)
    await redis.script('KILL')
    expect(await endless).toMatch(/killed/i)
    await loaded.recovers(report)
    report.saw(`503 after ${heldAfterMs} ms`)
    expect(await valueOf(loaded.worker, 'redis_errors_total', { code: 'BUSY' })).toBeGreaterThan(0)
  })

  test('when a command is taken away from its ACL user, which it also needs to start', async (context) => {
    const report = reportFault(context, 'R11')
    const server = await startOwnRedis({ aclUsers: { cache: `on >secret ${redisAclOf('worker')}` } })
    context.onTestFinished(() => server.stop())
    const env = { REDIS_URL: `redis://cache:secret@127.0.0.1:${server.port}` }
    const loaded = await openLoadedWorker(context, { ownRedis: server, env })
    const { scenario, worker } = loaded
    await scenario.redis.acl('SETUSER', 'cache', '-evalsha', '-set')
    const heldAfterMs = await becomesNotReady(loaded.worker, /holding: redis NOPERM.*REDIS_USERNAME/)
    await loaded.staysHeld(/holding: redis NOPERM/, HELD_MS)
    expect(worker.logLines()).toContainEqual(expect.objectContaining({ level: 'error', code: 'NOPERM' }))
    const other = await scenario.startWorker()
    expect(await other.exit).toBe(2)
    expect(other.logLines()).toContainEqual(
      expect.objectContaining({ level: 'fatal', msg: expect.stringContaining('REDIS_USERNAME') }),
    )
    await scenario.redis.acl('SETUSER', 'cache', '+evalsha', '+set')
    await loaded.recovers(report)
    report.saw(`EVALSHA and SET denied under load: 503 after ${heldAfterMs} ms; at the start: exit code 2`)
  })

  test('when Redis has no connection left', async (context) => {
    const report = reportFault(context, 'R12')
    const loaded = await openLoadedWorker(context)
    const { redis, redisServer } = loaded.scenario
    const others = Array.from({ length: 8 }, () => openPlainly(context, redisServer.url))
    const ids = await Promise.all(others.map((other) => other.client('ID')))
    await redis.config('SET', 'maxclients', '5')
    const ours = String(await redis.client('LIST'))
      .split('\n')
      .filter((line) => line.includes(' name=cache_service'))
      .map((line) => /^id=(\d+)/.exec(line)?.[1] ?? '')
    for (const id of ours) await redis.call('CLIENT', 'KILL', 'ID', id)
    expect(ours.filter((id) => ids.map(String).includes(id))).toEqual([])
    const heldAfterMs = await becomesNotReady(loaded.worker, /holding: redis.*(MAXCLIENTS|CONNECTION)/)
    await patiently(async () =>
      expect((await loaded.worker.get('/readyz')).body).toMatch(/max number of clients/),
    )
    const rejected = async () =>
      Number(/rejected_connections:(\d+)/.exec(await redis.info('stats'))?.[1] ?? NaN)
    const [before, since] = [await rejected(), performance.now()]
    await loaded.staysHeld(/holding: redis/, 5_000)
    const attempts = (await rejected()) - before
    const seconds = (performance.now() - since) / 1000
    expect(attempts).toBeGreaterThan(0)
    // Each of the connections waits for a second on average, at most for 2 seconds.
    expect(attempts / seconds).toBeLessThan(5 * ours.length)
    for (const other of others) other.disconnect()
    await redis.config('SET', 'maxclients', '100')
    await loaded.recovers(report)
    report.saw(
      `503 after ${heldAfterMs} ms; ${(attempts / seconds).toFixed(1)} attempts to connect a second (${ours.length} connections)`,
    )
  })
})
