import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { enumName } from '../../../../shared/redis-library/codecs.ts'
import {
  RedisConfigStore,
  type RedisConfigStoreOptions,
} from '../../../../shared/redis-library/redis-config-store.ts'
import { RedisService } from '../../../../shared/redis-library/redis-service.ts'
import {
  RedisConnectionError,
  RedisDeserializationError,
  RedisNotificationsError,
  RedisOperationError,
  RedisSerializationError,
  RedisVersionConflictError,
  type RedisServiceError,
} from '../../../../shared/redis-library/errors.ts'
import type { RedisSettings } from '../../../../shared/redis-library/settings.ts'
import type { ConfigChange } from '../../../../shared/redis-library/watched-config.ts'
import { patiently } from '../../../support/eventually.ts'
import { connectPlainly } from '../../../support/servers/redis-connection.ts'
import { startOwnRedis, type OwnRedisOptions } from '../../../support/servers/servers.ts'

const PREFIX = 'app:'
const ENABLED = ['--notify-keyspace-events', 'K$lgx']
const schema = z.object({ n: z.number() })

async function ownServer(options: OwnRedisOptions = { args: ENABLED }) {
  const server = await startOwnRedis(options)
  onTestFinished(() => server.stop())
  const settings: RedisSettings = { host: server.host, port: server.port, timeoutMs: 1_000 }
  return { server, settings, redis: connectPlainly(server) }
}

async function openStore(settings: RedisSettings, options: RedisConfigStoreOptions = {}) {
  const store = new RedisConfigStore(settings, { prefix: PREFIX, ...options })
  onTestFinished(() => store.close())
  await store.connect()
  return store
}

async function setUp() {
  const { settings, redis } = await ownServer()
  return { settings, redis, store: await openStore(settings) }
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
}

describe('the history of a config', () => {
  test('is read as a whole while an update turns the string into a list', async () => {
    const { redis, store } = await setUp()
    for (let i = 0; i < 50; i++) {
      await redis.del('app:key')
      await redis.set('app:key', '{"n":1}')
      const [history] = await Promise.all([store.history('key'), store.update('key', { n: 2 })])
      expect(history[0]).toEqual({ version: 1, text: '{"n":1}' })
      expect(await store.history('key')).toHaveLength(2)
    }
  })

  test('keeps at most maxVersions, while the version still counts all of them', async () => {
    const { settings, redis } = await ownServer()
    const store = await openStore(settings, { maxVersions: 3 })
    const changes: ConfigChange[] = []
    await using watch = await store.watch('key', (change) => void changes.push(change))
    void watch
    await redis.set('app:key', '{"n":1}')
    for (let n = 2; n <= 9; n++) {
      expect(await store.update('key', { n }, { expectedVersion: n - 1 })).toEqual({
        kind: 'appended',
        version: n,
      })
      const first = Math.max(1, n - 2)
      const kept = Array.from({ length: n - first + 1 }, (_, i) => ({
        version: first + i,
        text: `{"n":${first + i}}`,
      }))
      expect(await store.history('key')).toEqual(kept)
      expect(await redis.llen('app:key')).toBeLessThanOrEqual(4)
    }
    expect([await store.versions('key'), store.cachedVersion('key')]).toEqual([9, 9])
    expect(await store.fetch(schema, 'key')).toEqual({ n: 9 })
    expect(await store.update('key', { n: 9 })).toEqual({ kind: 'unchanged', version: 9 })
    const outdated = await failureOf(store.update('key', { n: 10 }, { expectedVersion: 8 }))
    expect(outdated).toMatchObject({ actualVersion: 9 })

    // Another program appends without a limit, and another store reads the same history.
    await redis.rpush('app:key', '{"n":10}', '{"n":11}')
    const other = await openStore(settings, { maxVersions: 1 })
    expect(await other.versions('key')).toBe(11)
    expect(await other.update('key', { n: 12 })).toEqual({ kind: 'appended', version: 12 })
    expect(await store.history('key')).toEqual([{ version: 12, text: '{"n":12}' }])
    expect(await redis.llen('app:key')).toBe(2)
    // Each version was reported once, whatever else happened to the list.
    await patiently(() => expect(changes.at(-1)).toMatchObject({ version: 12, text: '{"n":12}' }))
    expect(changes.map(({ event }) => event)).not.toContain('ltrim')
    expect(changes.map(({ event }) => event)).not.toContain('lset')
    expect(await store.delete('key')).toBe(true)
    expect(await store.update('key', { n: 1 })).toEqual({ kind: 'appended', version: 1 })
  })

  test('has a limit of at least one version', async () => {
    for (const maxVersions of [0, 1.5, NaN])
      expect(() => new RedisConfigStore({ host: 'x', port: 1 }, { maxVersions })).toThrow(RangeError)
  })

  test('grows with each update, with the newest value at its end', async () => {
    const { store, redis } = await setUp()
    expect(await store.fetch(schema, 'key')).toBeNull()
    expect([await store.versions('key'), store.cachedVersion('key')]).toEqual([0, undefined])
    expect(await store.update('key', { n: 1 })).toEqual({ kind: 'appended', version: 1 })
    expect(await store.update('key', { n: 2 })).toEqual({ kind: 'appended', version: 2 })
    expect(await redis.lrange('app:key', 0, -1)).toEqual(['{"n":1}', '{"n":2}'])
    expect(await store.history('key')).toEqual([
      { version: 1, text: '{"n":1}' },
      { version: 2, text: '{"n":2}' },
    ])
    expect(await store.fetch(schema, 'key')).toEqual({ n: 2 })
    expect([await store.versions('key'), store.cachedVersion('key')]).toEqual([2, 2])
  })

  test('of a plain string is one version, and becomes a list of the old and the new value by an update', async () => {
    const { store, redis } = await setUp()
    await redis.set('app:key', '{"n": 1}')
    expect(await store.history('key')).toEqual([{ version: 1, text: '{"n": 1}' }])
    expect(await store.versions('key')).toBe(1)
    expect(await store.fetch(schema, 'key')).toEqual({ n: 1 })
    expect(await store.update('key', { n: 1 })).toEqual({ kind: 'unchanged', version: 1 })
    expect(await redis.type('app:key')).toBe('string')
    expect(await store.update('key', { n: 2 })).toEqual({ kind: 'appended', version: 2 })
    expect(await redis.lrange('app:key', 0, -1)).toEqual(['{"n": 1}', '{"n":2}'])
  })

  test('is deleted with the config', async () => {
    const { store, redis } = await setUp()
    await store.update('key', { n: 1 })
    expect(await store.delete('key')).toBe(true)
    expect(await store.delete('key')).toBe(false)
    expect(await redis.dbsize()).toBe(0)
    expect(await store.fetch(schema, 'key')).toBeNull()
    expect(store.cachedVersion('key')).toBeUndefined()
    expect(await store.history('key')).toEqual([])
  })

  test.each<[string, unknown, boolean]>([
    ['{"a": 1, "b": [1.0, {}]}', { b: [1, {}], a: 1 }, true],
    ['"\\u00e9\\n"', 'é\n', true],
    ['[]', [], true],
    ['[ ]', {}, false],
    ['{"a":[{}]}', { a: [[]] }, false],
    ['["[]"]', ['[ ]'], false],
    ['["\\\\\\"[]", []]', ['\\"[]', []], true],
    ['["\\\\", []]', ['\\', {}], false],
    ['[null]', [], false],
    ['{"a":null}', {}, false],
    ['{"1":2}', [2], false],
    ['1', '1', false],
    ['0', false, false],
    ['no JSON', 'no JSON', false],
  ])('with the newest value %s takes %j for equal: %s', async (stored, value, isSame) => {
    const { store, redis } = await setUp()
    await redis.rpush('app:key', stored)
    const { kind } = await store.update('key', value)
    expect(kind).toBe(isSame ? 'unchanged' : 'appended')
  })

  test('may repeat an earlier value that is not the newest', async () => {
    const { store } = await setUp()
    for (const n of [1, 2, 1]) await store.update('key', { n })
    expect(await store.versions('key')).toBe(3)
  })

  test('stores enums by name', async () => {
    const { store, redis } = await setUp()
    const mode = z.object({ mode: enumName({ FAST: 1, SLOW: 2 }) })
    await store.update('key', { mode: 2 }, { schema: mode })
    expect(await redis.lrange('app:key', 0, -1)).toEqual(['{"mode":"slow"}'])
    expect(await store.fetch(mode, 'key')).toEqual({ mode: 2 })
  })
})

describe('an update that expects a version', () => {
  test('is rejected at another version, and the error names both', async () => {
    const { store, redis } = await setUp()
    await store.update('key', { n: 1 }, { expectedVersion: 0 })
    const failure = await failureOf(store.update('key', { n: 2 }, { expectedVersion: 0 }))
    expect(failure).toBeInstanceOf(RedisVersionConflictError)
    expect(failure).toMatchObject({ key: 'key', expectedVersion: 0, actualVersion: 1 })
    expect(await redis.llen('app:key')).toBe(1)
    await store.update('key', { n: 2 }, { expectedVersion: 1 })
    expect(await failureOf(store.update('key', { n: 2 }, { expectedVersion: 1 }))).toMatchObject({
      actualVersion: 2,
    })
    expect(await failureOf(store.update('key', { n: 3 }, { expectedVersion: -1 }))).toBeInstanceOf(RangeError)
  })

  test('succeeds once if many clients try it at the same time', async () => {
    const { settings, redis } = await setUp()
    const stores = await Promise.all(Array.from({ length: 8 }, () => openStore(settings)))
    const outcomes = await Promise.allSettled(
      stores.map((each, n) => each.update('key', { n }, { expectedVersion: 0 })),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await redis.llen('app:key')).toBe(1)
  })
})

test('concurrent updates by many clients are never lost', async () => {
  const { settings, redis } = await setUp()
  await redis.set('app:key', '{"n":-1}')
  const stores = await Promise.all(Array.from({ length: 8 }, () => openStore(settings)))
  const updates = stores.flatMap((each, index) =>
    Array.from({ length: 50 }, (_, count) => each.update('key', { n: index * 50 + count })),
  )
  const versions = (await Promise.all(updates)).map(({ version }) => version)
  expect(new Set(versions).size).toBe(400)
  const texts = await redis.lrange('app:key', 0, -1)
  expect(texts.map((text) => schema.parse(JSON.parse(text)).n).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 401 }, (_, index) => index - 1),
  )
  for (const each of stores) {
    await patiently(async () =>
      expect([each.cachedVersion('key'), await each.versions('key')]).toEqual([401, 401]),
    )
  }
})

describe('the local copy', () => {
  test('answers without asking Redis, and follows the changes of other clients', async () => {
    const { store, redis } = await setUp()
    await redis.rpush('app:key', '{"n":1}')
    expect(await store.fetch(schema, 'key')).toEqual({ n: 1 })
    const calls = async () =>
      Number(/calls=(\d+)/.exec(/cmdstat_eval:.*/.exec(await redis.info('commandstats'))?.[0] ?? '')?.[1])
    const before = await calls()
    for (let count = 0; count < 100; count++) await store.fetch(schema, 'key')
    expect(await calls()).toBe(before)
    await redis.rpush('app:key', '{"n":2}')
    await patiently(async () => expect(await store.fetch(schema, 'key')).toEqual({ n: 2 }))
    await redis.lset('app:key', -1, '{"n":3}')
    await patiently(async () => expect(await store.fetch(schema, 'key')).toEqual({ n: 3 }))
    await redis.del('app:key')
    await patiently(async () => expect(await store.fetch(schema, 'key')).toBeNull())
  })

  test('is not kept for keys that do not exist', async () => {
    const { store, redis } = await setUp()
    for (let count = 0; count < 20; count++) expect(await store.fetch(schema, `none-${count}`)).toBeNull()
    await patiently(async () => expect(await redis.pubsub('CHANNELS', '*')).toEqual([]))
  })

  test('is not modified by changes to a fetched value', async () => {
    const { store } = await setUp()
    await store.update('key', { n: 1 })
    const first = await store.fetch(schema, 'key')
    if (first !== null) first.n = 2
    expect(await store.fetch(schema, 'key')).toEqual({ n: 1 })
  })
})

describe('a watch', () => {
  const everything: [
    string,
    (redis: Awaited<ReturnType<typeof setUp>>['redis']) => Promise<unknown>,
    object,
  ][] = [
    ['set', (redis) => redis.set('app:key', '{"n":1}'), { version: 1, text: '{"n":1}' }],
    ['rpush', (redis) => redis.rpush('app:key', '{"n":1}'), { version: 1, text: '{"n":1}' }],
  ]

  test.each(everything)('reports %s by any client', async (event, act, expected) => {
    const { store, redis } = await setUp()
    const changes: ConfigChange[] = []
    await store.watch('key', (change) => void changes.push(change))
    await act(redis)
    await patiently(() => expect(changes).toEqual([{ key: 'key', event, ...expected }]))
  })

  test('reports lset, del, expired and both ends of a rename', async () => {
    const { store, redis } = await setUp()
    const changes: ConfigChange[] = []
    const expectEvent = async (act: () => Promise<unknown>, event: string, version: number) => {
      changes.length = 0
      await act()
      await patiently(() =>
        expect(changes).toContainEqual(expect.objectContaining({ key: 'key', event, version })),
      )
    }
    await redis.rpush('app:key', '{"n":1}')
    await store.watch('key', (change) => void changes.push(change))
    await expectEvent(() => redis.lset('app:key', 0, '{"n":2}'), 'lset', 1)
    await expectEvent(() => redis.rename('app:key', 'app:elsewhere'), 'rename_from', 0)
    await expectEvent(() => redis.rename('app:elsewhere', 'app:key'), 'rename_to', 1)
    await expectEvent(() => redis.del('app:key'), 'del', 0)
    await expectEvent(() => redis.set('app:key', '1', 'PX', 20), 'expired', 0)
  })

  test('is called when fetch already returns the new value, also for updates by the same store', async () => {
    const { store } = await setUp()
    const fetched: unknown[] = []
    await store.watch('key', async () => void fetched.push(await store.fetch(schema, 'key')))
    await store.update('key', { n: 1 })
    await patiently(() => expect(fetched).toEqual([{ n: 1 }]))
  })

  test('reports only this key in this database, even if the key looks like a pattern', async () => {
    const { store, redis } = await setUp()
    const changes: ConfigChange[] = []
    await store.watch('[ab]*:?', (change) => void changes.push(change))
    await redis.set('app:a:1', '1')
    await redis.select(1)
    await redis.set('app:[ab]*:?', '1')
    await redis.select(0)
    await redis.set('app:[ab]*:?', '2')
    await patiently(() => expect(changes.length).toBeGreaterThan(0))
    expect(changes).toEqual([{ key: '[ab]*:?', event: 'set', version: 1, text: '2' }])
  })

  test('ends when it is stopped, while other watches continue', async () => {
    const { store, redis } = await setUp()
    const [first, second]: [string[], string[]] = [[], []]
    const watch = await store.watch('key', ({ event }) => void first.push(event))
    await store.watch('key', ({ event }) => void second.push(event))
    await redis.set('app:key', '1')
    await patiently(() => expect([first, second]).toEqual([['set'], ['set']]))
    await watch.stop()
    await redis.set('app:key', '2')
    await patiently(() => expect(second).toEqual(['set', 'set']))
    expect(first).toEqual(['set'])
  })

  test('that ends with its block leaves no subscription for a key without a value', async () => {
    const { store, redis } = await setUp()
    {
      await using watch = await store.watch('key', () => undefined)
      expect(watch.stop).toBeDefined()
      expect(await redis.pubsub('CHANNELS', '*')).toEqual(['__keyspace@0__:app:key'])
    }
    await patiently(async () => expect(await redis.pubsub('CHANNELS', '*')).toEqual([]))
  })

  test('whose callback throws or rejects reports the error, and continues', async () => {
    const { settings, redis } = await ownServer()
    const problems: RedisServiceError[] = []
    const store = await openStore(settings, { onProblem: (problem) => void problems.push(problem) })
    let calls = 0
    await store.watch('key', () => {
      calls += 1
      throw new Error('broken')
    })
    await store.watch('key', () => Promise.reject(new Error('broken too')))
    await redis.set('app:key', '1')
    await redis.set('app:key', '2')
    await patiently(() => expect([calls, problems.length]).toEqual([2, 4]))
    expect(problems[0]).toMatchObject({ message: 'A listener for key failed: broken' })
  })
})

describe('an invalid config', () => {
  test('of another Redis type is an error for every method, and is not changed', async () => {
    const { store, redis } = await setUp()
    await redis.hset('app:key', 'n', '1')
    for (const attempt of [
      () => store.fetch(schema, 'key'),
      () => store.update('key', { n: 1 }),
      () => store.versions('key'),
      () => store.history('key'),
      () => store.watch('key', () => undefined),
    ]) {
      const failure = await failureOf(attempt())
      expect(failure).toBeInstanceOf(RedisOperationError)
      expect(failure).toMatchObject({ message: expect.stringContaining('WRONGTYPE') })
    }
    expect(await redis.hgetall('app:key')).toEqual({ n: '1' })
  })

  test('that is not JSON or does not match the schema is a RedisDeserializationError', async () => {
    const { store, redis } = await setUp()
    await redis.mset('app:a', 'hello', 'app:b', '{"n":"1"}')
    for (const key of ['a', 'b']) {
      expect(await failureOf(store.fetch(schema, key))).toBeInstanceOf(RedisDeserializationError)
    }
  })

  test('that JSON cannot represent is not written', async () => {
    const { store, redis } = await setUp()
    expect(await failureOf(store.update('key', { n: NaN }))).toBeInstanceOf(RedisSerializationError)
    expect(await redis.dbsize()).toBe(0)
  })
})

describe('keyspace notifications', () => {
  test.each([
    ['', 'K$lgx'],
    ['KA', undefined],
    ['Kl', 'lK$gx'],
    ['Eh', 'hEK$lgx'],
  ])('that are set to %j are accepted, or rejected with the command to run', async (flags, wanted) => {
    const { settings, redis } = await ownServer({})
    await redis.config('SET', 'notify-keyspace-events', flags)
    const connecting = openStore(settings)
    if (wanted === undefined) return void (await connecting)
    const failure = await failureOf(connecting)
    expect(failure).toBeInstanceOf(RedisNotificationsError)
    expect(failure).toMatchObject({
      message: expect.stringContaining(`redis-cli CONFIG SET notify-keyspace-events '${wanted}'`),
    })
  })

  test('are enabled on request, and the existing flags are kept', async () => {
    const { settings, redis } = await ownServer({ args: ['--notify-keyspace-events', 'Eh'] })
    const store = await openStore(settings, { enableNotifications: true })
    const [, flags] = z
      .tuple([z.string(), z.string()])
      .parse(await redis.config('GET', 'notify-keyspace-events'))
    expect([...flags].sort().join('')).toBe('$EKghlx')
    const events: string[] = []
    await store.watch('key', ({ event }) => void events.push(event))
    await redis.set('app:key', '1')
    await patiently(() => expect(events).toEqual(['set']))
  })

  const users = (rules: string) => ({ aclUsers: { app: `on >pass ~app:* &* +@all ${rules}` } })
  const asUser = { username: 'app', password: 'pass' }

  test('are tested on a key if the user may not read the setting', async () => {
    const { settings, redis } = await ownServer({ args: ENABLED, ...users('-config') })
    const store = await openStore({ ...settings, ...asUser })
    expect(await store.isReady()).toBe(true)
    expect(await redis.dbsize()).toBe(0)
    await redis.config('SET', 'notify-keyspace-events', 'Kgx')
    for (const enableNotifications of [false, true]) {
      expect(await failureOf(openStore({ ...settings, ...asUser }, { enableNotifications }))).toMatchObject({
        name: 'RedisNotificationsError',
        message: expect.stringContaining('lacks the flags $l.'),
      })
    }
  })

  test('that the user may read but not set cause an error with the refusal as its cause', async () => {
    const { settings } = await ownServer({ args: [], ...users('-config|set') })
    const failure = await failureOf(openStore({ ...settings, ...asUser }, { enableNotifications: true }))
    expect(failure).toMatchObject({ name: 'RedisNotificationsError', cause: expect.any(RedisOperationError) })
  })

  test('are assumed to work, with a report to onProblem, if the user may not even write', async () => {
    const { settings, redis } = await ownServer({ args: ENABLED, ...users('-config -@write') })
    const problems: RedisServiceError[] = []
    const store = await openStore(
      { ...settings, ...asUser },
      { onProblem: (problem) => void problems.push(problem) },
    )
    expect(problems).toEqual([expect.any(RedisNotificationsError)])
    await redis.set('app:key', '{"n":1}')
    expect(await store.fetch(schema, 'key')).toEqual({ n: 1 })
    await redis.set('app:key', '{"n":2}')
    await patiently(async () => expect(await store.fetch(schema, 'key')).toEqual({ n: 2 }))
  })

  test('whose channels the user may not subscribe to cause an error for that key only', async () => {
    const options = { args: ENABLED, aclUsers: { app: 'on >pass ~app:* &*:app:open* +@all' } }
    const { settings, redis } = await ownServer(options)
    const store = await openStore({ ...settings, ...asUser })
    expect(await failureOf(store.watch('closed', () => undefined))).toBeInstanceOf(RedisOperationError)
    const events: string[] = []
    await store.watch('open', ({ event }) => void events.push(event))
    await redis.set('app:open', '1')
    await patiently(() => expect(events).toEqual(['set']))
  })
})

describe('the subscriptions of a store', () => {
  test('end with the configs that no longer exist, however they went', async () => {
    const { redis, store } = await setUp()
    const channels = () => redis.pubsub('CHANNELS', '__keyspace*')
    const names = Array.from({ length: 20 }, (_, i) => `key-${i}`)
    for (const name of names) await store.update(name, { n: 1 })
    expect(await channels()).toHaveLength(20)
    await store.delete('key-0')
    expect(await channels()).toHaveLength(19)
    await redis.del('app:key-1')
    await redis.pexpire('app:key-2', 1)
    await redis.rename('app:key-3', 'app:elsewhere')
    await patiently(async () => {
      await redis.exists('app:key-2') // an expiry is reported when it is noticed
      expect(await channels()).toHaveLength(16)
    })
    for (const name of names) await store.delete(name)
    expect(await channels()).toEqual([])

    // What fails, or finds nothing, leaves none behind.
    await redis.hset('app:hash', 'a', 'b')
    await failureOf(store.fetch(schema, 'absent'))
    await failureOf(store.update('conflict', { n: 1 }, { expectedVersion: 5 }))
    expect(await failureOf(store.fetch(schema, 'hash'))).toBeInstanceOf(RedisOperationError)
    expect(await failureOf(store.watch('hash', () => undefined))).toBeInstanceOf(RedisOperationError)
    expect(await channels()).toEqual([])

    const watch = await store.watch('watched', () => undefined)
    await store.update('watched', { n: 1 })
    await store.delete('watched')
    expect(await channels()).toHaveLength(1)
    await watch.stop()
    expect(await channels()).toEqual([])
  })

  test('follow a config that comes back', async () => {
    const { redis, store } = await setUp()
    for (let n = 1; n <= 30; n++) {
      await Promise.all([redis.del('app:key'), store.fetch(schema, 'key')])
      await redis.set('app:key', JSON.stringify({ n }))
      await patiently(async () => expect(await store.fetch(schema, 'key')).toEqual({ n }))
    }
  })
})

describe('close', () => {
  test('ends a connect that has not ended, and leaves no connection', async () => {
    const { settings, redis } = await ownServer()
    for (const delayed of [0, 1, 2, 3, 5, 8]) {
      const store = new RedisConfigStore(settings, { name: 'closed' })
      const service = new RedisService(settings, { name: 'closed' })
      const connecting = [failureOf(store.connect()), failureOf(service.connect())]
      for (let turn = 0; turn < delayed; turn++) await redis.ping()
      await Promise.all([store.close(), service.close()])
      for (const failure of await Promise.all(connecting))
        expect([undefined, 'RedisConnectionError']).toContain(
          failure instanceof Error ? failure.name : failure,
        )
      await patiently(async () => expect(await redis.client('LIST')).not.toContain('name=closed'))
    }
  })

  test('does not wait for a server that does not answer', async () => {
    const { settings, server } = await ownServer()
    const store = new RedisConfigStore({ ...settings, timeoutMs: 600_000 })
    await server.kill('SIGSTOP')
    onTestFinished(() => server.kill('SIGCONT'))
    const connecting = failureOf(store.connect())
    await store.close()
    expect(await connecting).toBeInstanceOf(RedisConnectionError)
  })
})
