import { createLoop, type LoopMonitor } from '../../lifecycle/loops.ts'
import type { Service } from '../../lifecycle/service.ts'
import type { DeviceIndex } from './device-index.ts'
import type { Lease } from '../lease.ts'

export type SweeperTelemetry = {
  swept(removed: number, ms: number): void
  loopFailed(loop: string, error: unknown): void
}

/** Longer than one page of a sweep can take; the lease is extended after every page. */
export const SWEEP_LEASE_MS = 30_000

/** Periodically removes the ids of expired hashes from the device index. */
export function createSweeper(
  index: DeviceIndex,
  lease: Lease,
  options: {
    everyMs: number
    monitor: LoopMonitor
    telemetry: SweeperTelemetry
    monotonicNow: () => number
  },
): Service {
  const { everyMs, monitor, monotonicNow, telemetry } = options
  return createLoop({
    name: 'sweeper',
    everyMs,
    monitor,
    failed: (error) => telemetry.loopFailed('sweeper', error),
    async turn(stop) {
      const startedMs = monotonicNow()
      const removed = await sweepOnce(index, lease, stop, () => monitor.turned('sweeper', everyMs))
      if (removed !== undefined) telemetry.swept(removed, monotonicNow() - startedMs)
    },
  })
}

/** @returns the number of removed ids; undefined if another process is sweeping, or `stop` was aborted. */
export async function sweepOnce(
  index: DeviceIndex,
  lease: Lease,
  stop: AbortSignal,
  onPage: () => void,
): Promise<number | undefined> {
  if (!(await lease.acquire())) return undefined
  try {
    let removed = 0
    let cursor = '0'
    do {
      const page = await index.scan(cursor)
      removed += await index.removeAbsent(page.deviceIds)
      cursor = page.cursor
      onPage()
      if (stop.aborted || !(await lease.acquire())) return undefined
    } while (cursor !== '0')
    return removed
  } finally {
    await lease.release()
  }
}
