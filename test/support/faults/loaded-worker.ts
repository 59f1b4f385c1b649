import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { patiently } from '../eventually.ts'
import { startPollingReader, type PollingReader } from '../oracle/polling-reader.ts'
import { valueOf } from '../processes/worker-facts.ts'
import {
  openWorkerScenario,
  type ScenarioContext,
  type ScenarioOptions,
  type WorkerScenario,
} from '../processes/worker-scenario.ts'
import type { WorkerProcess } from '../processes/worker-process.ts'
import type { Load, LoadOptions } from '../records/record-load.ts'
import type { FaultReport } from './fault-test.ts'

const LOAD = { seed: 1, devices: 200, perSecond: 200, awkwardPercent: 5 }
const CONSUMED_BEFORE = 300
const CONSUMED_AFTER = 300
/** Attempts and dead letters are logged at a limited rate; a busy loop would log thousands a second. */
const MAX_WARNINGS_PER_SECOND = 10

/** A worker under load, with a Redis of its own that the test breaks, and a reader that polls Redis. */
export type LoadedWorker = {
  readonly scenario: WorkerScenario
  readonly worker: WorkerProcess
  readonly load: Load
  readonly reader: PollingReader
  /** Checks that it is alive but not ready, says why, and commits nothing, for this long. */
  staysHeld(reason: RegExp, forMs: number): Promise<void>
  /** Waits until it is ready and has consumed more, stops the load, and compares everything. */
  recovers(report: FaultReport): Promise<void>
}

export async function openLoadedWorker(
  context: ScenarioContext,
  { load: loadOptions, ...options }: ScenarioOptions & { readonly load?: Partial<LoadOptions> } = {},
): Promise<LoadedWorker> {
  const scenario = await openWorkerScenario(context, { ownRedis: {}, ...options })
  const { oracle, redis } = scenario
  const worker = await scenario.startWorker()
  const loadedAt = performance.now()
  await worker.ready(90_000)
  const load = scenario.startLoad({ ...LOAD, ...loadOptions })
  const readerRedis = redis.duplicate()
  readerRedis.on('error', () => undefined)
  context.onTestFinished(() => readerRedis.disconnect())
  const reader = startPollingReader(readerRedis, devicesOf(scenario))
  await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(CONSUMED_BEFORE))

  return {
    scenario,
    worker,
    load,
    reader,
    async staysHeld(reason, forMs) {
      // The last commit of what was durable may follow within its interval.
      let committed = await oracle.committed()
      await patiently(async () => {
        const before = committed
        await sleep(1_000)
        committed = await oracle.committed()
        expect(committed).toEqual(before)
      })
      const until = performance.now() + forMs
      do {
        expect(await worker.get('/livez')).toMatchObject({ status: 200 })
        expect(await worker.get('/readyz')).toMatchObject({
          status: 503,
          body: expect.stringMatching(reason),
        })
        const held =
          (await valueOf(worker, 'consumer_state', { state: 'holding' })) +
          (await valueOf(worker, 'consumer_state', { state: 'paused' }))
        expect(held).toBe(1)
        expect(await oracle.committed()).toEqual(committed)
        await sleep(250)
      } while (performance.now() < until)
    },
    async recovers(report) {
      const recovered = report.startRecovery()
      await worker.ready(90_000)
      recovered()
      const before = await worker.consumed()
      await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(before + CONSUMED_AFTER))
      await load.stop()
      await oracle.assertCaughtUp({ consumed: scenario.consumed, redelivered: true })
      await worker.ready()
      // 0 until the next probe.
      await patiently(async () => expect(await valueOf(worker, 'redis_up')).toBe(1))
      expect(await valueOf(worker, 'consumer_state', { state: 'consuming' })).toBe(1)
      expect(await reader.stop()).toEqual([])
      expect(worker.errors).toBe('')
      const warnings = worker.logLines().filter(({ level }) => level === 'warn').length
      expect(warnings / ((performance.now() - loadedAt) / 1000)).toBeLessThan(MAX_WARNINGS_PER_SECOND)
    },
  }
}

/** The devices of all records so far. Each record is looked at once: readers ask many times a second. */
export function devicesOf({ oracle }: WorkerScenario): () => ReadonlySet<string> {
  const known = new Set<string>()
  let seen = 0
  return () => {
    for (const { expectation } of oracle.records.slice(seen)) {
      if (expectation.outcome === 'update') known.add(expectation.deviceId)
    }
    seen = oracle.records.length
    return known
  }
}
