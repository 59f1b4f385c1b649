import { expect } from 'vitest'
import { patiently } from '../eventually.ts'
import type { WorkerProcess } from './worker-process.ts'

/** The value of a metric: the sum of its samples with these labels. Rejects if there is none. */
export async function valueOf(
  worker: WorkerProcess,
  metric: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> {
  const samples = (await worker.metric(metric)).filter((sample) =>
    Object.entries(labels).every(([name, value]) => sample.labels[name] === value),
  )
  if (samples.length === 0) throw new Error(`no sample of ${metric} has the labels ${JSON.stringify(labels)}`)
  return samples.reduce((sum, { value }) => sum + value, 0)
}

/** Waits until the worker is not ready for a reason that matches, while it stays alive. @returns the ms that this took. */
export async function becomesNotReady(
  worker: WorkerProcess,
  reason: RegExp,
  timeoutMs = 90_000,
): Promise<number> {
  const startedAt = performance.now()
  await patiently(
    async () => {
      expect(await worker.get('/livez')).toMatchObject({ status: 200 })
      const { body, status } = await worker.get('/readyz')
      expect(status).toBe(503)
      expect(body).toMatch(reason)
    },
    { timeoutMs, describe: `the worker is not ready: ${reason}` },
  )
  return Math.round(performance.now() - startedAt)
}

/** Waits until the worker has consumed more than now. */
export async function consumesMore(worker: WorkerProcess, records = 1): Promise<void> {
  const before = await patiently(() => worker.consumed())
  await patiently(async () => expect(await worker.consumed()).toBeGreaterThanOrEqual(before + records), {
    timeoutMs: 120_000,
    describe: `the worker consumes ${records} more than ${before}`,
  })
}

/** Lines of a level or a higher one that the worker has logged. */
export function linesAt(worker: WorkerProcess, levels: readonly string[]): number {
  return worker.logLines().filter(({ level }) => levels.includes(level)).length
}
