import type { WorkerReport } from '../../../cache-service/core/workers/worker-report.ts'

/** The report of a worker without anything special, apart from the overrides. */
export function workerReport(more: Partial<WorkerReport> & Pick<WorkerReport, 'id'>): WorkerReport {
  return {
    version: '1.2.3',
    started_at: '2026-01-01T00:00:00.000Z',
    reported_at: '2026-01-01T00:00:05.000Z',
    state: 'consuming',
    ready: true,
    reasons: [],
    rebuilding: false,
    rates: { records: 1.5, applied: 1, dead_letters: 0 },
    totals: { applied: 5 },
    dead_letters_total: 0,
    lag: null,
    lag_records: null,
    devices: 5,
    dead_letters: [],
    ...more,
  }
}
