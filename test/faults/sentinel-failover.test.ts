import { describe, expect, onTestFinished, test } from 'vitest'
import { redisSettingsFrom } from '../../shared/redis-library/environment.ts'
import { RedisConfigStore } from '../../shared/redis-library/redis-config-store.ts'
import { RedisService } from '../../shared/redis-library/redis-service.ts'
import { patiently } from '../support/eventually.ts'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import { openWorkerScenario, type ScenarioContext } from '../support/processes/worker-scenario.ts'
import { connectPlainly } from '../support/servers/redis-connection.ts'
import {
  consumesMore,
  sumOf,
  survivesWithClients,
  type RunningScenario,
} from '../support/faults/scenario-with-clients.ts'
import {
  PRIMARY_NAME,
  startOwnSentinels,
  type OwnSentinels,
  type OwnSentinelsOptions,
} from '../support/servers/own-sentinels.ts'

const LOAD = { devices: 200, perSecond: 300, awkwardPercent: 5, tombstonePercent: 1, seed: 41 }

async function openSentinelScenario(
  context: ScenarioContext,
  env: Readonly<Record<string, string>> = {},
  options: OwnSentinelsOptions = {},
) {
  const sentinels = await startOwnSentinels(options)
  context.onTestFinished(() => sentinels.stop())
  const scenario = await openWorkerScenario(context, {
    ownRedis: await sentinels.primary(),
    redisClient: clientOptions(sentinels, options),
    env: {
      REDIS_URL: '',
      REDIS_SENTINELS: sentinels.addresses,
      REDIS_SENTINEL_NAME: PRIMARY_NAME,
      ...env,
    },
  })
  return { sentinels, scenario }
}

function clientOptions(
  { nodes }: OwnSentinels,
  { sentinelPassword }: Pick<OwnSentinelsOptions, 'sentinelPassword'>,
) {
  return {
    name: PRIMARY_NAME,
    sentinels: [...nodes],
    ...(sentinelPassword !== undefined && { sentinelPassword }),
  }
}

type Failover = {
  /** Number of Redis servers. */
  readonly servers: number
  /** Whether the new primary certainly lacks acknowledged records. */
  readonly loses: boolean
  readonly failOver: (sentinels: OwnSentinels, running: RunningScenario) => Promise<void>
}

const FAILOVERS: Readonly<Record<string, Failover>> = {
  'the primary is killed': {
    servers: 3,
    loses: false,
    async failOver(sentinels) {
      const former = await sentinels.primary()
      await former.kill('SIGKILL')
      await sentinels.failedOver(former)
      await former.start()
    },
  },
  'the primary hangs and comes back as a replica': {
    servers: 3,
    loses: false,
    async failOver(sentinels) {
      const former = await sentinels.primary()
      await former.kill('SIGSTOP')
      await sentinels.failedOver(former)
      await former.kill('SIGCONT')
    },
  },
  'a replica that lacks a thousand acknowledged records is promoted': {
    servers: 2,
    loses: true,
    async failOver(sentinels, { scenario }) {
      const former = await sentinels.primary()
      const replica = sentinels.servers.find((server) => server !== former)
      await replica?.kill('SIGSTOP')
      // What is in its socket would be read after SIGCONT.
      await scenario.redis.call('CLIENT', 'KILL', 'TYPE', 'replica')
      await consumesMore(scenario, 1_000)
      await former.kill('SIGKILL')
      await replica?.kill('SIGCONT')
      await sentinels.failedOver(former)
    },
  },
}

describe('behind three Sentinels, workers and the clients of an API lose nothing', () => {
  test.for(Object.entries(FAILOVERS))('when %s', async ([name, { failOver, loses, servers }], context) => {
    const { scenario, sentinels } = await openSentinelScenario(context, {}, { servers })
    await survivesWithClients(context, {
      id: 'R4',
      name: `Sentinels: ${name}`,
      scenario,
      load: LOAD,
      publishTo: { isCluster: false, server: () => sentinels.primary() },
      mayGoBack: true,
      disturb: (running) => failOver(sentinels, running),
    })
    if (loses) expect(await sumOf(scenario, 'cache_loss_total')).toBeGreaterThan(0)
  })
})

test('with REDIS_WAIT_REPLICAS nothing is committed that no replica has', async (context) => {
  const { scenario, sentinels } = await openSentinelScenario(
    context,
    { REDIS_WAIT_REPLICAS: '1' },
    { servers: 2 },
  )
  const worker = await scenario.startWorker()
  await worker.ready()
  await scenario.sendFleet(500, { seed: 44, devices: 50 })
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })

  const primary = await sentinels.primary()
  const replica = sentinels.servers.find((server) => server !== primary)
  await replica?.kill('SIGSTOP')
  const committed = await scenario.oracle.committed()
  await scenario.sendFleet(500, { seed: 45, devices: 50 })
  await patiently(async () =>
    expect((await worker.get('/readyz')).body).toMatch(/NOREPLICAS: 0 of 1 replicas .*REDIS_WAIT_REPLICAS/),
  )
  expect(await scenario.oracle.committed()).toEqual(committed)
  await replica?.kill('SIGCONT')
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed, redelivered: true })
  expect(await worker.stop()).toBe(0)
})

test('passwords of their own, and what is wrong with them, the name or the addresses', async (context) => {
  const options = { password: 'horse-of-redis', sentinelPassword: 'horse-of-sentinels' }
  const right = {
    REDIS_PASSWORD: options.password,
    REDIS_SENTINEL_PASSWORD: options.sentinelPassword,
  }
  const { scenario, sentinels } = await openSentinelScenario(context, right, options)
  const worker = await scenario.startWorker()
  await worker.ready()
  await scenario.sendFleet(100, { seed: 46, devices: 10 })
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })
  expect(await worker.stop()).toBe(0)

  const wrong: [Record<string, string>, string][] = [
    [{ REDIS_PASSWORD: 'wrong-horse' }, 'check REDIS_USERNAME and REDIS_PASSWORD'],
    [{ REDIS_SENTINEL_PASSWORD: 'wrong-horse' }, 'check REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD'],
    [{ REDIS_SENTINEL_PASSWORD: '' }, 'check REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD'],
    [{ REDIS_SENTINEL_NAME: 'another' }, 'set REDIS_SENTINEL_NAME to the name in `sentinel monitor`'],
  ]
  for (const [env, message] of wrong) {
    const refused = await scenario.startWorker(env)
    expect(await refused.exit, message).toBe(2)
    expect(refused.logLines().find(({ level }) => level === 'fatal')?.msg).toContain(message)
    expect(refused.output + refused.errors).not.toContain('horse')
  }

  const refused = await runCliHere(['list'], { ...scenario.env, REDIS_SENTINEL_PASSWORD: 'wrong-horse' })
  expect([refused.code, refused.errors]).toEqual([5, expect.stringContaining('REDIS_SENTINEL_PASSWORD')])
  const nowhere = await runCliHere(['list'], { ...scenario.env, REDIS_SENTINELS: '127.0.0.1:1' })
  expect([nowhere.code, nowhere.errors]).toEqual([4, expect.stringContaining('no Sentinel answers')])

  for (const sentinel of sentinels.sentinels) await sentinel.kill('SIGSTOP')
  const waiting = await scenario.startWorker()
  await patiently(async () => {
    const { body, status } = await waiting.get('/readyz')
    expect(status).toBe(503)
    expect(body).toMatch(/Redis at mymaster has not accepted a write: NO_SENTINEL: none of the Sentinels /)
  })
  expect(await waiting.get('/livez')).toMatchObject({ status: 200 })
  for (const sentinel of sentinels.sentinels) await sentinel.kill('SIGCONT')
  await waiting.ready()
  expect(waiting.errors).toBe('')
  expect(await waiting.stop()).toBe(0)
})

test('the Redis library follows a failover, and so do the changes that it watches', async (context) => {
  const redisArgs = ['--notify-keyspace-events', 'K$lgx']
  const { scenario, sentinels } = await openSentinelScenario(context, {}, { redisArgs })
  const settings = redisSettingsFrom(scenario.env)
  const service = new RedisService(settings)
  const store = new RedisConfigStore(settings)
  onTestFinished(async () => void (await Promise.all([service.close(), store.close()])))
  await Promise.all([service.connect(), store.connect()])
  const versions: (number | undefined)[] = []
  await store.watch('limits', ({ version }) => void versions.push(version))
  await store.update('limits', { n: 1 })
  await patiently(() => expect(versions).toEqual([1]))

  const former = await sentinels.primary()
  await former.kill('SIGKILL')
  const primary = await sentinels.failedOver(former)
  await patiently(() => service.set('key', 'value'))
  const redis = connectPlainly(primary)
  expect(await redis.get('key')).toBe('value')
  await patiently(() => store.update('limits', { n: 2 }))
  await patiently(() => expect(versions.at(-1)).toBe(2))
})
