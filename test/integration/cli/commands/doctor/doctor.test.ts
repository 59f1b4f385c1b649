import { Redis } from 'ioredis'
import kafkajs, { type Admin } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { patiently } from '../../../../support/eventually.ts'
import { readTopic } from '../../../../support/records/read-topic.ts'
import { runCliHere } from '../../../../support/processes/run-cli-here.ts'
import { startApi } from '../../../../support/processes/start-api.ts'
import {
  aclOfAlice,
  startKafkaWithAcls,
  workersAsAlice,
} from '../../../../support/servers/kafka-with-acls.ts'
import { startOwnRedis, type OwnKafka, type OwnRedis } from '../../../../support/servers/servers.ts'
import { update } from '../../../../support/records/tagged-records.ts'
import { connectPlainly } from '../../../../support/servers/redis-connection.ts'
import { startRedisProxy } from '../../../../support/servers/redis-proxy.ts'
import { createTopic, uniqueName } from '../../../../support/test-scope.ts'
import { openWorkerScenario, type ScenarioContext } from '../../../../support/processes/worker-scenario.ts'

type Finding = { verdict: string; area: string; check: string; detail: string; fix: string | null }

async function runDoctor(env: Readonly<Record<string, string>>, ...args: string[]) {
  const { code, errors, output } = await runCliHere(['doctor', '-f', 'json', ...args], {
    METRICS_PORT: '0',
    ...env,
  })
  if (output === '') throw new Error(errors)
  const findings: Finding[] = JSON.parse(output)
  for (const { fix, verdict } of findings) {
    expect(fix !== null).toBe(verdict === 'warning' || verdict === 'failed')
  }
  const of = (verdict: string) => findings.filter((finding) => finding.verdict === verdict)
  const find = (check: string) => findings.find((finding) => finding.check.startsWith(check))
  return { code, output, errors, findings, failed: of('failed'), warnings: of('warning'), find }
}

/** The role that does not need Kafka. */
const asUpdater = (env: Readonly<Record<string, string>>, ...args: string[]) =>
  runDoctor(env, '--role', 'kv-updater', ...args)

test('the doctor checks for the lag monitor whether each group can be measured', async (context) => {
  const { env, group, startWorker } = await openWorkerScenario(context)
  const unknown = uniqueName('no-group')
  const role = ['--role', 'lag-monitor']
  expect((await runDoctor(env, ...role)).find(`lag of group ${group}`)).toMatchObject({ verdict: 'warning' })
  await (await startWorker()).ready()
  const { code, failed, find } = await runDoctor({ ...env, LAG_GROUPS: `${group},${unknown}` }, ...role)
  expect({ code, failed }).toEqual({ code: 0, failed: [] })
  expect(find(`lag of group ${group}`)).toMatchObject({
    verdict: 'ok',
    detail: 'Stable, members: 1, topics: 1, records behind: 0',
  })
  expect(find(`lag of group ${unknown}`)?.fix).toContain('LAG_GROUPS')
  expect(find('commands of the lag-monitor')).toMatchObject({ verdict: 'ok' })
})

test('the doctor fails for an API that others could reach without API_AUTH, and for no other role', async () => {
  const redis = await startOwnRedis()
  onTestFinished(() => redis.stop())
  const env = { REDIS_URL: redis.url, API_HOST: '0.0.0.0', PORT: '0' }
  const { code, find } = await runDoctor(env, '--role', 'api')
  expect(code).toBe(1)
  expect(find('API_AUTH')).toMatchObject({
    verdict: 'failed',
    detail: 'API_AUTH is not set, and other machines can reach API_HOST 0.0.0.0, so the API would not start',
    fix: expect.stringMatching(/^Set API_AUTH=token.*\.$/),
  })
  expect((await asUpdater(env)).code).toBe(0)
})

test('the doctor checks for the canary whether it may write, and whether the API answers', async (context) => {
  const { env, startWorker, topic } = await openWorkerScenario(context)
  await (await startWorker()).ready()
  const api = await startApi(env)
  context.onTestFinished(() => api.stop())
  const canary = { ...env, CANARY_INTERVAL_S: '10', CANARY_API_URL: api.url }
  const good = await runDoctor(canary, '--role', 'lag-monitor')
  expect({ code: good.code, failed: good.failed }).toEqual({ code: 0, failed: [] })
  expect(good.find(`writing ${topic}`)).toMatchObject({ verdict: 'ok' })
  expect(good.find(`CANARY_API_URL ${api.url}`)).toMatchObject({
    ...{ area: 'api', verdict: 'ok', detail: 'it does not have the device cache_service_canary' },
  })

  const wrong = await runDoctor({ ...canary, CANARY_API_URL: 'http://127.0.0.1:1' }, '--role', 'all')
  expect(wrong.find('CANARY_API_URL http://127.0.0.1:1')).toMatchObject({
    ...{ verdict: 'failed', fix: 'Correct CANARY_API_URL, or start the API.' },
  })
  expect(wrong.find('commands of the lag-monitor')).toMatchObject({ verdict: 'ok' })
})

async function openRedis(options: Parameters<typeof startOwnRedis>[0] = {}): Promise<OwnRedis> {
  const redis = await startOwnRedis(options)
  onTestFinished(() => redis.stop())
  return redis
}

test('the doctor reports a Redis that is full, although it writes nothing', async () => {
  const redis = await openRedis({ args: ['--maxmemory', '500kb', '--maxmemory-policy', 'noeviction'] })
  const { code, find } = await asUpdater({ REDIS_URL: redis.url })
  expect(code).toBe(1)
  expect(find('memory')).toMatchObject({ verdict: 'failed', fix: expect.stringContaining('maxmemory') })
})

test('the doctor reports no problem in a working setup, and writes nothing', async (context) => {
  const ownRedis = { args: ['--appendonly', 'yes'] }
  const scenario = await openWorkerScenario(context, { ownRedis })
  const { admin, env, errorTopic, kafka, redis, topic } = scenario
  await scenario.send([update({ deviceId: 'one' })])
  const { code, errors, findings, find } = await runDoctor(env, '--role', 'all')
  expect(findings.filter(({ verdict }) => verdict !== 'ok')).toEqual([])
  expect(code).toBe(0)
  expect(errors).toMatch(/^failed: 0, warnings: 0, ok: \d+, skipped: 0\n$/)
  expect(find(`reading ${topic}`)?.detail).toBe('allowed')
  expect(find(`writing ${errorTopic}`)?.detail).toBe('allowed')
  expect(find('commands of the worker')?.detail).toContain('by ACL DRYRUN, as default')
  expect(await redis.keys('*')).toEqual([])
  expect(await readTopic(kafka, admin, errorTopic)).toEqual([])
  expect((await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0)).toBe(1)

  const table = await runCliHere(['doctor'], { ...env, METRICS_PORT: '0' })
  expect(table.output).toMatch(/^ok {7}settings environment: all settings are valid\nok {7}kafka /)
})

test('the doctor reports every invalid setting and skips the other checks', async () => {
  const { code, failed, findings } = await runDoctor({ REDIS_PORT: 'x', KAFKA_SSL: 'perhaps' })
  expect(code).toBe(1)
  expect(failed.map(({ check }) => check).sort()).toEqual(['KAFKA_SSL', 'REDIS_PORT'])
  expect(findings.filter(({ verdict }) => verdict === 'skipped')).toHaveLength(3)
})

test('the doctor warns of a port that is in use', async () => {
  const redis = await openRedis()
  const { find } = await asUpdater({ REDIS_URL: redis.url, METRICS_PORT: String(redis.port) })
  expect(find('METRICS_PORT')).toMatchObject({
    verdict: 'warning',
    detail: expect.stringContaining('in use'),
  })
})

describe('the doctor on Redis', () => {
  test('names the setting, and never the password, if the password is wrong or missing', async () => {
    const redis = await openRedis({ password: 'correct-horse' })
    const address = { REDIS_HOST: redis.host, REDIS_PORT: String(redis.port) }
    for (const env of [address, { ...address, REDIS_PASSWORD: 'wrong-horse' }]) {
      const { code, failed, output } = await asUpdater(env)
      expect(code).toBe(1)
      expect(failed).toMatchObject([{ check: 'login', fix: expect.stringContaining('REDIS_PASSWORD') }])
      expect(output).not.toContain('horse')
    }
    expect(await asUpdater({ ...address, REDIS_PASSWORD: 'correct-horse' })).toMatchObject({ code: 0 })
  })

  test('warns of an eviction policy that loses devices', async () => {
    const redis = await openRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] })
    const { code, find } = await asUpdater({ REDIS_URL: redis.url })
    expect(code).toBe(0)
    expect(find('eviction')).toMatchObject({
      verdict: 'warning',
      detail: expect.stringContaining('allkeys-lru'),
      fix: expect.stringContaining('noeviction'),
    })
  })

  test('fails on a replica', async () => {
    const redis = await openRedis({ args: ['--replicaof', '127.0.0.1', '1'] })
    const { code, find } = await asUpdater({ REDIS_URL: redis.url })
    expect(code).toBe(1)
    expect(find('mode')).toMatchObject({ verdict: 'failed', fix: expect.stringContaining('primary') })
  })

  test('names the setting if the server is in cluster mode, whatever the user may ask', async () => {
    const redis = await openRedis({
      isClusterNode: true,
      aclUsers: { few: 'on >secret ~* &* +@all -info -type' },
    })
    const admin = connectPlainly(redis)
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
    const address = { REDIS_HOST: redis.host, REDIS_PORT: String(redis.port) }
    const fix = expect.stringMatching(/REDIS_CLUSTER_NODES.*REDIS_HOST/)
    expect((await asUpdater(address)).find('mode')).toMatchObject({ verdict: 'failed', fix })
    const few = await asUpdater({ ...address, REDIS_USERNAME: 'few', REDIS_PASSWORD: 'secret' })
    expect(few.find('scripts')).toMatchObject({ verdict: 'failed', fix })
    // Valkey has databases in cluster mode, one by default.
    const hasDatabases = z.array(z.string()).parse(await admin.config('GET', 'cluster-databases')).length > 0
    expect((await asUpdater({ ...address, REDIS_DB: '1' })).find('login')).toMatchObject({
      verdict: 'failed',
      fix: hasDatabases ? expect.stringContaining('Lower REDIS_DB') : fix,
    })
  })

  test('names every fixed key of the wrong type, with the type that it must have', async () => {
    const redis = await openRedis()
    const admin = connectPlainly(redis)
    const env = { REDIS_URL: redis.url, KAFKA_CONSUMER_GROUP_ID: 'g', KAFKA_VALIDATED_DATA_TOPIC: 't' }
    expect((await asUpdater(env)).find('keys')).toMatchObject({ verdict: 'ok' })
    const expected = {
      devices: 'a set',
      'cache_service:progress:g:t': 'a hash',
      'cache_service:lease:sweeper': 'a string',
      'cache_service:{events}:lease': 'a string',
      'cache_service:{workers}:index': 'a zset',
      'cache_service:{events}:types': 'a set',
      'cache_service:{events}:update': 'a stream',
      'cache_service:{events}:device': 'a stream',
    }
    for (const key of Object.keys(expected)) await admin.rpush(key, 'a', 'b')
    const { code, failed } = await asUpdater(env)
    expect(code).toBe(1)
    expect(Object.fromEntries(failed.map(({ check, detail }) => [check, detail]))).toEqual(
      Object.fromEntries(
        Object.entries(expected).map(([key, type]) => [`key ${key}`, `it is a list, but must be ${type}`]),
      ),
    )
  })

  test('proves a server that uses TLS, or does not, against REDIS_TLS', async () => {
    const [secure, plain] = [await openRedis({ tls: true }), await openRedis()]
    const address = ({ port }: OwnRedis) => ({ REDIS_HOST: '127.0.0.1', REDIS_PORT: String(port) })
    expect((await asUpdater({ ...address(secure), REDIS_TIMEOUT_S: '1' })).failed).toMatchObject([
      { check: 'login', detail: 'the server uses TLS', fix: 'Set REDIS_TLS=true.' },
    ])
    expect((await asUpdater({ ...address(plain), REDIS_TLS: 'true' })).failed).toMatchObject([
      { detail: 'the server answers without TLS', fix: expect.stringContaining('Unset REDIS_TLS') },
    ])
  })

  test('accuses nothing else if a database does not exist', async () => {
    const redis = await openRedis()
    expect((await asUpdater({ REDIS_URL: `${redis.url}/99` })).failed).toMatchObject([
      { check: 'login', fix: expect.stringMatching(/REDIS_DB.*databases/) },
    ])
  })

  test('works through a proxy that closes the connection at HELLO, CLIENT, INFO, ACL and MULTI', async () => {
    const redis = await openRedis()
    const proxy = await startRedisProxy(redis, (name) =>
      /^(HELLO|CLIENT|INFO|ACL|MULTI)/.test(name) ? 'close' : undefined,
    )
    onTestFinished(() => proxy.stop())
    const { failed, find } = await asUpdater({ REDIS_HOST: proxy.host, REDIS_PORT: String(proxy.port) })
    expect(failed).toEqual([])
    expect(find('login')).toMatchObject({ verdict: 'ok' })
    expect(find('keys')).toMatchObject({ verdict: 'ok' })
    expect(find('server')).toMatchObject({ verdict: 'skipped' })
  })

  test('exits with 4 for an unknown host name and for a closed port', async () => {
    const { code, failed } = await asUpdater({ REDIS_HOST: 'no-such-host.invalid' })
    expect(code).toBe(4)
    expect(failed).toMatchObject([
      { check: 'name no-such-host.invalid:6379', fix: expect.stringContaining('REDIS_HOST') },
    ])
    const closed = await asUpdater({ REDIS_HOST: '127.0.0.1', REDIS_PORT: '1' })
    expect(closed.code).toBe(4)
    expect(closed.failed).toMatchObject([
      { check: 'connection 127.0.0.1:1', detail: "can't connect (ECONNREFUSED)" },
    ])
  })

  test('checks the certificate', async () => {
    const redis = await openRedis({ tls: true })
    const env = { REDIS_URL: redis.url }
    const untrusted = await asUpdater(env)
    expect(untrusted.failed).toMatchObject([
      { check: `TLS 127.0.0.1:${redis.port}`, fix: expect.stringContaining('REDIS_TLS_CA_FILE') },
    ])
    const trusted = await asUpdater({ ...env, REDIS_TLS_CA_FILE: redis.tls?.caPath ?? '' })
    expect(trusted.code).toBe(0)
    // The test certificate is valid for two days.
    expect(trusted.find('TLS')).toMatchObject({
      verdict: 'warning',
      detail: expect.stringContaining('certificate expires on'),
    })
  })

  const KEYS = '~cache_service:* &update'
  const NEEDED =
    '+evalsha +script|load +set +get +del +pexpire +sadd +xadd +subscribe +ping +select +client +info +type'

  test.each([
    ['ACL DRYRUN', '+acl'],
    ['MULTI and DISCARD', '+multi +discard'],
    ['harmless calls', ''],
  ])('finds a missing permission by %s', async (way, means) => {
    const redis = await openRedis({
      aclUsers: {
        whole: `on >secret ${KEYS} ${NEEDED} ${means}`,
        lacking: `on >secret ${KEYS} ${NEEDED} -get ${means}`,
        keyless: `on >secret ~other:* &update ${NEEDED} ${means}`,
        deaf: `on >secret ~cache_service:* &other ${NEEDED} ${means}`,
      },
    })
    const admin = new Redis(redis.url)
    onTestFinished(() => admin.disconnect())
    const as = (user: string) => asUpdater({ REDIS_URL: `redis://${user}:secret@127.0.0.1:${redis.port}` })
    const whole = await as('whole')
    expect(whole.find('commands')).toMatchObject({
      verdict: 'ok',
      detail: expect.stringContaining(`by ${way}, as whole`),
    })
    expect((await as('lacking')).failed).toMatchObject([
      { check: 'commands of the kv-updater', fix: 'redis-cli ACL SETUSER lacking +get' },
    ])
    expect((await as('keyless')).failed).toMatchObject([
      {
        detail: expect.stringContaining('set on cache_service:*'),
        fix: 'redis-cli ACL SETUSER keyless ~cache_service:*',
      },
    ])
    expect((await as('deaf')).failed).toMatchObject([
      { detail: 'deaf lacks permission for subscribe on update', fix: 'redis-cli ACL SETUSER deaf &update' },
    ])
    const left = (await admin.keys('*')).filter((key) => !key.startsWith('cache_service:doctor:'))
    expect(left).toEqual([])
  })
})

describe('the doctor on Kafka', () => {
  const withoutRedis = (findings: readonly Finding[]) => findings.filter(({ area }) => area === 'kafka')

  test('names each missing topic with its setting', async (context) => {
    const { createErrorTopic, env, errorTopic, topic } = await openWorkerScenario(context, {
      topic: false,
      errorTopic: false,
    })
    const { code, failed } = await runDoctor(env)
    expect(code).toBe(1)
    expect(failed).toMatchObject([
      {
        check: `topic ${topic}`,
        detail: 'it does not exist',
        fix: expect.stringContaining('KAFKA_VALIDATED_DATA_TOPIC'),
      },
      { check: `topic ${errorTopic}`, fix: expect.stringContaining('KAFKA_ERROR_TOPIC') },
    ])
    await createErrorTopic()
    expect((await runDoctor(env)).failed.map(({ check }) => check)).toEqual([`topic ${topic}`])
  })

  test('warns of topics with a short retention or a small message size', async (context) => {
    const { env } = await openWorkerScenario(context, {
      topic: false,
      errorTopic: { 'max.message.bytes': '10000' },
    })
    const topic = uniqueName('short')
    await createTopic(inject('kafkaBrokers'), topic, { config: { 'retention.ms': '3600000' } })
    const { code, find } = await runDoctor({ ...env, KAFKA_VALIDATED_DATA_TOPIC: topic })
    expect(code).toBe(0)
    expect(find('retention')).toMatchObject({ verdict: 'warning', detail: expect.stringContaining('1 hour') })
    expect(find('max.message.bytes')).toMatchObject({ verdict: 'warning' })
  })

  test('warns if one broker is unreachable, and exits with 4 if all are', async (context) => {
    const { env } = await openWorkerScenario(context)
    const brokers = env['KAFKA_BOOTSTRAP_SERVERS'] ?? ''
    const all = await runDoctor({ ...env, KAFKA_BOOTSTRAP_SERVERS: 'no-such-host.invalid:9092' })
    expect(all.code).toBe(4)
    expect(all.failed).toMatchObject([
      { check: 'name no-such-host.invalid:9092', fix: expect.stringContaining('KAFKA_BOOTSTRAP_SERVERS') },
    ])
    const one = await runDoctor({ ...env, KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:1,${brokers}` })
    expect(one.code).toBe(0)
    expect(one.find('connection 127.0.0.1:1')).toMatchObject({ verdict: 'warning' })
  })

  describe('with logins and permissions', () => {
    let kafka: OwnKafka
    let admin: Admin
    beforeAll(async () => {
      kafka = await startKafkaWithAcls({ 'group.max.session.timeout.ms': '20000' })
      admin = new kafkajs.Kafka({
        brokers: [...kafka.internalBrokers],
        logLevel: kafkajs.logLevel.NOTHING,
      }).admin()
      await admin.connect()
    })
    afterAll(async () => {
      await admin?.disconnect()
      await kafka?.stop()
    })

    async function open(context: ScenarioContext) {
      const scenario = await openWorkerScenario(context, workersAsAlice(kafka))
      await scenario.send([update({ deviceId: 'one' })])
      return scenario
    }

    const allow = async (...permission: Parameters<typeof aclOfAlice>) =>
      await admin.createAcls({ acl: [aclOfAlice(...permission)] })

    test('names the setting, and never the password, if the password is wrong', async (context) => {
      const { env } = await open(context)
      const { code, failed, output } = await runDoctor({ ...env, KAFKA_SASL_PASSWORD: 'wrong-secret' })
      expect(code).toBe(1)
      expect(failed).toMatchObject([
        { area: 'kafka', check: 'login', fix: expect.stringContaining('KAFKA_SASL_PASSWORD') },
      ])
      expect(output).not.toContain('secret')
    })

    test('proves which SASL mechanism the listener offers, and that it has none', async (context) => {
      const { env } = await open(context)
      const unset = { KAFKA_SASL_MECHANISM: '', KAFKA_SASL_USERNAME: '', KAFKA_SASL_PASSWORD: '' }
      for (const settings of [unset, { KAFKA_SASL_MECHANISM: 'scram-sha-256' }]) {
        expect((await runDoctor({ ...env, ...settings })).failed).toMatchObject([
          {
            check: 'login',
            detail: expect.stringContaining('requires SASL with one of: plain'),
            fix: expect.stringContaining('KAFKA_SASL_MECHANISM'),
          },
        ])
      }
      const withoutSasl = { KAFKA_BOOTSTRAP_SERVERS: kafka.internalBrokers.join() }
      expect((await runDoctor({ ...env, ...withoutSasl })).failed).toMatchObject([
        { check: 'login', detail: expect.stringContaining('does not use SASL') },
      ])
      expect((await runDoctor({ ...env, KAFKA_SSL: 'true' })).failed).toMatchObject([
        { detail: 'the server answers without TLS', fix: expect.stringContaining('KAFKA_SSL') },
      ])
    })

    test('names the session timeout that the brokers do not allow', async (context) => {
      const { env } = await open(context)
      const asAdmin = {
        KAFKA_BOOTSTRAP_SERVERS: kafka.internalBrokers.join(),
        KAFKA_SASL_MECHANISM: '',
        KAFKA_SASL_USERNAME: '',
        KAFKA_SASL_PASSWORD: '',
      }
      expect((await runDoctor({ ...env, ...asAdmin })).find('session')).toMatchObject({ verdict: 'ok' })
      const { failed } = await runDoctor({ ...env, ...asAdmin, KAFKA_SESSION_TIMEOUT_S: '25' })
      // The CLI reads with the same timeout as a worker.
      expect(failed.map(({ check }) => check)).toEqual([
        expect.stringContaining('reading'),
        'session timeout',
      ])
      for (const { fix } of failed) expect(fix).toContain('KAFKA_SESSION_TIMEOUT_S')
      expect(failed[1]?.fix).toContain('6 to 20 seconds')
    })

    test('finds each missing permission until none is missing', async (context) => {
      const { env, errorTopic, group, topic } = await open(context)
      const state = async () => {
        const { findings } = await runDoctor(env)
        return Object.fromEntries(
          withoutRedis(findings)
            .filter(({ verdict }) => verdict !== 'ok')
            .map(({ check, fix, verdict }) => [check, fix ?? verdict]),
        )
      }
      const acl = (operation: string, resource: string) =>
        `kafka-acls.sh --add --allow-principal User:alice --operation ${operation} ${resource}`
      expect(await state()).toMatchObject({
        [`topic ${topic}`]: acl('Describe', `--topic ${topic}`),
        [`topic ${errorTopic}`]: acl('Describe', `--topic ${errorTopic}`),
        [`group ${group}`]: acl('Read', `--group ${group}`),
      })

      await allow('TOPIC', topic, 'WRITE')
      await allow('TOPIC', errorTopic, 'READ')
      await allow('GROUP', group, 'READ', true)
      await patiently(async () =>
        expect(await state()).toMatchObject({
          [`reading ${topic}`]: acl('Read', `--topic ${topic}`),
          [`writing ${errorTopic}`]: acl('Write', `--topic ${errorTopic}`),
        }),
      )

      await allow('TOPIC', topic, 'READ')
      await allow('TOPIC', errorTopic, 'WRITE')
      // Reading the topic settings needs a further permission (DescribeConfigs).
      await patiently(async () =>
        expect(await state()).toEqual({
          'retention against REDIS_METADATA_TTL': 'skipped',
          'max.message.bytes of the error topic': 'skipped',
          'session timeout': 'skipped',
        }),
      )
      const filled = (await admin.fetchTopicOffsets(topic)).find(({ high }) => high === '1')
      for (const args of [
        ['errors', 'list'],
        ['errors', 'replay', '--to', 'topic', '--yes'],
        ['explain', '--partition', filled?.partition.toString() ?? '', '--offset', '0'],
      ]) {
        expect(await runCliHere(args, env)).toMatchObject({ code: 0 })
      }
      const end = await admin.fetchTopicOffsets(errorTopic)
      expect(end).toMatchObject([{ high: '0' }])
    })
  })
})
