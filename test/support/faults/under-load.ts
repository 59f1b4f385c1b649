import { expect } from 'vitest'
import { indexedDevices, startPollingReader } from '../oracle/polling-reader.ts'
import { consumesMore, valueOf } from '../processes/worker-facts.ts'
import type { ScenarioContext, WorkerScenario } from '../processes/worker-scenario.ts'
import type { FaultReport } from './fault-test.ts'

const LOAD = { devices: 200, perSecond: 300, awkwardPercent: 5 }

/** A worker under load, and a reader that must never see a device go back, for faults of Kafka and of the network. */
export type UnderLoad = Awaited<ReturnType<typeof startUnderLoad>>

/** @param seed of the load. */
export async function startUnderLoad(context: ScenarioContext, scenario: WorkerScenario, seed: number) {
  const load = scenario.startLoad({ ...LOAD, seed })
  const worker = await scenario.startWorker()
  await worker.ready(90_000)
  await consumesMore(worker, 500)
  const reader = startPollingReader(scenario.redis, indexedDevices(scenario.redis))
  context.onTestFinished(async () => void (await reader.stop()))
  return { scenario, load, reader, worker }
}

/** Waits until the worker is ready and consumes, stops the load, and compares everything. Redis must have lost nothing. */
export async function assertRecovers(
  { load, reader, scenario, worker }: UnderLoad,
  ...reports: readonly FaultReport[]
): Promise<void> {
  const recovered = reports.map((report) => report.startRecovery())
  await worker.ready(120_000)
  await consumesMore(worker)
  for (const stop of recovered) stop()
  await consumesMore(worker, 500)
  await load.stop()
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed, redelivered: true }, 120_000)
  expect(await reader.stop()).toEqual([])
  expect(reader.reads).toBeGreaterThan(1_000)
  expect(await valueOf(worker, 'cache_loss_total')).toBe(0)
  expect(await worker.stop()).toBe(0)
}
