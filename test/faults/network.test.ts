import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { assertNone } from '../support/oracle/oracle.ts'
import { assertRecovers, startUnderLoad } from '../support/faults/under-load.ts'
import { becomesReady, startRoleProcess } from '../support/processes/role-process.ts'
import { becomesNotReady, consumesMore, valueOf } from '../support/processes/worker-facts.ts'
import {
  openWorkerScenario,
  type ScenarioContext,
  type WorkerScenario,
} from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'
import { createSeededRandom } from '../simulator/seeded-random.ts'
import { startKafkaBehind } from '../support/servers/kafka-behind-proxy.ts'
import { startNetworkProxy, type NetworkProxy } from '../support/servers/network-proxy.ts'
import { startOwnRedis, type OwnKafka } from '../support/servers/servers.ts'

/** KafkaJS gives up a request after 30 s; what notices that also takes a moment. */
const REQUEST_TIMEOUT_MS = 30_000
const CUTS = 100
const CUT_SEED = 7

let kafka: OwnKafka
let toKafka: NetworkProxy
let stop: () => Promise<void>

beforeAll(async () => {
  ;({ kafka, proxy: toKafka, stop } = await startKafkaBehind(startNetworkProxy))
}, 120_000)
afterAll(() => stop?.())

/** Only the worker uses the proxies: the test, its load and the api reach Kafka and Redis directly. */
async function openLoadedWorker(context: ScenarioContext, seed: number, env = {}) {
  toKafka.become('open')
  toKafka.limit = () => ({})
  const redisServer = await startOwnRedis({})
  context.onTestFinished(() => redisServer.stop())
  const toRedis = await startNetworkProxy(redisServer)
  context.onTestFinished(() => toRedis.stop())
  context.onTestFinished(() => toKafka.become('open'))
  const scenario = await openWorkerScenario(context, {
    kafka: { brokers: kafka.internalBrokers },
    ownRedis: redisServer,
    env: {
      KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:${toKafka.port}`,
      REDIS_URL: `redis://127.0.0.1:${toRedis.port}`,
      ...env,
    },
  })
  return { ...(await startUnderLoad(context, scenario, seed)), redisServer, toRedis }
}

/** The last commit of what was durable may follow within its interval. */
async function committedNow({ oracle }: WorkerScenario): Promise<ReadonlyMap<number, number>> {
  let committed = await oracle.committed()
  await patiently(async () => {
    const before = committed
    await sleep(1_000)
    committed = await oracle.committed()
    expect(committed).toEqual(before)
  })
  return committed
}

describe('a worker whose connections to Kafka', { timeout: 360_000 }, () => {
  test.for([
    ['are delayed by 300 ms each way', { delayMs: 300 }, 1],
    ['carry 150 KB/s', { bytesPerSecond: 150_000 }, 2],
  ] as const)('%s goes on without a restart', async ([what, state, seed], context) => {
    const report = reportFault(context, 'K7')
    const loaded = await openLoadedWorker(context, seed)
    const { worker } = loaded
    // The coordinator of a new broker may still be loading when the worker starts.
    const restarts = await valueOf(worker, 'consumer_restarts_total')
    const rebalances = await valueOf(worker, 'rebalances_total')
    toKafka.become(state)
    await consumesMore(worker, 3_000)
    expect(await valueOf(worker, 'consumer_restarts_total')).toBe(restarts)
    expect(await valueOf(worker, 'rebalances_total')).toBe(rebalances)
    expect(await worker.get('/readyz')).toMatchObject({ status: 200 })
    report.saw(`${what}: ready throughout, no rebalance`)
    toKafka.become('open')
    await assertRecovers(loaded, report)
  })

  test('are reset every second goes on between the resets', async (context) => {
    const report = reportFault(context, 'K7')
    const loaded = await openLoadedWorker(context, 3)
    const { worker } = loaded
    const before = await worker.consumed()
    for (let round = 0; round < 15; round++) {
      toKafka.become('reset')
      await sleep(20)
      toKafka.become('open')
      expect(await worker.get('/livez')).toMatchObject({ status: 200 })
      await sleep(1_000)
    }
    const consumed = (await worker.consumed()) - before
    expect(consumed).toBeGreaterThan(0)
    const restarts = await valueOf(worker, 'consumer_restarts_total')
    report.saw(`15 resets, one a second: ${consumed} records meanwhile, ${restarts} new consumers`)
    await assertRecovers(loaded, report)
  })

  test('end after any number of bytes goes on between the cuts', async (context) => {
    const report = reportFault(context, 'K7')
    const loaded = await openLoadedWorker(context, 5)
    const { worker } = loaded
    const random = createSeededRandom(CUT_SEED)
    // Requests and responses are cut within their bytes, or between them; most responses to a fetch are larger than the others.
    toKafka.limit = () =>
      random.percent(30) ? { toServer: 1 + random.below(2_000) } : { toClient: 1 + random.below(20_000) }
    const before = await worker.consumed()
    toKafka.breakConnections()
    const firstCut = toKafka.cuts
    await patiently(() => expect(toKafka.cuts - firstCut).toBeGreaterThanOrEqual(CUTS), {
      timeoutMs: 240_000,
    })
    expect(await worker.get('/livez')).toMatchObject({ status: 200 })
    const consumed = (await worker.consumed()) - before
    const cuts = toKafka.cuts - firstCut
    toKafka.limit = () => ({})
    await assertRecovers(loaded, report)
    report.saw(`${cuts} cuts (seed ${CUT_SEED}): ${consumed} records meanwhile`)
    expect(worker.logLines().filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([])
  })

  test('went silent, while new ones work, opens new ones within the request timeout', async (context) => {
    const report = reportFault(context, 'K7')
    const loaded = await openLoadedWorker(context, 4)
    const { worker } = loaded
    const before = await worker.consumed()
    toKafka.become('half_open')
    const silentAt = performance.now()
    // A response that was already on its way may still be consumed.
    await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(before + 1_000), {
      timeoutMs: 2 * REQUEST_TIMEOUT_MS,
    })
    expect(await valueOf(worker, 'consumer_restarts_total', { reason: 'stalled' })).toBe(0)
    report.saw(`half-open: consumes again after ${Math.round(performance.now() - silentAt)} ms, by itself`)
    await assertRecovers(loaded, report)
  })
})

describe('a worker that receives a damaged record batch', { timeout: 360_000 }, () => {
  test.for([
    ['twice fetches it again', 2, true],
    ['whenever it fetches it sends dead letters', Infinity, false],
  ] as const)('%s, and applies only what was produced', async ([what, times, isApplied], context) => {
    const report = reportFault(context, 'K19')
    toKafka.become('open')
    const scenario = await openWorkerScenario(context, {
      kafka: { brokers: kafka.internalBrokers },
      env: { KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:${toKafka.port}` },
    })
    const { redis } = scenario
    const worker = await scenario.startWorker()
    await worker.ready()
    let left: number = times
    toKafka.corrupt = (bytes) => {
      const at = bytes.indexOf('true-name')
      if (at < 0 || left === 0) return
      left--
      bytes.write('f', at)
    }
    context.onTestFinished(() => void (toKafka.corrupt = () => undefined))
    const send = (deviceId: string, name: string) =>
      scenario.send([{ ...update({ deviceId, metadata: { datatype_name: name } }), partition: 0 }], 'none')
    await send('damaged', 'true-name')
    await send('behind', 'other-name')
    await patiently(async () =>
      expect(await redis.hget('device:behind:metadata', 'datatype_name')).toBe('other-name'),
    )
    expect(await redis.hget('device:damaged:metadata', 'datatype_name')).toBe(isApplied ? 'true-name' : null)
    expect(await valueOf(worker, 'checksum_failures_total')).toBe(2)
    expect(await valueOf(worker, 'dead_letters_total', { reason: 'undecodable' })).toBe(isApplied ? 0 : 1)
    report.saw(`${what}: ${isApplied ? 'applied as it was produced' : 'one dead letter, nothing applied'}`)
  })
})

describe('a worker that is cut', { timeout: 360_000 }, () => {
  test('from Kafka is not ready within the request timeout, and what Redis holds is still served', async (context) => {
    const [slow, cut] = [reportFault(context, 'K7'), reportFault(context, 'N1')]
    const loaded = await openLoadedWorker(context, 5)
    const { redisServer, scenario, worker } = loaded
    const api = await startRoleProcess('api', { REDIS_URL: redisServer.url, API_AUTH: 'off' })
    context.onTestFinished(async () => void (await api.stop()))
    await becomesReady(api)
    toKafka.become('silent')
    const ms = await becomesNotReady(
      worker,
      /not in the consumer group|no answer from Kafka/,
      2 * REQUEST_TIMEOUT_MS,
    )
    const [id] = await scenario.redis.srandmember('devices', 1)
    const response = await fetch(`${api.apiUrl}/api/devices/${encodeURIComponent(id ?? '')}`)
    expect(response.status).toBe(200)
    slow.saw(`silent: 503 after ${ms} ms`)
    cut.saw(`the worker 503 after ${ms} ms; the API answers 200 throughout`)
    toKafka.become('open')
    await assertRecovers(loaded, slow, cut)
  })

  test('from Kafka stops in time', async (context) => {
    const [stopped, cut] = [reportFault(context, 'K12'), reportFault(context, 'N1')]
    const { scenario, worker } = await openLoadedWorker(context, 9)
    toKafka.become('silent')
    await becomesNotReady(worker, /no answer from Kafka/)
    const stoppedAt = performance.now()
    expect(await worker.stop()).toBe(0)
    const seen = `SIGTERM while Kafka is silent: exit code 0 after ${Math.round(performance.now() - stoppedAt)} ms`
    stopped.saw(seen)
    cut.saw(seen)
    assertNone(await scenario.oracle.differencesBelowCommit())
  })

  test('from Redis holds, commits nothing and stays in its group', async (context) => {
    const report = reportFault(context, 'N2')
    const loaded = await openLoadedWorker(context, 6)
    const { scenario, toRedis, worker } = loaded
    const { oracle } = scenario
    const rebalances = await valueOf(worker, 'rebalances_total')
    toRedis.become('silent')
    const ms = await becomesNotReady(worker, /holding: redis/)
    const committed = await committedNow(scenario)
    // Longer than the session of 6 s.
    const cutAt = performance.now()
    await patiently(async () => {
      expect(await oracle.committed()).toEqual(committed)
      expect(await worker.get('/readyz')).toMatchObject({ status: 503 })
      expect(performance.now() - cutAt).toBeGreaterThan(10_000)
    })
    expect(await valueOf(worker, 'rebalances_total')).toBe(rebalances)
    report.saw(`503 \`holding: redis\` after ${ms} ms; nothing committed for 10 s, no rebalance`)
    toRedis.become('open')
    await assertRecovers(loaded, report)
  })

  test.for(['Kafka', 'Redis'] as const)('from both resumes when %s is back first', async (first, context) => {
    const report = reportFault(context, 'N3')
    const loaded = await openLoadedWorker(context, first === 'Kafka' ? 7 : 8)
    const { scenario, toRedis, worker } = loaded
    const { oracle } = scenario
    toKafka.become('reset')
    toRedis.become('silent')
    await becomesNotReady(worker, /not in the consumer group/)
    await becomesNotReady(worker, /Redis at .* has not accepted a write|holding: redis/)
    const committed = await committedNow(scenario)
    if (first === 'Kafka') {
      toKafka.become('open')
      await becomesNotReady(worker, /holding: redis/)
    } else {
      toRedis.become('open')
      await patiently(async () => expect((await worker.get('/readyz')).body).not.toContain('Redis'))
      await becomesNotReady(worker, /not in the consumer group/)
    }
    expect(await oracle.committed()).toEqual(committed)
    report.saw(`${first} back first: nothing committed before the other`)
    toRedis.become('open')
    toKafka.become('open')
    await assertRecovers(loaded, report)
  })
})
