import { get } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { eventually } from '../../../support/eventually.ts'
import { openCacheQueueServer, type CacheQueueServer } from '../../../support/processes/cache-queue-server.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

let database: RedisDatabase
let service: CacheQueueServer

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  service = await openCacheQueueServer(database.client, ['config:'])
})

afterAll(async () => {
  await service.close()
  await database.release()
})

beforeEach(async () => {
  await database.client.flushdb()
})

const protectedKeys = ['devices', 'device:a:metadata', 'cache_service:progress:g', 'config:main']

async function fill(): Promise<void> {
  const { client } = database
  await client.sadd('devices', 'a')
  await client.hset('device:a:metadata', 'datatype_id', 'temperature')
  await client.set('cache_service:progress:g', '1')
  await client.set('config:main', '1')
  await client.mset('user:1', '{"n":1}', 'user:2', '{"n":2}', 'other', '3')
}

describe('health and statistics', () => {
  test.for(['/health', '/health/'])('%s reports that Redis is connected', async (path) => {
    expect(await service.get(path)).toMatchObject({
      status: 200,
      body: { service: 'redis_service', status: 'healthy', port: 5011, redis: 'connected' },
    })
  })

  test.for(['/stats', '/stats/'])('%s returns the statistics of Redis', async (path) => {
    await fill()
    const { status, body } = await service.get(path)
    expect(status).toBe(200)
    expect(body).toEqual({
      redis_version: expect.stringMatching(/^\d+\.\d+/),
      uptime_in_seconds: expect.any(Number),
      connected_clients: expect.any(Number),
      used_memory: expect.any(Number),
      used_memory_human: expect.stringMatching(/^[\d.]+[BKMG]$/),
      total_commands_processed: expect.any(Number),
      keyspace_hits: expect.any(Number),
      keyspace_misses: expect.any(Number),
      hit_rate: expect.any(Number),
      total_keys: 7,
    })
  })
})

describe('a value', () => {
  test.for(['/api/cache/', '/api/cache'])('is stored by POST %s for the given ttl', async (path) => {
    const stored = await service.send('POST', path, { key: 'user:1', value: { name: 'Ana' }, ttl: 60 })
    expect(stored).toMatchObject({
      status: 200,
      body: { message: 'Valor guardado en cache', key: 'user:1', ttl: 60 },
    })
    expect(await database.client.get('user:1')).toBe('{"name":"Ana"}')
    expect(await database.client.ttl('user:1')).toBeGreaterThan(50)
    const { status, body } = await service.get('/api/cache/user:1')
    expect(status).toBe(200)
    expect(body).toEqual({ key: 'user:1', value: { name: 'Ana' }, ttl: expect.any(Number) })
  })

  test.for(['60.0', '6e1'])('may have the ttl %s, which is an integer as well', async (ttl) => {
    const reply = await fetch(`${service.url}/api/cache/`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"key":"k","value":1.0,"ttl":${ttl}}`,
    })
    expect([reply.status, await reply.json()]).toMatchObject([200, { key: 'k', ttl: 60 }])
    expect(await database.client.get('k')).toBe('1.0')
  })

  test('gets the default ttl without one, and never expires with null', async () => {
    const usual = await service.send('POST', '/api/cache/', { key: 'a', value: 1 })
    expect(usual.body).toEqual({ message: 'Valor guardado en cache', key: 'a', ttl: 3600 })
    const permanent = await service.send('POST', '/api/cache/', { key: 'b', value: 1, ttl: null })
    expect(permanent.body).toEqual({ message: 'Valor guardado en cache', key: 'b', ttl: null })
    expect(await service.get('/api/cache/b')).toMatchObject({ body: { key: 'b', value: 1, ttl: null } })
  })

  test.for([null, false, 0, '', 'texto', [1, 'dos', null], { a: { b: [] } }, 'ñ 🙂 "'])(
    'is returned as it was stored: %j',
    async (value) => {
      expect(await service.send('POST', '/api/cache/', { key: 'k', value })).toMatchObject({ status: 200 })
      const { body } = await service.get('/api/cache/k')
      expect(body).toMatchObject({ value })
    },
  )

  test('that another service stored as text other than JSON is returned as that text', async () => {
    await database.client.set('k', 'not "json" NaN')
    expect(await service.get('/api/cache/k')).toMatchObject({
      body: { key: 'k', value: 'not "json" NaN', ttl: null },
    })
  })

  test('keeps all digits of its numbers, and names such as __proto__', async () => {
    await database.client.set('k', '{"n":12345678901234567890,"__proto__":1}')
    const reply = await fetch(`${service.url}/api/cache/k`)
    expect(reply.headers.get('content-type')).toContain('application/json')
    expect(await reply.text()).toBe('{"key":"k","value":{"n":12345678901234567890,"__proto__":1},"ttl":null}')
    await service.sendText('POST', '/api/cache/', '{"key":"p","value":{"__proto__":{"a":1}}}')
    expect(await database.client.get('p')).toBe('{"__proto__":{"a":1}}')
  })

  test('can be deleted once', async () => {
    await database.client.set('k', '1')
    expect(await service.send('DELETE', '/api/cache/k')).toMatchObject({
      status: 200,
      body: { message: 'Clave eliminada', key: 'k' },
    })
    expect(await service.send('DELETE', '/api/cache/k')).toMatchObject({
      status: 404,
      body: { error: 'Clave no encontrada', key: 'k' },
    })
  })

  test('can be deleted by a client that sends Content-Type without a body', async () => {
    await database.client.set('k', '1')
    const headers = { 'content-type': 'application/json' }
    const reply = await fetch(`${service.url}/api/cache/k`, { method: 'DELETE', headers })
    expect(reply.status).toBe(200)
  })

  test('that is absent is answered with 404, and does not exist', async () => {
    expect(await service.get('/api/cache/absent')).toMatchObject({
      status: 404,
      body: { error: 'Clave no encontrada', key: 'absent' },
    })
    expect(await service.get('/api/cache/exists/absent')).toMatchObject({
      status: 200,
      body: { key: 'absent', exists: false },
    })
  })

  test('of another Redis type is answered with 409, although it exists', async () => {
    await database.client.rpush('list', '1')
    const { status, body } = await service.get('/api/cache/list')
    expect({ status, body }).toEqual({
      status: 409,
      body: { error: 'La clave contiene un valor de otro tipo' },
    })
    expect(await service.get('/api/cache/exists/list')).toMatchObject({ body: { exists: true } })
  })

  test.for([
    ['a/b/c', 'a/b/c'],
    ['a/b/c', 'a%2Fb%2Fc'],
    ['a/b', 'a/b/'],
    ['a/', 'a%2F'],
    ['a//b', 'a//b'],
    ['ñandú 🙂', '%C3%B1and%C3%BA%20%F0%9F%99%82'],
    ['100%', '100%25'],
    ['a?b#c', 'a%3Fb%23c'],
    ['exists/a', 'exists%2Fa'],
    ['exists', 'exists'],
  ])('can have the key %s, written as %s', async ([key = '', path = '']) => {
    await expectRoundTrip(key, path)
  })

  test.for([
    ['slashes', 'long/'.repeat(100) + 'x'],
    ['no slashes', 'x'.repeat(1024)],
  ])('can have a long key with %s', async ([, key = '']) => {
    await expectRoundTrip(key, key)
  })

  async function expectRoundTrip(key: string, path: string): Promise<void> {
    await service.send('POST', '/api/cache/', { key, value: 'v' })
    expect(await database.client.exists(key)).toBe(1)
    expect((await service.get(`/api/cache/${path}`)).body).toMatchObject({ key, value: 'v' })
    expect((await service.get(`/api/cache/exists/${path}`)).body).toEqual({ key, exists: true })
    expect((await service.send('DELETE', `/api/cache/${path}`)).body).toEqual({
      message: 'Clave eliminada',
      key,
    })
  }
})

describe('keys', () => {
  test.for(['/api/cache/keys', '/api/cache/keys/'])(
    'that match are listed by %s, without platform keys',
    async (path) => {
      await fill()
      const some = await service.get(`${path}?pattern=user:*`)
      expect(some.body).toEqual({
        pattern: 'user:*',
        count: 2,
        keys: expect.arrayContaining(['user:1', 'user:2']),
      })
      const all = await service.get(path)
      expect(all.body).toMatchObject({ pattern: '*', count: 3 })
      expect(await service.get(`${path}?pattern=device*`)).toMatchObject({ body: { count: 0, keys: [] } })
    },
  )

  test('are listed up to ten thousand, with truncated=true if there are more', async () => {
    const many = Array.from({ length: 10_001 }, (_, i) => [`k:${i}`, '1']).flat()
    await database.client.mset(...many)
    const { body } = await service.get('/api/cache/keys?pattern=k:*')
    expect(body).toMatchObject({ count: 10_000, truncated: true })
    await database.client.unlink('k:0')
    const whole = await service.get('/api/cache/keys?pattern=k:*')
    expect(whole.body).toMatchObject({ count: 10_000 })
    expect(whole.body).not.toHaveProperty('truncated')
  })

  test('are deleted by pattern, except for platform keys', async () => {
    await fill()
    expect(await service.send('DELETE', '/api/cache/pattern/user:*')).toMatchObject({
      status: 200,
      body: { message: 'Claves eliminadas', pattern: 'user:*', deleted_count: 2 },
    })
    expect(await service.send('DELETE', '/api/cache/pattern/device*/')).toMatchObject({
      body: { pattern: 'device*', deleted_count: 0 },
    })
    expect((await database.client.keys('*')).sort()).toEqual([...protectedKeys, 'other'].sort())
  })

  test.for(['/api/cache/flush', '/api/cache/flush/'])(
    'are all deleted by %s, except for platform keys',
    async (path) => {
      await fill()
      await database.client.set(Buffer.from([0xff, 0xfe]), 'a key that is not UTF-8')
      expect(await service.send('POST', path, { confirm: true })).toMatchObject({
        status: 200,
        body: { message: 'Cache limpiado', deleted_count: 4 },
      })
      expect((await database.client.keys('*')).sort()).toEqual(protectedKeys.toSorted())
    },
  )

  test('are not deleted by an unconfirmed flush', async () => {
    await fill()
    for (const body of [{}, { confirm: false }, { confirm: 'true' }, { confirm: 1 }, []]) {
      expect(await service.send('POST', '/api/cache/flush', body)).toMatchObject({
        status: 400,
        body: { error: 'Se requiere {"confirm": true}' },
      })
    }
    expect(await database.client.dbsize()).toBe(7)
  })
})

describe('a platform key', () => {
  test.for(protectedKeys)('can be neither read, written nor deleted: %s', async (key) => {
    await fill()
    const refused = { status: 403, body: { error: 'La clave está protegida' } }
    expect(await service.get(`/api/cache/${key}`)).toMatchObject(refused)
    expect(await service.get(`/api/cache/exists/${key}`)).toMatchObject(refused)
    expect(await service.send('DELETE', `/api/cache/${key}`)).toMatchObject(refused)
    expect(await service.send('DELETE', `/api/cache/${encodeURIComponent(key)}/`)).toMatchObject(refused)
    expect(await service.send('POST', '/api/cache/', { key, value: 1 })).toMatchObject(refused)
    expect(await database.client.dbsize()).toBe(7)
    expect(await database.client.type('devices')).toBe('set')
  })
})

describe('a message', () => {
  test.for(['/api/queue/publish', '/api/queue/publish/'])(
    'published by %s reaches the subscribers',
    async (path) => {
      const received: string[] = []
      const subscriber = database.client.duplicate()
      subscriber.on('message', (channel, message) => received.push(`${channel} ${message}`))
      await subscriber.subscribe('inventarios_updates', 'a/b')
      try {
        expect(await service.send('POST', path, { message: { tipo: 'alta' } })).toMatchObject({
          status: 200,
          body: { message: 'Mensaje publicado', channel: 'inventarios_updates', subscribers: 1 },
        })
        await service.send('POST', path, { channel: 'a/b', message: 'texto' })
        await service.send('POST', path, { channel: 'a/b', message: [1, null] })
        await eventually(() =>
          expect(received).toEqual(['inventarios_updates {"tipo":"alta"}', 'a/b texto', 'a/b [1,null]']),
        )
        const channels = await service.get('/api/queue/channels/?pattern=inventarios*')
        expect(channels).toMatchObject({
          status: 200,
          body: {
            pattern: 'inventarios*',
            count: 1,
            channels: [{ channel: 'inventarios_updates', subscribers: 1 }],
          },
        })
        expect((await service.get('/api/queue/channels')).body).toMatchObject({
          pattern: '*',
          channels: expect.arrayContaining([{ channel: 'a/b', subscribers: 1 }]),
        })
        for (const written of ['a%2Fb', 'a/b', 'a/b/']) {
          expect(await service.get(`/api/queue/subscribers/${written}`)).toMatchObject({
            status: 200,
            body: { channel: 'a/b', subscribers: 1 },
          })
        }
      } finally {
        subscriber.disconnect()
      }
    },
  )

  test('without subscribers is published anyway', async () => {
    expect(await service.send('POST', '/api/queue/publish', { channel: 'c', message: 1 })).toMatchObject({
      body: { message: 'Mensaje publicado', channel: 'c', subscribers: 0 },
    })
    expect((await service.get('/api/queue/subscribers/c')).body).toEqual({ channel: 'c', subscribers: 0 })
  })

  test.for(['__keyspace@0__:devices', 'cache_service:x', '__sentinel__:hello', '__redis__:invalidate'])(
    'cannot be published to %s',
    async (channel) => {
      expect(await service.send('POST', '/api/queue/publish', { channel, message: 1 })).toMatchObject({
        status: 403,
        body: { error: 'El canal está protegido' },
      })
    },
  )
})

describe('a bad request', () => {
  test.for<[string, unknown, RegExp]>([
    ['/api/cache/', {}, /key es obligatorio.*value es obligatorio/],
    ['/api/cache/', { key: 'k' }, /^value es obligatorio$/],
    ['/api/cache/', { key: 1, value: 1 }, /^key es obligatorio y debe ser texto$/],
    ['/api/cache/', { key: '', value: 1 }, /vacía/],
    ['/api/cache/', { key: 'k', value: 1, ttl: 0 }, /ttl/],
    ['/api/cache/', { key: 'k', value: 1, ttl: 1.5 }, /ttl/],
    ['/api/cache/', { key: 'k', value: 1, ttl: '60' }, /ttl/],
    ['/api/cache/', { key: 'k', value: 1, ttl: 1e15 }, /ttl/],
    ['/api/cache/', [1], /objeto/],
    ['/api/queue/publish', {}, /^message es obligatorio$/],
    ['/api/queue/publish', { channel: '', message: 1 }, /channel/],
    ['/api/queue/publish', { channel: 5, message: 1 }, /channel/],
    ['/api/queue/publish', { channel: '\ud800', message: 1 }, /channel/],
  ])('is answered with 400 and the reason, without effect: POST %s %j', async ([path, body, error]) => {
    const answer = await service.send('POST', path, body)
    expect(answer.body).toEqual({ error: expect.stringMatching(error) })
    expect(answer.status).toBe(400)
    expect(await database.client.dbsize()).toBe(0)
  })

  test.for([
    ['malformed JSON', '{"key":', 'application/json', 400],
    ['no body', '', 'application/json', 400],
    ['another content type', 'key=k', 'application/x-www-form-urlencoded', 415],
    [
      'a value nested too deeply',
      `{"key":"k","value":${'['.repeat(60_000)}${']'.repeat(60_000)}}`,
      'application/json',
      400,
    ],
    ['a huge value', `{"key":"k","value":"${'x'.repeat(2_000_000)}"}`, 'application/json', 413],
  ] as const)(
    'with %s is answered with its status, without effect',
    async ([, text, contentType, status]) => {
      const answer = await service.sendText('POST', '/api/cache/', text, contentType)
      expect(answer.status).toBe(status)
      expect(answer.body).toEqual({ error: expect.any(String) })
      expect(answer.headers.get('content-type')).toContain('application/json')
      expect(await database.client.dbsize()).toBe(0)
    },
  )

  test.for([
    ['GET', '/api/cache/keys?pattern=*a*b*c*'],
    ['GET', '/api/cache/keys?pattern='],
    ['GET', '/api/cache/keys?pattern=a&pattern=b'],
    ['DELETE', '/api/cache/pattern/****'],
    ['DELETE', '/api/cache/pattern/'],
    ['GET', '/api/queue/channels?pattern=****'],
    ['GET', '/api/cache/'],
    ['GET', '/api/cache/exists/'],
    ['GET', '/api/queue/subscribers/'],
    ['GET', '/api/cache/%ZZ'],
    ['GET', '/api/queue/subscribers/%ZZ'],
  ])('is answered with 400: %s %s', async ([method = '', path = '']) => {
    await database.client.set('k', '1')
    const answer = await service.send(method, path)
    expect(answer.body).toEqual({ error: expect.any(String) })
    expect(answer.status).toBe(400)
    expect(await database.client.exists('k')).toBe(1)
  })

  test('with a key or pattern that is too long is answered with the limit', async () => {
    const key = 'x'.repeat(1025)
    const error = expect.stringContaining('como máximo 1024 caracteres')
    expect(await service.send('POST', '/api/cache/', { key, value: 1 })).toMatchObject({
      status: 400,
      body: { error },
    })
    expect(await service.get(`/api/cache/${key}`)).toMatchObject({ status: 400, body: { error } })
    expect(await service.get(`/api/cache/keys?pattern=${'x'.repeat(129)}`)).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining('como máximo 128 caracteres') },
    })
  })

  test('with an unknown Host header is refused in the same shape, except on /health', async () => {
    const { port } = new URL(service.url)
    const statusOf = (path: string) =>
      new Promise<[number | undefined, string]>((resolve, reject) => {
        const options = { host: '127.0.0.1', port, path, headers: { host: 'evil.example' } }
        get(options, async (reply) => {
          resolve([reply.statusCode, Buffer.concat(await reply.toArray()).toString()])
        }).on('error', reject)
      })
    const [status, body] = await statusOf('/api/cache/k')
    expect(status).toBe(403)
    expect(JSON.parse(body)).toEqual({ error: expect.any(String) })
    expect((await statusOf('/health'))[0]).toBe(200)
  })

  test('with another method is answered with 405 and the allowed methods', async () => {
    const answer = await service.send('PUT', '/api/cache/k', { value: 1 })
    expect(answer).toMatchObject({ status: 405, body: { error: 'Método no permitido' } })
    expect(answer.headers.get('allow')).toBe('GET, HEAD, DELETE')
    expect(await service.send('GET', '/api/queue/publish')).toMatchObject({ status: 405 })
    expect(await service.get('/api/queue/nothing')).toMatchObject({
      status: 404,
      body: { error: 'Ruta no encontrada' },
    })
  })
})
