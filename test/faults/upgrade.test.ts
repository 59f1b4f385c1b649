import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { indexedDevices, startPollingReader } from '../support/oracle/polling-reader.ts'
import { openFirstRelease } from '../support/processes/first-release.ts'
import { consumesMore } from '../support/processes/worker-facts.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'

// Only records that both releases treat alike: what changed since is in CHANGELOG.md.
const LOAD = { seed: 1, devices: 300, perSecond: 300, awkwardPercent: 0, invalidPercent: 0 }

test('workers of the first release are replaced one after the other, and back, under load: nothing is lost, nothing goes back', async (context) => {
  const first = await openFirstRelease()
  const scenario = await openWorkerScenario(context, { partitions: 4 })
  const { admin, group, oracle, redis } = scenario
  const old = [await scenario.startWorker({}, first), await scenario.startWorker({}, first)]
  const load = scenario.startLoad(LOAD)
  for (const worker of old) await worker.ready()
  const reader = startPollingReader(redis, indexedDevices(redis))
  context.onTestFinished(async () => void (await reader.stop()))
  const members = async () => (await admin.describeGroups([group])).groups[0]?.members.length

  /** The next one joins before the one that it replaces leaves: for a while both releases share the partitions. */
  async function replace(worker: WorkerProcess | undefined, start: () => Promise<WorkerProcess>) {
    const next = await start()
    await next.ready()
    await patiently(async () => expect(await members()).toBe(3))
    await consumesMore(next, 200)
    expect(await worker?.stop()).toBe(0)
    await consumesMore(next, 200)
    return next
  }

  const present = []
  for (const worker of old) present.push(await replace(worker, () => scenario.startWorker()))
  for (const worker of present) await worker.ready()
  // The way back, as the runbook describes it.
  for (const worker of present) await replace(worker, () => scenario.startWorker({}, first))
  await load.stop()
  await oracle.assertCaughtUp({ redelivered: true })
  expect(await reader.stop()).toEqual([])
})
