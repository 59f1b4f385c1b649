import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { invalid, update } from '../support/records/tagged-records.ts'

test('without the error topic, one bad record holds its partition steadily, and another partition flows', async (context) => {
  const report = reportFault(context, 'D1')
  const scenario = await openWorkerScenario(context, { partitions: 2, errorTopic: false })
  const worker = await scenario.startWorker()
  await worker.ready()
  await scenario.send([{ ...invalid('not_json', '{'), partition: 0 }])
  await patiently(async () =>
    expect((await worker.get('/readyz')).body).toMatch(/holding: kafka TOPIC_MISSING.*partition 0/),
  )
  // Every record of the other partition arrives while the worker is not ready, throughout.
  const held = async () => expect((await worker.get('/readyz')).status).toBe(503)
  for (let i = 0; i < 60; i++) {
    await scenario.send([{ ...update({ deviceId: `d-${i}` }), partition: 1 }])
    await patiently(
      async () => {
        await held()
        expect(await scenario.redis.sismember('devices', `d-${i}`)).toBe(1)
      },
      { everyMs: 20 },
    )
  }
  const attempts = worker.logLines().filter(({ attempt }) => attempt !== undefined)
  const numbers = attempts.map(({ attempt }) => Number(attempt))
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
  expect(await worker.metric('rebalances_total')).toMatchObject([{ value: 1 }])
  report.saw('missing: 503 `TOPIC_MISSING` for that partition throughout; 60 records of the other one arrive')
  await scenario.createErrorTopic()
  const recovered = report.startRecovery()
  await worker.ready(60_000)
  recovered()
  expect(await worker.stop()).toBe(0)
}, 120_000)
