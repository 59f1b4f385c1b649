import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { assertRecovers, startUnderLoad, type UnderLoad } from '../support/faults/under-load.ts'
import { assertNone } from '../support/oracle/oracle.ts'
import { becomesNotReady, linesAt, valueOf } from '../support/processes/worker-facts.ts'
import { openWorkerScenario, type ScenarioContext } from '../support/processes/worker-scenario.ts'
import { startOwnKafka, type OwnKafka } from '../support/servers/servers.ts'

const NOT_JOINED = /not in the consumer group/
const LOUD = ['warn', 'error', 'fatal']

let kafka: OwnKafka

beforeAll(async () => {
  kafka = await startOwnKafka()
}, 120_000)
afterAll(() => kafka?.stop())

const openLoadedWorker = async (context: ScenarioContext, seed: number, env = {}) =>
  await startUnderLoad(context, await openWorkerScenario(context, { kafka, env }), seed)

/** While the worker is frozen, nothing is committed that Redis does not hold. */
async function assertCommitsAreDurable({ scenario, worker }: UnderLoad): Promise<void> {
  worker.kill('SIGSTOP')
  try {
    await patiently(async () => assertNone(await scenario.oracle.differencesBelowCommit()))
  } finally {
    worker.kill('SIGCONT')
  }
}

describe('a worker resumes by itself', { timeout: 360_000 }, () => {
  test.for([
    ['K1', 'SIGTERM', 1],
    ['K2', 'SIGKILL', 2],
  ] as const)('after its only broker restarted (%s, %s)', async ([id, signal, seed], context) => {
    const report = reportFault(context, id)
    const loaded = await openLoadedWorker(context, seed)
    const { worker } = loaded
    await kafka.kill(signal)
    const ms = await becomesNotReady(worker, NOT_JOINED)
    const before = linesAt(worker, LOUD)
    await patiently(async () => {
      expect(await worker.get('/livez')).toMatchObject({ status: 200 })
      expect(await worker.get('/readyz')).toMatchObject({ status: 503 })
      expect(await valueOf(worker, 'consumer_restarts_total', { reason: 'connect_failed' })).toBeGreaterThan(
        2,
      )
    })
    const lines = linesAt(worker, LOUD) - before
    expect(lines).toBeLessThan(60)
    report.saw(`503 \`not in the consumer group\` ${ms} ms after ${signal}; ${lines} warnings meanwhile`)
    await kafka.start()
    await assertRecovers(loaded, report)
  })

  test.for([5, 60])('after its only broker hung for %i s', async (seconds, context) => {
    const report = reportFault(context, 'K6')
    const loaded = await openLoadedWorker(context, 10 + seconds, {
      KAFKA_SESSION_TIMEOUT_S: '',
      KAFKA_CONSUMER_POLL_TIMEOUT_S: '1',
    })
    const { worker } = loaded
    await kafka.kill('SIGSTOP')
    const hungAt = performance.now()
    let notReadyMs: number | undefined
    await patiently(
      async () => {
        expect(await worker.get('/livez')).toMatchObject({ status: 200 })
        const { status } = await worker.get('/readyz')
        if (status === 503) notReadyMs ??= Math.round(performance.now() - hungAt)
        expect(performance.now() - hungAt).toBeGreaterThan(seconds * 1_000)
      },
      { timeoutMs: 90_000, everyMs: 250 },
    )
    // The session is 30 s.
    if (seconds > 30) expect(notReadyMs).toBeLessThan(45_000)
    report.saw(`${seconds} s: ${notReadyMs === undefined ? 'ready' : `503 after ${notReadyMs} ms`}, alive`)
    await kafka.kill('SIGCONT')
    await assertCommitsAreDurable(loaded)
    await assertRecovers(loaded, report)
  })
})
