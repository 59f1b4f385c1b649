import type { TestContext } from 'vitest'
import { expect } from 'vitest'
import { patiently } from '../eventually.ts'
import type { WorkerProcess } from '../processes/worker-process.ts'
import type { WorkerScenario } from '../processes/worker-scenario.ts'
import type { LoadOptions } from '../records/record-load.ts'
import { attachClients, type AttachedClients } from './attached-clients.ts'
import { reportFault, type FaultReport } from './fault-test.ts'
import type { FaultId } from './catalogue.ts'
import { PUBLISHED_TYPES, type PublishTarget } from './update-publisher.ts'

const CONSUMED_BEFORE = 500
const CONSUMED_AFTER = 200
const RECOVERS_WITHIN_MS = 180_000
const HEALS_WITHIN_MS = 90_000

/** A worker and a process of role `all` under load, with clients of the API attached. */
export type RunningScenario = {
  readonly scenario: WorkerScenario
  readonly worker: WorkerProcess
  readonly clients: AttachedClients
  readonly report: FaultReport
}

export type ScenarioWithClients = {
  readonly id: FaultId
  /** For docs/reliability.md: what happens, as a sentence without a full stop. */
  readonly name: string
  readonly scenario: WorkerScenario
  readonly load: LoadOptions
  readonly publishTo: PublishTarget
  /** Whether a client may see older data for a while: something that was acknowledged is lost. */
  readonly mayGoBack: boolean
  /** Resolves at the end of the fault. */
  readonly disturb: (running: RunningScenario) => Promise<void>
}

/**
 * Makes a fault under load, waits until all have recovered, and compares everything: Redis by the oracle, and what the clients of
 * the API see, and saw on the way.
 */
export async function survivesWithClients(
  context: TestContext,
  { disturb, id, load: loadOptions, mayGoBack, name, publishTo, scenario }: ScenarioWithClients,
): Promise<RunningScenario> {
  const { oracle } = scenario
  const report = reportFault(context, id)
  const load = scenario.startLoad(loadOptions)
  const worker = await scenario.startWorker()
  const clients = await attachClients(context, scenario, publishTo)
  const running = { scenario, worker, clients, report }
  await worker.ready(120_000)
  await consumesMore(scenario, CONSUMED_BEFORE)

  await disturb(running)
  const recovered = report.startRecovery()
  const ends = oracle.ends()
  await patiently(
    async () => {
      for (const { get } of [worker, clients.all]) expect(await get('/readyz')).toMatchObject({ status: 200 })
      const committed = await oracle.committed()
      for (const [partition, end] of ends) expect(committed.get(partition) ?? 0).toBeGreaterThanOrEqual(end)
    },
    { timeoutMs: RECOVERS_WITHIN_MS, describe: 'both are ready and have caught up' },
  )
  const recoveryMs = recovered()
  await consumesMore(scenario, CONSUMED_AFTER)

  await clients.stopSending()
  await load.stop()
  const comparison = { consumed: scenario.consumed, redelivered: true, foreignKeys: PUBLISHED_TYPES }
  await oracle.assertHeals(comparison, HEALS_WITHIN_MS)
  const readAgain = (await scenario.consumed()) - oracle.produced
  const figures = await clients.assertAtRest({ mayGoBack })
  report.measured({ name, recoveryMs, readAgain, ...figures })
  return running
}

/** Of all running workers together. */
export async function sumOf({ workers }: WorkerScenario, metric: string): Promise<number> {
  const samples = await Promise.all(workers.map((worker) => worker.metric(metric)))
  return samples.flat().reduce((sum, { value }) => sum + value, 0)
}

/** Waits until the workers together have consumed more than now. */
export async function consumesMore(scenario: WorkerScenario, records: number): Promise<void> {
  const before = await patiently(() => scenario.consumed())
  await patiently(async () => expect(await scenario.consumed()).toBeGreaterThanOrEqual(before + records), {
    timeoutMs: RECOVERS_WITHIN_MS,
    describe: `the workers consume ${records} more than ${before}`,
  })
}
