import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { createTopic, uniqueName } from '../support/test-scope.ts'

test('a worker is not ready, and says why, while its group has a member that reads another topic', async (context) => {
  const scenario = await openWorkerScenario(context)
  const other = uniqueName('other')
  await createTopic((scenario.env['KAFKA_BOOTSTRAP_SERVERS'] ?? '').split(','), other, { partitions: 3 })
  const workers = [
    await scenario.startWorker(),
    await scenario.startWorker({ KAFKA_VALIDATED_DATA_TOPIC: other }),
  ]
  await patiently(async () => {
    const bodies = await Promise.all(workers.map(async (worker) => (await worker.get('/readyz')).body))
    expect(bodies.join()).toMatch(/shared group: .*KAFKA_CONSUMER_GROUP_ID/)
  })
  const lines = workers.flatMap((worker) => worker.logLines())
  expect(lines).toContainEqual(
    expect.objectContaining({
      level: 'error',
      group: scenario.group,
      msg: expect.stringContaining('KAFKA_CONSUMER_GROUP_ID'),
    }),
  )
})
