import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { openWorkerScenario, type ScenarioContext } from '../support/processes/worker-scenario.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { PRIMARY_NAME, startOwnSentinels, type OwnSentinels } from '../support/servers/own-sentinels.ts'

const LOAD = { devices: 200, perSecond: 400, awkwardPercent: 5, tombstonePercent: 1, seed: 41 }

async function openSentinelScenario(context: ScenarioContext, env: Readonly<Record<string, string>> = {}) {
  const sentinels = await startOwnSentinels()
  context.onTestFinished(() => sentinels.stop())
  const scenario = await openWorkerScenario(context, {
    ownRedis: await sentinels.primary(),
    redisClient: {
      name: PRIMARY_NAME,
      sentinels: sentinels.addresses.split(',').map((address) => {
        const [host = '', port = ''] = address.split(':')
        return { host, port: Number(port) }
      }),
    },
    env: {
      REDIS_URL: '',
      REDIS_SENTINELS: sentinels.addresses,
      REDIS_SENTINEL_NAME: PRIMARY_NAME,
      ...env,
    },
  })
  return { sentinels, scenario }
}

type Failover = (sentinels: OwnSentinels) => Promise<void>

const FAILOVERS: Readonly<Record<string, Failover>> = {
  'the primary is killed': async (sentinels) => {
    const former = await sentinels.primary()
    await former.kill('SIGKILL')
    await sentinels.failedOver(former)
    await former.start()
  },
  'the primary hangs and comes back as a replica': async (sentinels) => {
    const former = await sentinels.primary()
    await former.kill('SIGSTOP')
    await sentinels.failedOver(former)
    await former.kill('SIGCONT')
  },
}

describe('a worker behind three Sentinels loses nothing', () => {
  test.for(Object.entries(FAILOVERS))('when %s', async ([name, failOver], context) => {
    const report = reportFault(context, 'R4')
    const { scenario, sentinels } = await openSentinelScenario(context)
    const load = scenario.startLoad(LOAD)
    const worker = await scenario.startWorker()
    await worker.ready()
    await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(500))

    const recovered = report.startRecovery()
    await failOver(sentinels)
    await patiently(async () => expect((await worker.get('/readyz')).status).toBe(200))
    recovered()
    report.saw(`three Sentinels: ${name}`)
    const before = await worker.consumed()
    await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(before + 200))

    await load.stop()
    await scenario.oracle.assertHeals({ consumed: scenario.consumed, redelivered: true })
    expect(await worker.stop()).toBe(0)
  })
})
