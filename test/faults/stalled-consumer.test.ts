import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { becomesNotReady, valueOf } from '../support/processes/worker-facts.ts'
import { startOwnKafka } from '../support/servers/servers.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'

test('a consumer whose broker hangs is rebuilt, and continues from its position once the broker recovers', async (context) => {
  const report = reportFault(context, 'K6')
  const kafka = await startOwnKafka()
  context.onTestFinished(() => kafka.stop())
  const scenario = await openWorkerScenario(context, {
    kafka,
    env: { KAFKA_STALL_TIMEOUT_S: '2' },
  })
  const worker = await scenario.startWorker()
  await worker.ready()
  await scenario.sendFleet(1_000, { seed: 41, devices: 50 })
  await patiently(async () => expect(await worker.consumed()).toBeGreaterThanOrEqual(1_000))

  await kafka.kill('SIGSTOP')
  // On a busy machine it may have stalled before.
  const before = await valueOf(worker, 'consumer_restarts_total', { reason: 'stalled' })
  await patiently(async () =>
    expect(await valueOf(worker, 'consumer_restarts_total', { reason: 'stalled' })).toBeGreaterThan(before),
  )
  await becomesNotReady(worker, /not in the consumer group/)

  report.saw('with KAFKA_STALL_TIMEOUT_S=2: a new consumer, 503')
  await kafka.kill('SIGCONT')
  const recovered = report.startRecovery()
  await worker.ready(60_000)
  recovered()
  await scenario.sendFleet(1_000, { seed: 42, devices: 50 })
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed, redelivered: true })
})
