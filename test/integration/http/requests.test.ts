import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { rawHttp } from '../../support/processes/raw-http.ts'
import { startApi, type RunningApi } from '../../support/processes/start-api.ts'
import { useRedisDatabase, type RedisDatabase } from '../../support/test-scope.ts'

let database: RedisDatabase
let api: RunningApi

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  api = await startApi({ REDIS_URL: database.url, API_CORS_ORIGINS: 'https://good.example' })
})
afterAll(async () => {
  await api.stop()
  await database.release()
})

/** A request as it stands, with `Host: localhost` unless the headers have their own, on a connection of its own. */
async function send(line: string, headers: readonly string[] = [], body = '') {
  const host = headers.some((header) => /^host:/i.test(header)) ? [] : ['host: localhost']
  const head = [`${line} HTTP/1.1`, ...host, 'connection: close', ...headers].join('\r\n')
  const reply = await rawHttp(api.url, `${head}\r\n\r\n${body}`)
  const json: unknown =
    /^content-type: application\/(problem\+)?json/im.test(reply.head) && reply.body !== ''
      ? JSON.parse(reply.body)
      : undefined
  return { ...reply, json, type: json === undefined ? undefined : Object(json).type }
}

const lengthOf = (body: string) => `content-length: ${Buffer.byteLength(body)}`
const jsonType = 'content-type: application/json'

async function storeDevice(id: string): Promise<void> {
  await database.client.hset(`device:${id}:metadata`, { persist: 'true' })
  await database.client.sadd('devices', id)
}

describe('a request for a whole URL', () => {
  test('is answered like one for its path', async () => {
    await storeDevice('a')
    for (const url of ['http://localhost', 'HTTP://127.0.0.1:80', 'https://user@localhost']) {
      const answer = await send(`GET ${url}/api/devices/a`, ['host: evil.example'])
      expect([url, answer.status, answer.json]).toMatchObject([url, 200, { device_id: 'a' }])
    }
    expect((await send('GET http://localhost')).status).toBe(200)
    expect(await send('GET http://localhost?limit=1')).toMatchObject({ status: 200 })
  })

  test('reads and deletes the same cache value as one for its path', async () => {
    const body = JSON.stringify({ key: 'k/1', value: 7 })
    await send('POST http://localhost/api/cache/', [jsonType, lengthOf(body)], body)
    expect((await send('GET http://localhost/api/cache/k/1')).json).toMatchObject({ key: 'k/1', value: 7 })
    expect((await send('DELETE http://localhost/api/cache/k/1')).json).toMatchObject({ key: 'k/1' })
    expect(await database.client.exists('k/1')).toBe(0)
  })

  test('must name an allowed host, whatever Host says', async () => {
    const answer = await send('GET http://evil.example/api/devices')
    expect([answer.status, answer.type]).toEqual([403, 'host_not_allowed'])
  })
})

describe('a malformed request', () => {
  test.for([
    ['GET *', 404, 'not_found'],
    ['OPTIONS *', 404, 'not_found'],
    ['GET localhost:80', 400, 'bad_request'],
    ['CONNECT localhost:443', 400, 'bad_request'],
    ['GET //api//devices', 404, 'not_found'],
    ['GET /api%2Fdevices', 404, 'not_found'],
    ['GET /api/devices/%00', 400, 'invalid_request'],
    ['GET /api/devices/%', 400, 'bad_request'],
    ['GET /api/devices/%ff', 400, 'bad_request'],
    ['GET /nowhere/%ZZ', 400, 'bad_request'],
    ['GET /api/devices?match=%ff', 400, 'bad_request'],
    ['GET /api/devices?match=%', 400, 'bad_request'],
    ['GET /api/devices?limit=1&limit=2', 400, 'invalid_request'],
    ['GET /api/devices?cursor=a&cursor=b', 400, 'invalid_request'],
    ['GET /api/devices?cursor=', 400, 'invalid_cursor'],
    ['GET /api/devices?cursor=-1', 400, 'invalid_cursor'],
    [`GET /api/devices?cursor=${cursor('["18446744073709551616"]')}`, 400, 'invalid_cursor'],
    [`GET /api/devices?cursor=${cursor('["99999999999999999999"]')}`, 400, 'invalid_cursor'],
    ['GET /api/devices?cursor=1718000000000-0.1718000000000-0', 400, 'invalid_cursor'],
  ] as const)('%s is answered with a problem document', async ([line, status, type]) => {
    const answer = await send(line)
    expect(answer.head).toContain('content-type: application/problem+json')
    expect([answer.status, answer.type]).toEqual([status, type])
  })

  test('without Host is answered with a problem document', async () => {
    const answer = await rawHttp(api.url, 'GET /api/devices HTTP/1.1\r\nconnection: close\r\n\r\n')
    expect([answer.status, Object(JSON.parse(answer.body)).type]).toEqual([400, 'bad_request'])
    // Health checks of load balancers send HTTP/1.0.
    expect((await rawHttp(api.url, 'GET /livez HTTP/1.0\r\n\r\n')).status).toBe(200)
  })

  const body = '{"ids":[]}'
  test.for([
    ['a length and chunks', [lengthOf(body), 'transfer-encoding: chunked']],
    ['two codings', ['transfer-encoding: chunked', 'transfer-encoding: identity']],
    ['an unknown coding', ['transfer-encoding: xchunked']],
    ['two lengths', [lengthOf(body), 'content-length: 0']],
    ['a list of lengths', [`${lengthOf(body)}, ${body.length}`]],
    ['a signed length', [`content-length: +${body.length}`]],
    ['a length beyond 2^64', ['content-length: 18446744073709551616']],
    ['a line that is folded', [lengthOf(body), 'x: a\r\n transfer-encoding: chunked']],
    ['a bare carriage return', [lengthOf(body), 'x: a\rtransfer-encoding: chunked']],
    ['a space before the colon', [lengthOf(body), 'transfer-encoding : chunked']],
    ['two hosts', [lengthOf(body), 'host: localhost', 'Host: evil.example']],
  ] as const)(
    'whose end or whose host a proxy could see elsewhere, by %s, is rejected, and nothing after it is answered',
    async ([, headers]) => {
      const answer = await send(
        'POST /api/devices/lookup',
        [jsonType, ...headers],
        `${body}GET /livez HTTP/1.1\r\n\r\n`,
      )
      expect([answer.status, answer.type]).toEqual([400, 'bad_request'])
      expect(answer.text.match(/HTTP\/1\.1 /g)).toHaveLength(1)
    },
  )

  test('with an unknown expectation is answered as if it had none', async () => {
    expect((await send('GET /api/devices', ['expect: the-unexpected'])).status).toBe(200)
  })

  test('does not take the place of the response to the request before', async () => {
    await storeDevice('a')
    const socket = connect(Number(new URL(api.url).port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    socket.write('GET /api/devices/a HTTP/1.1\r\nhost: localhost\r\n\r\nNOT HTTP\r\n\r\n')
    const received = Buffer.concat(await socket.toArray()).toString()
    expect(received).toMatch(/^HTTP\/1\.1 200 OK/)
    expect(received).toContain('"device_id":"a"')
    expect(received).toContain('Connection: close')
    expect(received).not.toContain('bad_request')
  })
})

function cursor(text: string): string {
  return Buffer.from(text).toString('base64url')
}

describe('an empty body', () => {
  const contentTypes = [
    'application/json',
    'application/json; charset=utf-8',
    'APPLICATION/JSON',
    'text/plain',
    'application/x-www-form-urlencoded',
    'not a media type',
  ]
  const bodies: [string, string[], string][] = [
    ['no body', [], ''],
    ['Content-Length: 0', ['content-length: 0'], ''],
    ['an empty chunked body', ['transfer-encoding: chunked'], '0\r\n\r\n'],
  ]
  const cases = contentTypes
    .flatMap((type) => bodies.map(([name, headers, body]) => ({ type, name, headers, body })))
    .filter(({ type, name }) => type !== 'not a media type' || name !== 'an empty chunked body')

  test.for(cases)('is none, whatever its content type: $type with $name', async ({ body, headers, type }) => {
    await storeDevice('a')
    await database.client.set('k', '1')
    const all = [`content-type: ${type}`, ...headers]
    expect((await send('DELETE /api/devices/a', all, body)).status).toBe(204)
    expect((await send('DELETE /api/cache/k', all, body)).status).toBe(200)
    expect((await send('GET /api/devices', all, body)).status).toBe(200)
    expect((await send('PUT /api/devices/a', all, body)).status).toBe(405)
    expect((await send('DELETE /nowhere', all, body)).status).toBe(404)
    const lookup = await send('POST /api/devices/lookup', all, body)
    expect([lookup.status, lookup.type]).toEqual([400, 'bad_request'])
  })
})

describe('a JSON body', () => {
  test('may begin with a byte order mark, and its content type be written in upper case', async () => {
    for (const type of ['application/json', 'Application/JSON; Charset=UTF-8']) {
      const body = '\ufeff{"ids":["a"]}'
      const lookup = await send('POST /api/devices/lookup', [`content-type: ${type}`, lengthOf(body)], body)
      expect(lookup.status).toBe(200)
      const value = '\ufeff{"key":"bom","value":1}'
      const stored = await send('POST /api/cache/', [`content-type: ${type}`, lengthOf(value)], value)
      expect([stored.status, await database.client.get('bom')]).toEqual([200, '1'])
    }
  })

  test('that is not UTF-8 is rejected, and nothing is stored', async () => {
    for (const [path, body] of [
      ['/api/devices/lookup', [Buffer.from('{"ids":["\xff"]}', 'latin1')]],
      ['/api/cache/', [Buffer.from('{"key":"latin","value":"\xff"}', 'latin1')]],
    ] as const) {
      const init = {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: new Blob([...body]),
      }
      expect([path, (await fetch(api.url + path, init)).status]).toEqual([path, 400])
    }
    expect(await database.client.exists('latin')).toBe(0)
  })
})

describe('with API_CORS_ORIGINS', () => {
  const good = ['origin: https://good.example']
  const preflight = [...good, 'access-control-request-method: DELETE']

  test.for([
    ['GET', '/nowhere', 404],
    ['HEAD', '/nowhere', 404],
    ['POST', '/nowhere', 404],
    ['OPTIONS', '/nowhere', 404],
    ['OPTIONS', '/api/devices', 405],
    ['TRACE', '/api/devices', 405],
    ['QUERY', '/api/devices', 405],
    ['QUERY', '/nowhere', 404],
    ['HEAD', '/api/events', 405],
  ] as const)('%s %s is answered with %i', async ([method, path, status]) => {
    const answer = await send(`${method} ${path}`, good)
    expect(answer.status).toBe(status)
    expect(answer.head).toContain('content-type: application/problem+json')
    expect(answer.head).toContain('access-control-allow-origin: https://good.example')
    expect(answer.head).not.toMatch(/^allow: .*OPTIONS/im)
    expect(answer.body === '').toBe(method === 'HEAD')
  })

  test('a preflight allows the methods and the headers that a page needs, for an allowed origin', async () => {
    for (const path of ['/api/devices/x', '/api/cache/x', '/nowhere']) {
      const headers = 'access-control-request-headers: authorization,content-type'
      const answer = await send(`OPTIONS ${path}`, [...preflight, headers])
      expect(answer.status).toBe(204)
      expect(answer.head).toContain('access-control-allow-origin: https://good.example')
      expect(answer.head).toContain('access-control-allow-methods: GET, HEAD, POST, DELETE')
      expect(answer.head).toContain('access-control-allow-headers: authorization,content-type')
      expect(answer.head).toContain('vary: Origin, Access-Control-Request-Headers')
    }
    for (const origin of ['https://evil.example', 'null']) {
      const refused = await send('OPTIONS /api/devices/x', [
        `origin: ${origin}`,
        'access-control-request-method: DELETE',
      ])
      expect(refused.head).not.toContain('access-control-allow')
    }
  })

  test('caches must not give the response for one origin to another', async () => {
    for (const headers of [[], good, ['origin: https://evil.example']]) {
      expect((await send('GET /api/devices', headers)).head).toMatch(/^vary: Origin$/im)
    }
  })
})
