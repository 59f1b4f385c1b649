import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { RedisConfigStore } from '../../shared/redis-library/redis-config-store.ts'
import type { ConfigChange } from '../../shared/redis-library/watched-config.ts'
import { patiently } from '../support/eventually.ts'
import { startPythonPeer, type PythonPeer } from '../support/processes/python-sdk.ts'
import { connectPlainly } from '../support/servers/redis-connection.ts'
import { startOwnRedis, type OwnRedis } from '../support/servers/servers.ts'

// Python's own RedisConfigStore (cledar-sdk) and ours, on one Redis. Python adds a prefix twice when it watches a key, so
// with a prefix only the written values are compared.

const config = z.object({
  name: z.string(),
  limits: z.array(z.number()),
  place: z.object({ name: z.string(), floor: z.number().nullable() }),
})
const value = (name: string) => ({ name, limits: [1, 0.5], place: { name: 'hall', floor: null } })

let redis: OwnRedis

beforeAll(async () => {
  redis = await startOwnRedis({ args: ['--notify-keyspace-events', 'K$lgx'] })
}, 300_000)

afterAll(() => redis?.stop())

async function bothStores(prefix = ''): Promise<{ python: PythonPeer; ours: RedisConfigStore }> {
  const python = await startPythonPeer('redis_config_store.py', String(redis.port), prefix)
  onTestFinished(() => python.close())
  const ours = new RedisConfigStore({ host: redis.host, port: redis.port }, { prefix })
  onTestFinished(() => ours.close())
  await ours.connect()
  return { python, ours }
}

test('updates by Python are read by us, with their versions and history', { timeout: 300_000 }, async () => {
  const { python, ours } = await bothStores()
  await python.call('update', 'theirs', 'first', [1, 0.5])
  await python.call('update', 'theirs', 'second', [1, 0.5])
  expect(await ours.fetch(config, 'theirs')).toEqual(value('second'))
  expect(await ours.versions('theirs')).toBe(2)
  expect(ours.cachedVersion('theirs')).toBe(2)
  const history = await ours.history('theirs')
  expect(history.map(({ version, text }) => [version, JSON.parse(text)])).toEqual([
    [1, value('first')],
    [2, value('second')],
  ])
  // An equal value, although its JSON has other spaces than Python's.
  expect(await ours.update('theirs', value('second'))).toEqual({ kind: 'unchanged', version: 2 })
})

test('updates by us are read by Python, with their versions', async () => {
  const { python, ours } = await bothStores()
  await ours.update('ours', value('first'))
  await ours.update('ours', value('second'))
  expect(await python.call('fetch', 'ours')).toEqual(value('second'))
  expect(await python.call('versions', 'ours')).toBe(2)
  expect(await python.call('cached_version', 'ours')).toBe(2)
})

test('both use the same keys with a prefix', async () => {
  const { python, ours } = await bothStores('app:')
  await python.call('update', 'shared', 'first', [1, 0.5])
  await ours.update('shared', value('second'), { expectedVersion: 1 })
  await python.call('update', 'shared', 'third', [1, 0.5])
  expect(await connectPlainly(redis).llen('app:shared')).toBe(3)
  await patiently(async () => expect(await ours.fetch(config, 'shared')).toEqual(value('third')))
})

test('both turn a plain string into a list of the old and the new value', async () => {
  const { python, ours } = await bothStores()
  const plain = connectPlainly(redis)
  for (const key of ['plain-1', 'plain-2']) await plain.set(key, JSON.stringify(value('by hand')))
  expect([await ours.versions('plain-1'), await python.call('versions', 'plain-1')]).toEqual([1, 1])
  await ours.update('plain-1', value('next'))
  await python.call('update', 'plain-2', 'next', [1, 0.5])
  const parsed = async (key: string) => (await plain.lrange(key, 0, -1)).map((text) => JSON.parse(text))
  expect(await parsed('plain-1')).toEqual([value('by hand'), value('next')])
  expect(await parsed('plain-2')).toEqual(await parsed('plain-1'))
})

test('our watch reports the changes by Python', async () => {
  const { python, ours } = await bothStores()
  const changes: ConfigChange[] = []
  await ours.watch('watched', (change) => void changes.push(change))
  const reported = (count: number) => patiently(() => expect(changes).toHaveLength(count))
  await python.call('update', 'watched', 'first', [1, 0.5])
  await reported(1)
  await python.call('update', 'watched', 'second', [1, 0.5])
  await reported(2)
  await python.call('delete', 'watched')
  await reported(3)
  expect(changes.map(({ event, version }) => [event, version])).toEqual([
    ['rpush', 1],
    ['rpush', 2],
    ['del', 0],
  ])
  expect(await ours.fetch(config, 'watched')).toBeNull()
})

test('the watch of Python reports our changes, and its local copy follows them', async () => {
  const { python, ours } = await bothStores()
  await ours.update('followed', value('first'))
  expect(await python.call('fetch', 'followed')).toEqual(value('first'))
  await python.call('watch', 'followed')
  const receivedEvents = z.array(z.tuple([z.string(), z.string(), z.string()]))
  // Python subscribes in the background.
  await patiently(async () => {
    await ours.update('followed', { ...value('probe'), limits: [Math.random()] })
    expect(receivedEvents.parse(await python.call('received_events')).length).toBeGreaterThan(0)
  })
  await ours.update('followed', value('last'))
  await patiently(async () => {
    const last = receivedEvents.parse(await python.call('received_events')).at(-1)
    expect([last?.[0], last?.[1], JSON.parse(last?.[2] ?? '')]).toEqual(['rpush', 'followed', value('last')])
    expect(await python.call('fetch', 'followed')).toEqual(value('last'))
  })
  await ours.delete('followed')
  await patiently(async () => expect(await python.call('fetch', 'followed')).toBeNull())
})
