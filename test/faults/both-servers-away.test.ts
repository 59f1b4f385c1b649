import { expect, onTestFailed, onTestFinished, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { startOwnKafka } from '../support/servers/servers.ts'
import { update } from '../support/records/tagged-records.ts'

test('a worker whose partitions are paused because of Redis survives Kafka’s failure as well, in any order of healing', async (context) => {
  const report = reportFault(context, 'N3')
  const kafka = await startOwnKafka()
  onTestFinished(() => kafka.stop())
  const scenario = await openWorkerScenario(
    { onTestFinished, onTestFailed },
    { kafka, ownRedis: { args: ['--appendonly', 'yes'] } },
  )
  const { oracle, redisServer } = scenario
  const worker = await scenario.startWorker()
  await scenario.send(['a', 'b', 'c', 'd'].map((deviceId) => update({ deviceId })))
  await patiently(async () => expect(await worker.consumed()).toBe(4))

  await redisServer.kill('SIGKILL')
  // Partitions are paused when further records arrive for a lane that has held for long.
  await patiently(async () => {
    await scenario.send(['a', 'b', 'c', 'd', 'e', 'f'].map((deviceId) => update({ deviceId })))
    const states = await worker.metric('consumer_state')
    expect(states.find(({ labels }) => labels['state'] === 'paused')?.value).toBe(1)
  })
  await scenario.send(['a', 'b', 'c', 'd', 'e', 'f'].map((deviceId) => update({ deviceId })))
  await kafka.kill('SIGKILL')
  await patiently(async () => {
    expect((await worker.get('/readyz')).body).toMatch(/not in the consumer group/)
  })
  expect(worker.isRunning).toBe(true)

  await redisServer.start()
  await kafka.start()
  const recovered = report.startRecovery()
  await worker.ready(60_000)
  recovered()
  report.saw('both killed, with paused partitions: alive')
  await oracle.assertHeals({ redelivered: true })
}, 180_000)
