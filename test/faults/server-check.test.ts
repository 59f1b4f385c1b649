import { describe, expect, onTestFinished, test } from 'vitest'
import { openApi } from '../../cache-service/roles/api.ts'
import { openKvUpdater } from '../../cache-service/roles/kv-updater.ts'
import { eventually, patiently } from '../support/eventually.ts'
import { startRole } from '../support/processes/role-run.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'
import { connectPlainly } from '../support/servers/redis-connection.ts'
import { startRedisProxy } from '../support/servers/redis-proxy.ts'
import { startOwnRedis, type OwnRedisOptions } from '../support/servers/servers.ts'

async function ownRedis(options: OwnRedisOptions = {}) {
  const server = await startOwnRedis(options)
  onTestFinished(() => server.stop())
  return { server, plain: connectPlainly(server) }
}

const reasonsOf = async (url: string) => await (await fetch(`${url}/readyz`)).text()

describe('a fixed key that another program has written with another type', () => {
  test('is named by the worker, which holds until it is removed', async (context) => {
    const { plain, server } = await ownRedis()
    await plain.rpush('devices', 'a', 'b')
    const scenario = await openWorkerScenario(context, { ownRedis: server })
    const worker = await scenario.startWorker()
    await scenario.send([update({ deviceId: 'one' })])
    await patiently(async () => {
      const { body } = await worker.get('/readyz')
      expect(body).toContain('wrong type of key: devices is a list, but must be a set')
      expect(body).toMatch(/holding: redis KEY_TYPE: devices/)
    })
    const error = (fields: object) => expect.objectContaining({ level: 'error', ...fields })
    await patiently(() => {
      expect(worker.logLines()).toContainEqual(error({ key: 'devices', type: 'list', expected: 'set' }))
      expect(worker.logLines()).toContainEqual(error({ code: 'KEY_TYPE' }))
    })
    await plain.del('devices')
    await worker.ready(60_000)
    expect(await plain.smembers('devices')).toEqual(['one'])
    expect(await worker.stop()).toBe(0)
  })

  test.each([
    ['api', openApi, ['devices', 'cache_service:{workers}:index', 'cache_service:{events}:device']],
    [
      'kv-updater',
      openKvUpdater,
      ['cache_service:{events}:types', 'cache_service:{events}:update', 'cache_service:{events}:lease'],
    ],
  ])('is a reason in the readiness of the %s, which logs it once', async (_, open, keys) => {
    const { plain, server } = await ownRedis()
    for (const key of keys) await plain.rpush(key, 'a')
    const role = await startRole(open, { REDIS_URL: server.url, PORT: '0' })
    await patiently(async () => {
      for (const key of keys) expect(await reasonsOf(role.url)).toContain(`${key} is a list, but must be a`)
    })
    for (const key of keys) expect(role.lines().filter((line) => line['key'] === key)).toHaveLength(1)
    await plain.del(...keys)
    await patiently(async () => expect(await reasonsOf(role.url)).not.toContain('wrong type'))
    await role.stop()
  })

  test('does not matter to a user who may not ask for types, and is asked for only once', async () => {
    const { plain, server } = await ownRedis({ aclUsers: { few: 'on >secret ~* &* +@all -type' } })
    const role = await startRole(openKvUpdater, {
      REDIS_URL: `redis://few:secret@127.0.0.1:${server.port}`,
    })
    await eventually(async () => expect(await plain.acl('LOG')).toHaveLength(1))
    await eventually(async () => expect(await role.isReady()).toBe(true))
    await role.stop()
  })

  test.each(['type', 'evalsha'])(
    'is no longer a reason when the permission for %s is taken away',
    async (command) => {
      const { plain, server } = await ownRedis({ aclUsers: { few: 'on >secret ~* &* +@all' } })
      await plain.rpush('cache_service:{events}:types', 'a')
      const role = await startRole(openKvUpdater, {
        REDIS_URL: `redis://few:secret@127.0.0.1:${server.port}`,
      })
      await patiently(async () => expect(await reasonsOf(role.url)).toContain('wrong type of key'))
      await plain.acl('SETUSER', 'few', `-${command}`)
      await patiently(async () => expect(await reasonsOf(role.url)).not.toContain('wrong type'))
      expect(role.lines().filter(({ msg }) => msg === 'the key no longer has the wrong type')).toEqual([])
      await role.stop()
    },
  )

  test('is found although a proxy refused to pass the question on before', async () => {
    const { plain, server } = await ownRedis()
    await plain.rpush('cache_service:{events}:types', 'a')
    let isRefused = true
    const proxy = await startRedisProxy(server, (name) =>
      isRefused && name.startsWith('TYPE') ? 'ERR unsupported command' : undefined,
    )
    onTestFinished(() => proxy.stop())
    const role = await startRole(openKvUpdater, { REDIS_URL: `redis://${proxy.host}:${proxy.port}` })
    await eventually(() => expect(proxy.seen).toContainEqual(expect.stringMatching(/^TYPE/)))
    await eventually(async () => expect(await role.isReady()).toBe(true))
    isRefused = false
    await patiently(async () => expect(await reasonsOf(role.url)).toContain('wrong type of key'))
    await role.stop()
  })
})

describe('a server in cluster mode', () => {
  async function cluster() {
    const { plain, server } = await ownRedis({ isClusterNode: true })
    await plain.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
    await eventually(async () => expect(await plain.call('CLUSTER', 'INFO')).toContain('cluster_state:ok'))
    return server
  }

  test.each([
    ['api', openApi],
    ['kv-updater', openKvUpdater],
  ])('ends the %s, and the error names the setting', async (_, open) => {
    const { url } = await cluster()
    for (const database of ['', '/1']) {
      const role = await startRole(open, { REDIS_URL: url + database, PORT: '0' })
      await expect(role.ended).rejects.toMatchObject({
        name: 'OperatorError',
        message: expect.stringMatching(/is a node of a Cluster.*REDIS_CLUSTER_NODES/),
      })
    }
  })

  test('ends the worker with exit code 2', async (context) => {
    const server = await cluster()
    const scenario = await openWorkerScenario(context, { ownRedis: server })
    const worker = await scenario.startWorker()
    expect(await worker.exit).toBe(2)
    expect(worker.logLines()).toContainEqual(
      expect.objectContaining({
        level: 'fatal',
        msg: expect.stringMatching(/is a node of a Cluster.*REDIS_CLUSTER_NODES/),
      }),
    )
  })
})
