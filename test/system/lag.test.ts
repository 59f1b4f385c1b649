import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'

test('a worker measures its lag when it gets its partitions, not only when the next poll is due', async (context) => {
  const scenario = await openWorkerScenario(context, { env: { LAG_POLL_INTERVAL_S: '3600' } })
  const worker = await scenario.startWorker()
  await patiently(async () => expect(await worker.metric('consumer_lag')).toHaveLength(scenario.partitions))
})
