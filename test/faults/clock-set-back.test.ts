import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'

const clock = fileURLToPath(new URL('../support/processes/movable-clock.ts', import.meta.url))
const env = { NODE_OPTIONS: `--import ${clock}` }

describe.concurrent('a worker whose wall clock was set back by an hour', () => {
  test('is not ready while Redis hangs, and is ready when it has recovered', async (context) => {
    const report = reportFault(context, 'H4')
    const scenario = await openWorkerScenario(context, { ownRedis: {}, env })
    const worker = await scenario.startWorker()
    await worker.ready()
    worker.kill('SIGUSR2')
    await scenario.redisServer.kill('SIGSTOP')
    await patiently(async () => {
      expect((await worker.get('/readyz')).body).toContain('has not accepted a write')
    })
    report.saw('wall clock set back by an hour: a Redis that hangs is still noticed')
    await scenario.redisServer.kill('SIGCONT')
    const recovered = report.startRecovery()
    await worker.ready(60_000)
    recovered()
  })

  test('remains a member of its group: it shares the partitions with a worker that joins', async (context) => {
    const scenario = await openWorkerScenario(context, { partitions: 4, env })
    const first = await scenario.startWorker()
    await first.ready()
    first.kill('SIGUSR2')
    await scenario.send([update({ deviceId: 'd1' })])
    await patiently(async () => expect(await first.consumed()).toBe(1))
    const second = await scenario.startWorker()
    const assigned = async () =>
      await Promise.all(
        [first, second].map(async (worker) => (await worker.metric('assigned_partitions'))[0]?.value),
      )
    await patiently(async () => expect(await assigned()).toEqual([2, 2]))
  })
})
