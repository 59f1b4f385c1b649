import * as fc from 'fast-check'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { enumName, isoDate } from '../../../../shared/redis-library/codecs.ts'
import {
  RedisConnectionError,
  RedisDeserializationError,
  RedisOperationError,
  RedisSerializationError,
  type RedisServiceError,
} from '../../../../shared/redis-library/errors.ts'
import { FailedValue, RedisService } from '../../../../shared/redis-library/redis-service.ts'
import type { RedisSettings } from '../../../../shared/redis-library/settings.ts'
import { anyCharacter } from '../../../support/records/arbitrary-text.ts'
import { patiently } from '../../../support/eventually.ts'
import { connectPlainly } from '../../../support/servers/redis-connection.ts'
import { reserveOwnRedis, startOwnRedis, type OwnRedisOptions } from '../../../support/servers/servers.ts'
import { useRedisDatabase } from '../../../support/test-scope.ts'

const TIMEOUT_MS = 500

async function connected(settings: RedisSettings): Promise<RedisService> {
  const service = new RedisService(settings)
  onTestFinished(() => service.close())
  await service.connect()
  return service
}

/** On the shared server, in a dedicated database. */
async function openService() {
  const database = await useRedisDatabase(inject('redisUrl'))
  onTestFinished(() => database.release())
  const { hostname: host, port, password } = new URL(database.url)
  const service = await connected({ host, port: Number(port || 6379), db: database.db, password })
  return { service, redis: database.client }
}

async function ownServer(options: OwnRedisOptions = {}) {
  const server = await startOwnRedis(options)
  onTestFinished(() => server.stop())
  const settings = { host: server.host, port: server.port, timeoutMs: TIMEOUT_MS }
  return { server, settings }
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
}

describe('values', () => {
  test('of any kind are stored as JSON, except strings, which are stored as they are', async () => {
    const { service, redis } = await openService()
    const stored = async (value: unknown) => {
      await service.set('key', value)
      return await redis.get('key')
    }
    expect(await stored({ a: [1, 'b', null, true], at: new Date(0) })).toBe(
      '{"a":[1,"b",null,true],"at":"1970-01-01T00:00:00.000Z"}',
    )
    expect(await stored([])).toBe('[]')
    expect(await stored(1.5)).toBe('1.5')
    expect(await stored(false)).toBe('false')
    expect(await stored(null)).toBe('null')
    expect(await stored('{"not": touched')).toBe('{"not": touched')
    expect(await service.getRaw('key')).toBe('{"not": touched')
  })

  test('are decoded by their schema, with null for an absent key', async () => {
    const { service } = await openService()
    const Mode = { FAST: 1, SLOW: 2 } as const
    const schema = z.object({ mode: enumName(Mode), at: isoDate(), names: z.array(z.string()) })
    const value: z.output<typeof schema> = { mode: Mode.SLOW, at: new Date(1), names: ['å'] }
    await service.set('key', value, { schema })
    expect(await service.get('key', schema)).toEqual(value)
    expect(await service.get('absent', schema)).toBeNull()
    expect(await service.getRaw('absent')).toBeNull()
  })

  test('that are written with a schema are read with it unchanged', async () => {
    const { service } = await openService()
    const text = fc.array(anyCharacter).map((characters) => characters.join(''))
    const key = text.filter((name) => name !== '')
    // zod omits a field with this name, whatever the schema.
    const json = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('"__proto__":'))
    await fc.assert(
      fc.asyncProperty(key, fc.oneof(text, json), async (name, value) => {
        const schema = z.json()
        await service.set(name, schema.parse(value), { schema })
        expect(await service.get(name, schema)).toEqual(value)
      }),
    )
  })

  test('that JSON cannot represent are rejected, and nothing is sent', async () => {
    const { service, redis } = await openService()
    for (const value of [NaN, undefined, 1n, { a: undefined }, 'half: \ud800']) {
      expect(await failureOf(service.set('key', value))).toBeInstanceOf(RedisSerializationError)
    }
    expect(await failureOf(service.set('half: \ud800', 1))).toBeInstanceOf(RedisSerializationError)
    expect(await redis.dbsize()).toBe(0)
  })

  test('that are not JSON, not UTF-8 or do not match the schema cause an error with its cause', async () => {
    const { service, redis } = await openService()
    await redis.mset('text', 'hello', 'other', '{"n":"1"}', 'bytes', Buffer.from([0x22, 0xff, 0x22]))
    for (const [key, cause] of [
      ['text', SyntaxError],
      ['other', z.ZodError],
      ['bytes', TypeError],
    ] as const) {
      const failure = await failureOf(service.get(key, z.object({ n: z.number() })))
      expect(failure).toBeInstanceOf(RedisDeserializationError)
      expect(failure).toMatchObject({ cause: expect.any(cause), message: expect.stringContaining(key) })
    }
  })

  test('expire after ttlS, or never without it', async () => {
    const { service, redis } = await openService()
    await service.set('key', 1, { ttlS: 100 })
    expect(await redis.ttl('key')).toBeGreaterThan(90)
    await service.set('key', 1, { ttlS: 0.01 })
    await patiently(async () => expect(await service.getRaw('key')).toBeNull())
    await service.set('key', 1)
    expect(await redis.ttl('key')).toBe(-1)
    for (const ttlS of [0, -1, NaN, Infinity]) {
      expect(await failureOf(service.set('key', 2, { ttlS }))).toBeInstanceOf(RangeError)
    }
    expect(await service.getRaw('key')).toBe('1')
  })
})

describe('keys', () => {
  test('are listed by pattern, each once, without KEYS, even if there are many', async () => {
    const { server, settings } = await ownServer({ aclUsers: { app: 'on >pass ~* +@all -keys' } })
    const service = await connected({ ...settings, username: 'app', password: 'pass' })
    const names = Array.from({ length: 5_000 }, (_, index) => `many:${index}`)
    await connectPlainly(server).mset([...names, 'other'].flatMap((name) => [name, '1']))
    expect((await service.listKeys('many:*')).sort()).toEqual(names.sort())
    expect(await service.listKeys('many:4[0-1]')).toHaveLength(2)
    expect(await service.listKeys('none')).toEqual([])
  })

  test('are deleted, with whether the key existed as the result', async () => {
    const { service } = await openService()
    await service.set('key', 1)
    expect(await service.delete('key')).toBe(true)
    expect(await service.delete('key')).toBe(false)
  })
})

describe('mget', () => {
  const schema = z.object({ n: z.number() })

  test('returns values, nulls and failures in the order of the keys', async () => {
    const { service, redis } = await openService()
    await redis.mset('a', '{"n":1}', 'text', 'hello', 'other', '[]')
    await redis.hset('hash', 'n', '1')
    const found = await service.mget(['a', 'text', 'absent', 'other', 'hash', 'a'], schema)
    expect(found).toEqual([{ n: 1 }, expect.any(FailedValue), null, expect.any(FailedValue), null, { n: 1 }])
    expect(found[1]).toMatchObject({ key: 'text', error: expect.any(RedisDeserializationError) })
    expect(await service.mget([], schema)).toEqual([])
  })

  test('reads more keys than fit into one call', async () => {
    const { service, redis } = await openService()
    const keys = Array.from({ length: 2_500 }, (_, index) => `key:${index}`)
    await redis.mset(keys.flatMap((key, index) => [key, `{"n":${index}}`]))
    expect(await service.mget(keys, schema)).toEqual(keys.map((_, n) => ({ n })))
  })
})

describe('an error reply of Redis', () => {
  test('is a RedisOperationError for another type, a missing permission and full memory', async () => {
    const { server, settings } = await ownServer({ aclUsers: { app: 'on >pass ~* +@all -set' } })
    const redis = connectPlainly(server)
    await redis.hset('hash', 'a', '1')
    const service = await connected({ ...settings, username: 'app', password: 'pass' })
    for (const attempt of [() => service.getRaw('hash'), () => service.set('key', 1)]) {
      const failure = await failureOf(attempt())
      expect(failure).toBeInstanceOf(RedisOperationError)
      expect(failure).toMatchObject({
        cause: expect.any(Error),
        message: expect.stringMatching(/WRONGTYPE|NOPERM/),
      })
    }
    await redis.config('SET', 'maxmemory', '1')
    const other = await connected(settings)
    expect(await failureOf(other.set('key', 1))).toBeInstanceOf(RedisOperationError)
  })
})

describe('connections that fail', () => {
  test('connecting without Redis fails within the timeout, leaves nothing open, and may be repeated', async () => {
    const server = await reserveOwnRedis()
    onTestFinished(() => server.stop())
    const service = new RedisService({ host: server.host, port: server.port, timeoutMs: TIMEOUT_MS })
    onTestFinished(() => service.close())
    expect(await failureOf(service.connect())).toMatchObject({
      name: 'RedisConnectionError',
      message: expect.stringContaining('ECONNREFUSED'),
      cause: expect.any(Error),
    })
    expect(await service.isAlive()).toBe(false)
    await server.start()
    await service.connect()
    expect(await service.isAlive()).toBe(true)
  })

  test.each([
    ['a wrong password', { password: 'wrong' }, 'WRONGPASS'],
    ['no password', {}, 'NOAUTH'],
    ['a database that does not exist', { password: 'secret', db: 99 }, 'out of range'],
  ])('connecting with %s fails with the reason', async (_, wrong, message) => {
    const { settings } = await ownServer({ password: 'secret' })
    const failure = await failureOf(new RedisService({ ...settings, ...wrong }).connect())
    expect(failure).toBeInstanceOf(RedisConnectionError)
    expect(failure).toMatchObject({ message: expect.stringContaining(message) })
  })

  test('commands fail during an outage, onProblem is called once, and commands succeed afterwards', async () => {
    const { server, settings } = await ownServer()
    const problems: RedisServiceError[] = []
    const service = new RedisService(settings, { onProblem: (problem) => void problems.push(problem) })
    onTestFinished(() => service.close())
    await service.connect()
    await server.kill('SIGKILL')
    await patiently(() => expect(problems).toHaveLength(1))
    for (const attempt of [
      () => service.set('key', 1),
      () => service.getRaw('key'),
      () => service.mget(['key'], z.number()),
      () => service.listKeys('*'),
      () => service.delete('key'),
    ]) {
      expect(await failureOf(attempt())).toBeInstanceOf(RedisConnectionError)
    }
    await server.start()
    await patiently(() => service.set('key', 1))
    expect(problems).toEqual([expect.any(RedisConnectionError)])
  })

  test('a command to a Redis that hangs fails within the timeout', async () => {
    const { server, settings } = await ownServer()
    onTestFinished(() => server.kill('SIGCONT'))
    const service = await connected(settings)
    await server.kill('SIGSTOP')
    const startedAt = performance.now()
    expect(await failureOf(service.getRaw('key'))).toBeInstanceOf(RedisConnectionError)
    expect(performance.now() - startedAt).toBeLessThan(TIMEOUT_MS * 20)
    await server.kill('SIGCONT')
    await patiently(() => service.getRaw('key'))
  })

  test('commands before connect and after close fail', async () => {
    const { settings } = await ownServer()
    const service = new RedisService(settings)
    expect(await failureOf(service.getRaw('key'))).toBeInstanceOf(RedisConnectionError)
    await Promise.all([service.connect(), service.connect()])
    await service.close()
    await service.close()
    expect(await failureOf(service.getRaw('key'))).toMatchObject({ message: 'Cannot get key: not connected' })
  })
})

test('TLS is used if the settings ask for it', async () => {
  const { server, settings } = await ownServer({ tls: 'mutual' })
  if (server.tls === undefined) throw new Error('a TLS server was asked for')
  const { ca, clientCertificate: cert, clientKey: key } = server.tls
  const service = await connected({ ...settings, tls: { ca, cert, key } })
  expect(await service.isAlive()).toBe(true)
  expect(await failureOf(new RedisService({ ...settings, tls: true }).connect())).toBeInstanceOf(
    RedisConnectionError,
  )
})

test('the end of an await using block closes the connection', async () => {
  const { server, settings } = await ownServer()
  const redis = connectPlainly(server)
  const clients = async () => String(await redis.client('LIST')).split('name=redis-service').length - 1
  {
    await using service = new RedisService(settings)
    await service.connect()
    expect(await clients()).toBe(1)
  }
  await patiently(async () => expect(await clients()).toBe(0))
})
