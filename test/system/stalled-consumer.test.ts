import { expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
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
  await eventually(async () => expect(await worker.consumed()).toBe(1_000))

  await kafka.kill('SIGSTOP')
  await eventually(
    async () => {
      const restarts = await worker.metric('consumer_restarts_total')
      expect(restarts.find(({ labels }) => labels['reason'] === 'stalled')?.value).toBeGreaterThan(0)
    },
    { timeoutMs: 20_000 },
  )
  expect(await worker.get('/livez')).toMatchObject({ status: 200 })
  expect(await worker.get('/readyz')).toMatchObject({ status: 503 })

  report.saw('with KAFKA_STALL_TIMEOUT_S=2: a new consumer, 503')
  await kafka.kill('SIGCONT')
  const recovered = report.startRecovery()
  await worker.ready(60_000)
  recovered()
  await scenario.sendFleet(1_000, { seed: 42, devices: 50 })
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed, redelivered: true })
})
