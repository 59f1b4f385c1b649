import { networkInterfaces } from 'node:os'
import { expect, describe, onTestFinished, test } from 'vitest'
import { createDeviceWriter } from '../../../cache-service/redis/devices/device-writer.ts'
import { openApi } from '../../../cache-service/roles/api.ts'
import { openKvUpdater } from '../../../cache-service/roles/kv-updater.ts'
import { redisError } from '../../../shared/errors.ts'
import { eventually } from '../../support/eventually.ts'
import { startRole } from '../../support/processes/role-run.ts'
import { connectAsService, connectPlainly, redisConfigOf } from '../../support/servers/redis-connection.ts'
import {
  reserveOwnRedis,
  startOwnRedis,
  type OwnRedis,
  type OwnRedisOptions,
} from '../../support/servers/servers.ts'
import { timeText, writePlan } from '../../support/records/write-plan.ts'

const TIMEOUT_MS = 300

async function ownRedis(options: OwnRedisOptions = {}): Promise<OwnRedis> {
  const server = await startOwnRedis(options)
  onTestFinished(() => server.stop())
  return server
}

/** The ServiceError of a promise that rejects, and how long that took. */
async function failureOf(promise: Promise<unknown>) {
  const startedAt = performance.now()
  try {
    await promise
  } catch (thrown) {
    const { code, failureClass, message } = redisError(thrown)
    return { code, failureClass, message, afterMs: performance.now() - startedAt }
  }
  throw new Error('the promise did not reject')
}

const plan = () =>
  writePlan([
    {
      id: 'a',
      lastUpdated: timeText(Date.now()),
      fields: ['persist', 'true'],
      expiresAtMs: Date.now() + 60_000,
    },
  ])
const limits = { maxKeys: 10, maxBytes: 10_000 }

describe('a Redis that is unavailable', () => {
  test('at the start rejects commands immediately, and is connected to when it starts', async () => {
    const server = await reserveOwnRedis()
    onTestFinished(() => server.stop())
    const { redis, said, connecting } = connectAsService(redisConfigOf(server, { timeoutMs: TIMEOUT_MS }))
    await connecting
    expect(said[0]).toBe('failed CONNECTION')
    const failure = await failureOf(redis.set('key', 'value'))
    expect(failure).toMatchObject({ code: 'CONNECTION', failureClass: 'transient' })
    expect(failure.afterMs).toBeLessThan(TIMEOUT_MS * 10)
    await server.start()
    await eventually(() => redis.set('key', 'value'))
    expect(said).toContain(`connected 127.0.0.1:${server.port}/0`)
  })

  test('because it was killed rejects commands, and is connected to when it starts again', async () => {
    const server = await ownRedis()
    const { redis, said, connecting } = connectAsService(redisConfigOf(server, { timeoutMs: TIMEOUT_MS }))
    await connecting
    await redis.set('key', 'value')
    await server.kill('SIGKILL')
    await eventually(async () => {
      expect(await failureOf(redis.set('key', 'value'))).toMatchObject({ failureClass: 'transient' })
    })
    await server.start()
    await eventually(() => redis.set('key', 'value'))
    // On a busy machine, a further connection may be lost before the write.
    expect(said.filter((line) => line.startsWith('connected')).length).toBeGreaterThan(1)
  })
})

describe('a Redis that hangs', () => {
  test('rejects commands within the timeout, and is used again when it continues', async () => {
    const server = await ownRedis()
    onTestFinished(() => server.kill('SIGCONT'))
    const { redis, connecting } = connectAsService(redisConfigOf(server, { timeoutMs: TIMEOUT_MS }))
    await connecting
    const writer = createDeviceWriter(redis, limits)
    await writer.write(plan())
    await server.kill('SIGSTOP')
    const failure = await failureOf(writer.write(plan()))
    expect(failure).toMatchObject({ failureClass: 'transient' })
    expect(failure.afterMs).toBeLessThan(TIMEOUT_MS * 10)
    await server.kill('SIGCONT')
    await eventually(() => writer.write(plan()))
  })

  test('from the beginning rejects commands within the timeout as well', async () => {
    const server = await ownRedis()
    onTestFinished(() => server.kill('SIGCONT'))
    await server.kill('SIGSTOP')
    const { redis, connecting, said } = connectAsService(redisConfigOf(server, { timeoutMs: TIMEOUT_MS }))
    const startedAt = performance.now()
    await connecting
    expect(performance.now() - startedAt).toBeLessThan(TIMEOUT_MS * 10)
    expect(await failureOf(redis.set('key', 'value'))).toMatchObject({ failureClass: 'transient' })
    await eventually(() => expect(said.length).toBeGreaterThan(0))
    expect(said.filter((line) => line.startsWith('connected'))).toEqual([])
    await server.kill('SIGCONT')
    await eventually(() => redis.set('key', 'value'))
  })
})

test.each([
  ['', undefined],
  [' over TLS', true],
])(
  'a reply that arrived%s while this process was busy for longer than the timeout is not late',
  async (_, tls) => {
    const server = await ownRedis(tls === true ? { tls } : {})
    const ca = server.tls?.ca
    const { redis, said } = connectAsService(
      redisConfigOf(server, {
        timeoutMs: TIMEOUT_MS,
        ...(ca !== undefined && { tls: { ca, cert: undefined, key: undefined, rejectUnauthorized: true } }),
      }),
    )
    await eventually(() => redis.ping())
    for (let round = 0; round < 3; round++) {
      const reply = redis.echo('in time')
      // So that the command is sent before.
      await new Promise((resolve) => setImmediate(resolve))
      const busyUntil = performance.now() + 2 * TIMEOUT_MS
      while (performance.now() < busyUntil);
      expect(await reply).toBe('in time')
    }
    expect(said.filter((line) => line.startsWith('failed'))).toEqual([])
  },
)

describe('credentials', () => {
  test('that are wrong are reported, and no command succeeds', async () => {
    const server = await ownRedis({ password: 'secret' })
    for (const [password, code, refusal] of [
      ['wrong', 'WRONGPASS', 'CONNECTION'],
      [undefined, 'NOAUTH', 'NOAUTH'],
    ] as const) {
      const { redis, said, connecting } = connectAsService(redisConfigOf(server, { password }))
      await connecting
      expect(await failureOf(redis.set('key', 'value'))).toMatchObject({ code: refusal })
      expect(said[0]).toBe(`failed ${code}`)
      expect(said.filter((line) => line.startsWith('connected'))).toEqual([])
    }
  })

  test('that are right grant access, by password or as a user', async () => {
    const server = await ownRedis({ password: 'secret', aclUsers: { worker: 'on >pass ~* +@all' } })
    const overrides = [{}, { username: 'worker', password: 'pass' }]
    for (const override of overrides) {
      const { redis, connecting } = connectAsService(redisConfigOf(server, override))
      await connecting
      expect(await redis.set('key', 'value')).toBe('OK')
    }
  })

  test.each([
    ['run scripts', '~* +@all -evalsha'],
    ['run a command of a script', '~* +@all -hset'],
    ['access the keys of devices', '~other* +@all'],
  ])('of a user who may not %s cause an operator error', async (_denied, rules) => {
    const server = await ownRedis({ aclUsers: { worker: `on >pass ${rules}` } })
    const config = redisConfigOf(server, { username: 'worker', password: 'pass' })
    const { redis, connecting } = connectAsService(config)
    await connecting
    expect(await failureOf(createDeviceWriter(redis, limits).write(plan()))).toMatchObject({
      code: 'NOPERM',
      failureClass: 'operator',
    })
  })
})

describe('a database', () => {
  test('other than 0 is used', async () => {
    const server = await ownRedis()
    const { redis, said, connecting } = connectAsService(redisConfigOf(server, { db: 7 }))
    await connecting
    await redis.set('key', 'value')
    const plain = connectPlainly(server)
    expect(await plain.exists('key')).toBe(0)
    await plain.select(7)
    expect(await plain.exists('key')).toBe(1)
    expect(said).toEqual([`connected 127.0.0.1:${server.port}/7`])
  })

  test.each([
    ['does not exist', { db: 99 }],
    ['may not be selected', { db: 3, username: 'worker', password: 'pass' }],
  ])('that %s is not written to, and neither is database 0', async (_, override) => {
    const server = await ownRedis({ aclUsers: { worker: 'on >pass ~* +@all -select' } })
    const { redis, said, connecting } = connectAsService(redisConfigOf(server, override))
    await connecting
    for (let attempt = 0; attempt < 20; attempt++) {
      expect(await failureOf(redis.set('key', 'value'))).toMatchObject({ code: 'CONNECTION' })
    }
    // Attempts continue, but the connection is never reported as established.
    await eventually(() => expect(said.filter((line) => line.startsWith('failed')).length).toBeGreaterThan(2))
    expect(said.filter((line) => line.startsWith('connected'))).toEqual([])
    expect(await connectPlainly(server).dbsize()).toBe(0)
  })
})

describe('TLS', () => {
  const pem = (server: OwnRedis) => {
    if (server.tls === undefined) throw new Error('the server has no TLS')
    const { ca, clientCertificate: cert, clientKey: key } = server.tls
    return { ca, cert, key }
  }
  const none = { ca: undefined, cert: undefined, key: undefined, rejectUnauthorized: true }

  test('with the server’s certificate authority and a client certificate grants access', async () => {
    const server = await ownRedis({ tls: 'mutual' })
    const tls = { ...pem(server), rejectUnauthorized: true }
    const { redis, connecting } = connectAsService(redisConfigOf(server, { tls }))
    await connecting
    expect(await redis.set('key', 'value')).toBe('OK')
    expect(await createDeviceWriter(redis, limits).write(plan())).toMatchObject({
      deletes: [],
      updates: ['changed'],
    })
  })

  test('with an unknown certificate authority is rejected, unless rejectUnauthorized is false', async () => {
    const server = await ownRedis({ tls: true })
    const strict = connectAsService(redisConfigOf(server, { tls: none }))
    await strict.connecting
    expect(await failureOf(strict.redis.set('key', 'value'))).toMatchObject({ failureClass: 'transient' })
    expect(strict.said.filter((line) => line.startsWith('connected'))).toEqual([])
    const lenient = connectAsService(redisConfigOf(server, { tls: { ...none, rejectUnauthorized: false } }))
    await lenient.connecting
    expect(await lenient.redis.set('key', 'value')).toBe('OK')
  })

  test('to a server without TLS fails within the timeout, and so does the reverse', async () => {
    const [plain, secure] = [await ownRedis(), await ownRedis({ tls: true })]
    for (const config of [redisConfigOf(plain, { tls: none }), redisConfigOf(secure)]) {
      const { redis, connecting } = connectAsService({ ...config, timeoutMs: TIMEOUT_MS })
      await connecting
      expect(await failureOf(redis.set('key', 'value'))).toMatchObject({ failureClass: 'transient' })
    }
  })
})

describe('a server that accepts a connection only to refuse the client', () => {
  test('because it has too many is reported, and tried again less and less often', async () => {
    const server = await ownRedis({ args: ['--maxclients', '1'] })
    const plain = connectPlainly(server)
    await plain.ping()
    const { redis, said, connecting } = connectAsService(redisConfigOf(server))
    const delaysMs: number[] = []
    redis.on('reconnecting', (delayMs: number) => delaysMs.push(delayMs))
    await connecting
    await eventually(() => expect(said).toContain('failed MAXCLIENTS'))
    // The first delays are below 300 ms.
    await eventually(() => expect(delaysMs.at(-1)).toBeGreaterThan(500))
    expect(said.filter((line) => line.startsWith('connected'))).toEqual([])
    plain.disconnect()
    await eventually(() => expect(said.at(-1)).toMatch(/^connected/))
  })

  test.each([
    ['api', openApi],
    ['kv-updater', openKvUpdater],
  ])('because it is in protected mode ends the %s, and the error names the setting', async (_, open) => {
    const addresses = Object.values(networkInterfaces()).flatMap((found) => found ?? [])
    const host = addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address
    if (host === undefined) throw new Error('this machine has no address that Redis does not consider local')
    const server = await ownRedis({ args: ['--bind', '0.0.0.0', '--protected-mode', 'yes'] })
    const role = await startRole(open, { REDIS_HOST: host, REDIS_PORT: String(server.port), PORT: '0' })
    await expect(role.ended).rejects.toMatchObject({
      name: 'OperatorError',
      message: expect.stringMatching(/protected mode.*REDIS_PASSWORD/),
    })
    expect(role.lines().filter(({ msg }) => /connected to Redis/.test(msg))).toEqual([])
  })
})

test('a connection has its name in CLIENT LIST', async () => {
  const server = await ownRedis()
  const { redis, connecting } = connectAsService(redisConfigOf(server))
  await connecting
  expect(await redis.client('GETNAME')).toBe('a-test')
})
