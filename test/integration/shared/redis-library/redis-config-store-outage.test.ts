import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import {
  RedisConfigStore,
  type RedisConfigStoreOptions,
} from '../../../../shared/redis-library/redis-config-store.ts'
import { RedisConnectionError, type RedisServiceError } from '../../../../shared/redis-library/errors.ts'
import type { ConfigChange } from '../../../../shared/redis-library/watched-config.ts'
import { patiently } from '../../../support/eventually.ts'
import { connectPlainly } from '../../../support/servers/redis-connection.ts'
import { reserveOwnRedis, startOwnRedis } from '../../../support/servers/servers.ts'

const schema = z.object({ n: z.number() })
const ENABLED = ['--notify-keyspace-events', 'K$lgx']
/** Keeps its data when it is killed. */
const DURABLE = [...ENABLED, '--appendonly', 'yes', '--appendfsync', 'always']

/** @param flags of the notifications, set at run time: they last until Redis is restarted. */
async function setUp(
  args: readonly string[] = DURABLE,
  options: RedisConfigStoreOptions = {},
  flags: string | undefined = undefined,
) {
  const server = await startOwnRedis({ args })
  onTestFinished(() => server.stop())
  const redis = connectPlainly(server)
  if (flags !== undefined) await redis.config('SET', 'notify-keyspace-events', flags)
  const problems: RedisServiceError[] = []
  const store = new RedisConfigStore(
    { host: server.host, port: server.port, timeoutMs: 500 },
    { prefix: 'app:', onProblem: (problem) => void problems.push(problem), ...options },
  )
  onTestFinished(() => store.close())
  await store.connect()
  return { server, store, problems, redis }
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
}

test('during an outage fetch returns the last known value, and throws for a config that was never read', async () => {
  const { server, store } = await setUp()
  await store.update('key', { n: 1 })
  await store.update('key', { n: 2 })
  await server.kill('SIGKILL')
  await patiently(async () => expect(await store.isReady()).toBe(false))
  expect(await store.fetch(schema, 'key')).toEqual({ n: 2 })
  expect([await store.versions('key'), store.cachedVersion('key')]).toEqual([2, 2])
  for (const attempt of [
    () => store.fetch(schema, 'other'),
    () => store.update('key', { n: 3 }),
    () => store.delete('key'),
    () => store.history('key'),
    () => store.watch('key', () => undefined),
  ]) {
    expect(await failureOf(attempt())).toBeInstanceOf(RedisConnectionError)
  }
  expect(await store.fetch(schema, 'key')).toEqual({ n: 2 })
  await server.start()
  await patiently(async () => expect(await store.isReady()).toBe(true))
  expect(await store.update('key', { n: 3 })).toEqual({ kind: 'appended', version: 3 })
})

test('a change during an outage is reported once, after the outage', async () => {
  const { server, store, redis } = await setUp()
  await store.update('changed', { n: 1 })
  await store.update('same', { n: 1 })
  const changes: ConfigChange[] = []
  for (const key of ['changed', 'same', 'new']) await store.watch(key, (change) => void changes.push(change))
  await server.restart()
  await patiently(async () => {
    await redis.rpush('app:changed', '{"n":2}')
    await redis.set('app:new', '{"n":3}')
  })
  await patiently(async () => expect(await store.isReady()).toBe(true))
  await patiently(async () => {
    expect(await store.fetch(schema, 'changed')).toEqual({ n: 2 })
    const last = (key: string) => changes.findLast((change) => change.key === key)
    expect([last('changed')?.text, last('new')?.text]).toEqual(['{"n":2}', '{"n":3}'])
  })
  expect(changes.filter(({ key }) => key === 'same')).toEqual([])
  changes.length = 0
  await redis.rpush('app:changed', '{"n":4}')
  await patiently(() => expect(changes.map(({ event, version }) => [event, version])).toEqual([['rpush', 3]]))
})

test('a change that is missed because only the listener lost its connection is reported', async () => {
  const { store, redis } = await setUp()
  await store.update('key', { n: 1 })
  const changes: ConfigChange[] = []
  await store.watch('key', (change) => void changes.push(change))
  const listener = /id=(\d+) [^\n]*name=redis-config-store-listener/.exec(
    String(await redis.client('LIST')),
  )?.[1]
  // In one step: the listener cannot subscribe between the two.
  await redis.multi().client('KILL', 'ID', String(listener)).rpush('app:key', '{"n":2}').exec()
  await patiently(() =>
    expect(changes).toEqual([{ key: 'key', event: 'resumed', version: 2, text: '{"n":2}' }]),
  )
  expect(await store.fetch(schema, 'key')).toEqual({ n: 2 })
})

test('the loss of all data is reported as a deletion', async () => {
  const { server, store } = await setUp(ENABLED)
  await store.update('key', { n: 1 })
  const changes: ConfigChange[] = []
  await store.watch('key', (change) => void changes.push(change))
  await server.kill('SIGKILL')
  await server.start()
  await patiently(() => expect(changes).toEqual([{ key: 'key', event: 'resumed', version: 0, text: null }]))
  expect(await store.fetch(schema, 'key')).toBeNull()
})

test('a Redis that hangs is noticed, even if no method is called', async () => {
  const { server, store } = await setUp()
  onTestFinished(() => server.kill('SIGCONT'))
  await store.update('key', { n: 1 })
  await server.kill('SIGSTOP')
  await patiently(async () => expect(await store.isReady()).toBe(false))
  expect(await store.fetch(schema, 'key')).toEqual({ n: 1 })
  await server.kill('SIGCONT')
  await patiently(async () => expect(await store.isReady()).toBe(true))
})

test('after a restart without notifications, every fetch reads from Redis until they are enabled again', async () => {
  const { server, store, problems, redis } = await setUp(['--appendonly', 'yes'], {}, 'K$lgx')
  await store.update('key', { n: 1 })
  await server.restart()
  await patiently(() => expect(problems.map(({ name }) => name)).toContain('RedisNotificationsError'))
  expect(await store.isReady()).toBe(false)
  // Every fetch reads from Redis.
  await patiently(() => redis.rpush('app:key', '{"n":2}'))
  expect(await store.fetch(schema, 'key')).toEqual({ n: 2 })
  await redis.config('SET', 'notify-keyspace-events', 'K$lgx')
  await patiently(async () => expect(await store.isReady()).toBe(true))
})

test('after another client has turned the notifications off, every fetch reads from Redis', async () => {
  const { store, redis, problems } = await setUp()
  const changes: ConfigChange[] = []
  await store.watch('key', (change) => void changes.push(change))
  await store.update('key', { n: 1 })
  await patiently(() => expect(changes).toMatchObject([{ event: 'rpush' }]))
  await redis.config('SET', 'notify-keyspace-events', '')
  await redis.rpush('app:key', '{"n":2}')
  await patiently(async () => expect(await store.fetch(schema, 'key')).toEqual({ n: 2 }))
  await patiently(() =>
    expect(problems.map(({ message }) => message).join()).toContain('Redis does not report changes'),
  )
  await redis.rpush('app:key', '{"n":3}')
  expect([await store.isReady(), await store.fetch(schema, 'key')]).toEqual([false, { n: 3 }])
  await redis.config('SET', 'notify-keyspace-events', 'K$lgx')
  await patiently(async () => expect(await store.isReady()).toBe(true))
  await patiently(() => expect(changes).toMatchObject([{ version: 1 }, { event: 'resumed', version: 3 }]))
})

test('with enableNotifications, the store enables them again when another client turns them off', async () => {
  const { redis } = await setUp(DURABLE, { enableNotifications: true })
  await redis.config('SET', 'notify-keyspace-events', 'Kg')
  const flags = async () => String((await redis.config('GET', 'notify-keyspace-events'))[1])
  await patiently(async () => expect([...(await flags())].sort().join('')).toBe('$Kglx'))
})

test('with enableNotifications, the store enables them again after a restart without them', async () => {
  const { server, store, redis } = await setUp(['--appendonly', 'yes'], { enableNotifications: true })
  await server.restart()
  await patiently(async () => expect(await store.isReady()).toBe(true))
  const events: string[] = []
  await store.watch('key', ({ event }) => void events.push(event))
  await redis.set('app:key', '1')
  await patiently(() => expect(events).toEqual(['set']))
})

test('connecting without Redis fails, leaves nothing open, and may be repeated', async () => {
  const server = await reserveOwnRedis({ args: ENABLED })
  onTestFinished(() => server.stop())
  const store = new RedisConfigStore({ host: server.host, port: server.port, timeoutMs: 500 })
  onTestFinished(() => store.close())
  expect(await failureOf(store.connect())).toBeInstanceOf(RedisConnectionError)
  expect(await failureOf(store.fetch(schema, 'key'))).toMatchObject({
    message: 'Cannot read key: not connected',
  })
  await server.start()
  await store.connect()
  expect(await store.isReady()).toBe(true)
})

test('close closes both connections, also during an outage', async () => {
  const { server, store, redis } = await setUp()
  const clients = async () => String(await redis.client('LIST')).split('name=redis-config-store').length - 1
  await store.watch('key', () => undefined)
  expect(await clients()).toBe(2)
  await store.close()
  await patiently(async () => expect(await clients()).toBe(0))
  await store.connect()
  expect(await store.isReady()).toBe(true)
  await server.kill('SIGKILL')
  await store.close()
})
