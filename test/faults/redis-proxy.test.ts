import { describe, expect, onTestFinished, test } from 'vitest'
import { openApi } from '../../cache-service/roles/api.ts'
import { openKvUpdater } from '../../cache-service/roles/kv-updater.ts'
import { RedisService } from '../../shared/redis-library/redis-service.ts'
import { eventually, patiently } from '../support/eventually.ts'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import { startRole } from '../support/processes/role-run.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'
import { connectAsService, connectPlainly, redisConfigOf } from '../support/servers/redis-connection.ts'
import { startRedisProxy, type Refusal } from '../support/servers/redis-proxy.ts'
import { startOwnRedis, type OwnRedis, type OwnRedisOptions } from '../support/servers/servers.ts'

async function ownRedis(options: OwnRedisOptions = {}): Promise<OwnRedis> {
  const server = await startOwnRedis(options)
  onTestFinished(() => server.stop())
  return server
}

/** A proxy that refuses the commands whose name the pattern matches. */
async function ownProxy(server: OwnRedis, pattern: RegExp, refusal: Refusal) {
  const proxy = await startRedisProxy(server, (name) => (pattern.test(name) ? refusal : undefined))
  onTestFinished(() => proxy.stop())
  return proxy
}

const UNSUPPORTED = 'ERR unsupported command'
const UNKNOWN = "ERR unknown command 'x', with args beginning with: 'correct-horse' "

describe.each<[what: string, pattern: RegExp]>([
  ['HELLO', /^HELLO/],
  ['CLIENT', /^CLIENT/],
  ['HELLO, CLIENT and INFO', /^(HELLO|CLIENT|INFO)/],
])('a proxy that refuses %s', (_, pattern) => {
  describe.each<Refusal>([UNSUPPORTED, UNKNOWN, 'close'])('by "%s"', (refusal) => {
    test.each([
      ['without a password', {}],
      ['in another database', { db: 3 }],
      ['with a password', { password: 'correct-horse' }],
      ['with a user, a password and a database', { username: 'cache', password: 'secret', db: 2 }],
    ])('serves a connection %s', async (_how, login) => {
      const password = 'password' in login ? { password: 'correct-horse' } : {}
      const server = await ownRedis({ ...password, aclUsers: { cache: 'on >secret ~* &* +@all' } })
      const proxy = await ownProxy(server, pattern, refusal)
      const { redis, said } = connectAsService(redisConfigOf({ ...proxy, password: undefined }, login))
      await eventually(() => redis.set('key', 'value'))
      await eventually(() => expect(said.at(-1)).toMatch(/^connected/))
      const library = new RedisService({ host: proxy.host, port: proxy.port, ...login })
      onTestFinished(() => library.close())
      await library.connect()
      expect(await redis.get('key')).toBe('value')
    })
  })
})

test('a command that a proxy refuses is reported without its arguments, which may be a password', async () => {
  const proxy = await ownProxy(await ownRedis(), /^AUTH/, UNKNOWN)
  const config = redisConfigOf({ ...proxy, password: 'correct-horse' })
  const { redis, connecting } = connectAsService(config)
  const messages: string[] = []
  redis.on('error', ({ message }) => messages.push(message))
  await connecting
  const { errors } = await runCliHere(['list'], {
    REDIS_HOST: proxy.host,
    REDIS_PORT: String(proxy.port),
    REDIS_PASSWORD: 'correct-horse',
  })
  expect(messages[0]).toContain('correct-horse')
  expect(errors).toContain("unknown command 'x'")
  expect(errors).not.toContain('horse')
})

describe.each<Refusal>([UNSUPPORTED, 'close'])(
  'behind a proxy that refuses HELLO, CLIENT and INFO by "%s"',
  (refusal) => {
    const open = async () => {
      const server = await ownRedis({ password: 'secret' })
      const proxy = await ownProxy(server, /^(HELLO|CLIENT|INFO)/, refusal)
      return {
        server,
        proxy,
        plain: connectPlainly(server),
        url: `redis://:secret@${proxy.host}:${proxy.port}`,
      }
    }

    test('the worker writes devices, and the CLI reads them', async (context) => {
      const { proxy, server, url } = await open()
      const scenario = await openWorkerScenario(context, { ownRedis: server, env: { REDIS_URL: url } })
      const worker = await scenario.startWorker()
      await scenario.send([update({ deviceId: 'one' })])
      await patiently(async () => expect(await scenario.redis.smembers('devices')).toEqual(['one']))
      await worker.ready(60_000)
      expect(await runCliHere(['get', 'one'], { REDIS_URL: url })).toMatchObject({ code: 0 })
      expect(await worker.stop()).toBe(0)
      expect(proxy.seen).not.toContain('HELLO')
    })

    test('the api serves devices, and the kv-updater stores updates', async () => {
      const { plain, url } = await open()
      await plain.hset('device:one:metadata', 'persist', 'true')
      const updater = await startRole(openKvUpdater, { REDIS_URL: url })
      const api = await startRole(openApi, { REDIS_URL: url, PORT: '0' })
      for (const role of [updater, api]) await patiently(async () => expect(await role.isReady()).toBe(true))
      await plain.publish('update', JSON.stringify({ type: 'prices', values: [1] }))
      await patiently(async () => expect(await plain.get('prices')).toContain('[1]'))
      const apiUrl = String(api.lines().find(({ msg }) => msg === 'api started')?.['url'])
      expect((await fetch(`${apiUrl}/api/devices/one`)).status).toBe(200)
      expect(await (await fetch(`${apiUrl}/api/state`)).text()).toContain('prices')
      await Promise.all([api.stop(), updater.stop()])
    })
  },
)
