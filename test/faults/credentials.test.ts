import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PythonDict } from '../simulator/python-text.ts'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { redisAclOf } from '../support/docs/redis-acl.ts'
import { startOwnKafka, startOwnRedis, type OwnKafka } from '../support/servers/servers.ts'
import { update } from '../support/records/tagged-records.ts'
import {
  openWorkerScenario,
  type ScenarioContext,
  type ScenarioOptions,
  type WorkerScenario,
} from '../support/processes/worker-scenario.ts'

/** The ACL that docs/configuration.md gives for the worker's user. */
const ACL = redisAclOf('worker')

const PASSWORD = 'correct-horse'

/** Runs a worker with records that make it use all of its Redis commands. */
async function runWorkerFully(scenario: WorkerScenario): Promise<void> {
  const { oracle, redis } = scenario
  await redis.sadd('devices', 'expired long ago')
  const worker = await scenario.startWorker({ DEVICES_SWEEP_INTERVAL_S: '1' })
  await scenario.sendFleet(2_000, { seed: 1, devices: 50, tombstonePercent: 5 })
  const timestampMs = Date.now()
  const contents: PythonDict[] = [{ datatype_id: 'first', extra: 'field' }, { datatype_id: 'second' }]
  for (const metadata of contents) {
    await oracle.caughtUp()
    await scenario.send([update({ deviceId: 'one at a time', timestampMs, metadata })])
  }
  await oracle.caughtUp()
  await worker.ready()
  // The sweeper has removed the id without a hash.
  await oracle.assertHeals({ consumed: scenario.consumed })
  expect(await worker.stop()).toBe(0)
}

/** Collects the commands, including those in scripts, that are sent by other clients than the test's own. */
async function watchCommands({ onTestFinished }: ScenarioContext, redis: Redis): Promise<Set<string>> {
  const used = new Set<string>()
  const ours = /laddr=\S+|addr=(\S+)/.exec(String(await redis.client('INFO')))?.[1]
  const monitor = await redis.monitor()
  onTestFinished(() => monitor.disconnect())
  monitor.on('monitor', (_time: string, [name = '', subcommand]: string[], source: string) => {
    if (source === ours) return
    used.add(name.toLowerCase())
    if (subcommand !== undefined) used.add(`${name}|${subcommand}`.toLowerCase())
  })
  return used
}

describe.concurrent('Redis', () => {
  test('with a password accepts the right one; with a wrong one or none the worker exits and names the setting', async (context) => {
    const report = reportFault(context, 'R11')
    const scenario = await openWorkerScenario(context, { ownRedis: { password: PASSWORD } })
    await runWorkerFully(scenario)
    const { host, port } = scenario.redisServer
    const byParts = { REDIS_URL: '', REDIS_HOST: host, REDIS_PORT: String(port) }
    for (const env of [{ ...byParts, REDIS_PASSWORD: 'wrong-horse' }, byParts]) {
      const worker = await scenario.startWorker(env)
      expect(await worker.exit).toBe(2)
      expect(worker.logLines()).toContainEqual(
        expect.objectContaining({ level: 'fatal', msg: expect.stringContaining('REDIS_PASSWORD') }),
      )
      expect(worker.output + worker.errors).not.toContain('horse')
    }
    report.saw('wrong or no password at the start: exit code 2, the error names `REDIS_PASSWORD`')
  })

  test('with TLS serves the worker', async (context) => {
    const redis = await startOwnRedis({ tls: true })
    context.onTestFinished(() => redis.stop())
    const env = { REDIS_TLS_CA_FILE: redis.tls?.caPath ?? '' }
    await runWorkerFully(await openWorkerScenario(context, { ownRedis: redis, env }))
  })

  test('with the ACL of docs/configuration.md allows exactly the commands that the worker uses', async (context) => {
    const scenario = await openWorkerScenario(context, {
      ownRedis: { aclUsers: { cache: `on >${PASSWORD} ${ACL}` } },
    })
    const { redis, redisServer } = scenario
    const url = `redis://cache:${PASSWORD}@127.0.0.1:${redisServer.port}`
    const asUser = {
      ...scenario,
      startWorker: (env = {}) => scenario.startWorker({ REDIS_URL: url, ...env }),
    }
    const used = await watchCommands(context, redis)
    await runWorkerFully(asUser)
    // Another database, which is rebuilt, and in which nothing expires, not even what did before. The device is one that
    // is never deleted: else the chunk of its records may replace the hash as a new one.
    const deviceId = 'one at a time'
    const other = redis.duplicate({ db: 1 })
    await other.hset(`device:${deviceId}:metadata`, 'last_updated', '2020-01-01T00:00:00.000000+00:00')
    await other.expire(`device:${deviceId}:metadata`, 1_000)
    other.disconnect()
    const second = await scenario.startWorker({ REDIS_URL: `${url}/1`, REDIS_METADATA_TTL: '0' })
    await patiently(async () => expect(await second.consumed()).toBe(scenario.oracle.produced))
    await second.ready()
    expect(await second.stop()).toBe(0)
    expect(await redis.acl('LOG')).toEqual([])
    const allowed = [...ACL.matchAll(/\+(\S+)/g)].map(([, command]) => command)
    expect(allowed.filter((command) => !used.has(command ?? ''))).toEqual([])
  })

  test('that starts to require a password makes the worker hold and log an error', async (context) => {
    const report = reportFault(context, 'R11')
    const scenario = await openWorkerScenario(context, { ownRedis: {} })
    const { oracle, redis } = scenario
    const worker = await scenario.startWorker()
    const load = scenario.startLoad({ seed: 3, devices: 50, perSecond: 200 })
    await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(200))
    await redis.config('SET', 'requirepass', PASSWORD)
    await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await patiently(async () => {
      const { status, body } = await worker.get('/readyz')
      expect(status).toBe(503)
      expect(body).toContain('holding: redis')
    })
    await patiently(() =>
      expect(worker.logLines()).toContainEqual(
        expect.objectContaining({
          level: 'error',
          code: 'NOAUTH',
          msg: expect.stringContaining('REDIS_PASSWORD'),
        }),
      ),
    )
    expect(await worker.get('/livez')).toMatchObject({ status: 200 })
    expect(worker.isRunning).toBe(true)
    report.saw('password required under load: 503, an error that names `REDIS_PASSWORD`')
    await redis.config('SET', 'requirepass', '')
    await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    const recovered = report.startRecovery()
    await worker.ready(60_000)
    recovered()
    await load.stop()
    await oracle.assertCaughtUp({ consumed: scenario.consumed, redelivered: true })
    expect(await worker.stop()).toBe(0)
  })
})

describe('Kafka', () => {
  let scram256AndPlain: OwnKafka
  let scram512: OwnKafka
  let tlsAndPlain: OwnKafka

  beforeAll(async () => {
    ;[scram256AndPlain, scram512, tlsAndPlain] = await Promise.all([
      startOwnKafka({
        security: 'sasl_scram_256',
        properties: {
          'group.max.session.timeout.ms': '20000',
          'listener.name.clients.sasl.enabled.mechanisms': 'SCRAM-SHA-256,PLAIN',
          'listener.name.clients.plain.sasl.jaas.config':
            'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="alice-secret";',
        },
      }),
      startOwnKafka({ security: 'sasl_scram_512' }),
      startOwnKafka({ security: 'sasl_tls' }),
    ])
  })
  afterAll(() => Promise.all([scram256AndPlain, scram512, tlsAndPlain].map((kafka) => kafka?.stop())))

  const alice = { KAFKA_SASL_USERNAME: 'alice', KAFKA_SASL_PASSWORD: 'alice-secret' }

  /** The test itself uses the internal listener, without a login. */
  function open(context: ScenarioContext, kafka: OwnKafka, env: ScenarioOptions['env']) {
    return openWorkerScenario(context, {
      kafka: { brokers: kafka.internalBrokers },
      env: { KAFKA_BOOTSTRAP_SERVERS: kafka.brokers.join(','), ...env },
    })
  }

  test('with SASL plain serves the worker', async (context) => {
    await runWorkerFully(await open(context, scram256AndPlain, { ...alice, KAFKA_SASL_MECHANISM: 'plain' }))
  })

  test('with SASL scram-sha-256 serves the worker', async (context) => {
    await runWorkerFully(
      await open(context, scram256AndPlain, { ...alice, KAFKA_SASL_MECHANISM: 'scram-sha-256' }),
    )
  })

  test('with SASL scram-sha-512 serves the worker', async (context) => {
    await runWorkerFully(await open(context, scram512, { ...alice, KAFKA_SASL_MECHANISM: 'scram-sha-512' }))
  })

  test('with SASL plain over TLS serves the worker', async (context) => {
    const env = { ...alice, KAFKA_SASL_MECHANISM: 'plain', KAFKA_SSL: 'true' }
    await runWorkerFully(
      await open(context, tlsAndPlain, { ...env, KAFKA_SSL_CA_FILE: tlsAndPlain.tls?.caPath ?? '' }),
    )
  })

  test.for([
    ['a session timeout', 'KAFKA_SESSION_TIMEOUT_S', { KAFKA_SESSION_TIMEOUT_S: '25' }],
    ['a SASL mechanism', 'KAFKA_SASL_MECHANISM', { KAFKA_SASL_MECHANISM: 'scram-sha-512' }],
  ] as const)(
    'does not allow %s: the worker exits and names the setting',
    async ([, named, env], context) => {
      const scenario = await open(context, scram256AndPlain, { ...alice, KAFKA_SASL_MECHANISM: 'plain' })
      const worker = await scenario.startWorker(env)
      expect(await worker.exit).toBe(2)
      expect(worker.logLines()).toContainEqual(
        expect.objectContaining({ level: 'fatal', msg: expect.stringContaining(named) }),
      )
    },
  )

  test('has a certificate of an unknown authority: the worker exits and names the setting', async (context) => {
    const env = { ...alice, KAFKA_SASL_MECHANISM: 'plain', KAFKA_SSL: 'true' }
    const worker = await (await open(context, tlsAndPlain, env)).startWorker()
    expect(await worker.exit).toBe(2)
    expect(worker.logLines()).toContainEqual(
      expect.objectContaining({ level: 'fatal', msg: expect.stringContaining('KAFKA_SSL_CA_FILE') }),
    )
  })

  test.for(['plain', 'scram-sha-256'])(
    'refuses a wrong password for %s: the worker exits and names the setting',
    async (mechanism, context) => {
      const report = reportFault(context, 'K17')
      const scenario = await open(context, scram256AndPlain, { ...alice, KAFKA_SASL_MECHANISM: mechanism })
      const worker = await scenario.startWorker({ KAFKA_SASL_PASSWORD: 'wrong-secret' })
      expect(await worker.exit).toBe(2)
      expect(worker.logLines()).toContainEqual(
        expect.objectContaining({ level: 'fatal', msg: expect.stringContaining('KAFKA_SASL_PASSWORD') }),
      )
      expect(worker.output + worker.errors).not.toContain('wrong-secret')
      report.saw(`wrong password, ${mechanism}: exit code 2, KAFKA_SASL_PASSWORD is named`)
    },
  )
})
