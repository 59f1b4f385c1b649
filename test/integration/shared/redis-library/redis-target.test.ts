import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import ioredis5 from 'ioredis-5'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { redisSettingsFrom } from '../../../../shared/redis-library/environment.ts'
import { RedisSettingsError } from '../../../../shared/redis-library/errors.ts'
import { RedisConfigStore } from '../../../../shared/redis-library/redis-config-store.ts'
import { FailedValue, RedisService } from '../../../../shared/redis-library/redis-service.ts'
import type { RedisClient, RedisTarget } from '../../../../shared/redis-library/target.ts'
import type { ConfigChange } from '../../../../shared/redis-library/watched-config.ts'
import { patiently } from '../../../support/eventually.ts'
import { reservePort } from '../../../support/servers/free-port.ts'
import { connectPlainly } from '../../../support/servers/redis-connection.ts'
import { REDIS_PROGRAM } from '../../../support/servers/native-redis.ts'
import { startOwnRedis } from '../../../support/servers/servers.ts'

const schema = z.object({ n: z.number() })
const NOTIFYING = ['--notify-keyspace-events', 'K$lgx']

async function ownServer(...args: string[]) {
  const server = await startOwnRedis({ args: [...NOTIFYING, ...args] })
  onTestFinished(() => server.stop())
  return server
}

/** The client is closed when the test ends, by the test and not by the library. */
function openClient<Client extends { disconnect(): void; on(event: 'error', listener: () => void): unknown }>(
  client: Client,
): Client {
  client.on('error', () => undefined)
  onTestFinished(() => client.disconnect())
  return client
}

/** What both classes promise, whatever they are connected by. */
async function useBoth(target: RedisTarget): Promise<void> {
  const service = new RedisService(target, { name: 'from-library' })
  onTestFinished(() => service.close())
  await service.connect()
  const keys = Array.from({ length: 20 }, (_, i) => `value:${i}`)
  for (const [n, key] of keys.entries()) await service.set(key, { n }, { schema, ttlS: 600 })
  await service.set('value:text', 'no JSON')
  expect(await service.mget([...keys, 'value:none', 'value:text'], schema)).toEqual([
    ...keys.map((_, n) => ({ n })),
    ...[null, expect.any(FailedValue)],
  ])
  expect((await service.listKeys('value:*')).sort()).toEqual([...keys, 'value:text'].sort())
  expect([await service.delete('value:0'), await service.delete('value:0')]).toEqual([true, false])
  expect(await service.isAlive()).toBe(true)

  const store = new RedisConfigStore(target, { prefix: 'app:', name: 'from-library', maxVersions: 2 })
  onTestFinished(() => store.close())
  await store.connect()
  expect(await store.isReady()).toBe(true)
  const other = new RedisConfigStore(target, { prefix: 'app:', name: 'from-library' })
  onTestFinished(() => other.close())
  await other.connect()
  const changes: ConfigChange[] = []
  const watch = await store.watch('limits', (change) => void changes.push(change))
  for (const n of [1, 2, 3]) {
    await other.update('limits', { n }, { expectedVersion: n - 1 })
    await patiently(() =>
      expect(changes.at(-1)).toMatchObject({ event: 'rpush', version: n, text: `{"n":${n}}` }),
    )
    expect(await store.fetch(schema, 'limits')).toEqual({ n })
  }
  expect(changes).toHaveLength(3)
  await store.update('limits', { n: 4 })
  expect((await other.history('limits')).map(({ version }) => version)).toEqual([3, 4])
  await watch.stop()
  expect(await other.delete('limits')).toBe(true)
  await patiently(async () => expect(await store.fetch(schema, 'limits')).toBeNull())
  await Promise.all([store.close(), other.close(), service.close()])
  await expect(service.getRaw('value:1')).rejects.toThrow('not connected')
}

describe('a URL', () => {
  test('is all that both classes need, with the password and the database in it', async () => {
    const server = await startOwnRedis({ password: 'p@ss', args: NOTIFYING })
    onTestFinished(() => server.stop())
    await useBoth({ url: `redis://:p%40ss@${server.host}:${server.port}/3` })
  })

  test.each(['cache:6379', 'http://cache', 'redis://cache/x'])(
    '%s is refused without being quoted',
    (url) => {
      for (const create of [() => new RedisService({ url }), () => new RedisConfigStore({ url })]) {
        expect(create).toThrow(RedisSettingsError)
        expect(create).toThrow(/^url must be redis:\/\/ or rediss:\/\/\[user/)
      }
      expect(() => new RedisService({ url: 'redis://cache', tls: {} })).toThrow('must begin with rediss://')
    },
  )
})

describe('a client of the caller', () => {
  test.each([
    ['ioredis 6', (url: string): RedisClient & Redis => new Redis(url, { lazyConnect: true })],
    ['ioredis 5', (url: string) => new ioredis5.default(url)],
  ])('of %s is used by both classes, and stays open', async (_, create) => {
    const server = await ownServer()
    const client = openClient(create(`${server.url}/2`))
    await useBoth({ client })
    expect(await client.ping()).toBe('PONG')
    expect(await client.keys('value:*')).not.toEqual([])
    // Nothing but the client of the caller is left, and this one.
    const plain = connectPlainly(server)
    await patiently(async () =>
      expect(
        String(await plain.client('LIST'))
          .trim()
          .split('\n'),
      ).toHaveLength(2),
    )
  })

  test('that waits for a connection does not make a call wait for longer than timeoutMs', async () => {
    const server = await ownServer()
    const client = openClient(new Redis(server.url, { maxRetriesPerRequest: null }))
    const service = new RedisService({ client, timeoutMs: 300 })
    await service.connect()
    await server.kill()
    await expect(service.getRaw('key')).rejects.toMatchObject({ name: 'RedisConnectionError' })
    await expect(new RedisService({ client, timeoutMs: 300 }).connect()).rejects.toThrow(/given client/)
    expect(await service.isAlive()).toBe(false)
    await server.start()
    await patiently(async () => expect(await service.isAlive()).toBe(true))
  })

  test('with a keyPrefix is refused', () => {
    const client = openClient(new Redis({ keyPrefix: 'a:', lazyConnect: true }))
    expect(() => new RedisService({ client })).toThrow('client must have no keyPrefix')
    expect(() => new RedisConfigStore({ client })).toThrow(RedisSettingsError)
  })

  test('with Sentinel follows the master that Sentinel names', async () => {
    const server = await ownServer()
    const { port, release } = await reservePort()
    onTestFinished(release)
    const folder = await mkdtemp(join(tmpdir(), 'test-sentinel-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const config = join(folder, 'sentinel.conf')
    await writeFile(
      config,
      `port ${port}\ndir ${folder}\nsentinel monitor cache ${server.host} ${server.port} 1\n`,
    )
    const sentinel = spawn(REDIS_PROGRAM, [config, '--sentinel'], { stdio: 'ignore' })
    const closed = new Promise((resolve) => sentinel.once('close', resolve))
    onTestFinished(async () => {
      sentinel.kill('SIGKILL')
      await closed
    })
    const client = openClient(new Redis({ sentinels: [{ host: '127.0.0.1', port }], name: 'cache' }))
    await patiently(async () => expect(await client.ping()).toBe('PONG'))
    await useBoth({ client })

    const settings = redisSettingsFrom({ REDIS_SENTINELS: `127.0.0.1:${port}`, REDIS_SENTINEL_NAME: 'cache' })
    await new RedisService(settings).connect()
    await useBoth(settings)
    const unknown = new RedisService({ ...settings, name: 'another' })
    await expect(unknown.connect()).rejects.toThrow(
      `another of the Sentinels 127.0.0.1:${port}/0 failed: the Sentinels 127.0.0.1:${port} do not know a primary named another`,
    )
  })
})
