import { WORKERS_KEY, workerReportKey } from '../../../shared/contract/keys.ts'
import { parseWorkerReport, type WorkerReport } from '../../core/workers/worker-report.ts'
import { redisReply } from '../reply.ts'
import { readReports, writeReport, type ReportKind } from './report-store.ts'
import type { RedisClient } from '../redis-client.ts'

/** Several reports in a row may fail before a worker counts as stopped. */
const REPORT_TTL_MS = 20_000
const OF_WORKERS: ReportKind<WorkerReport> = {
  indexKey: WORKERS_KEY,
  keyOf: workerReportKey,
  idOf: ({ id }) => id,
  parse: parseWorkerReport,
}

/** Best effort. Rejects with a ServiceError, which callers may ignore. */
export type WorkerReporter = {
  write(report: WorkerReport): Promise<void>
  /** Called when the worker stops, so that its report does not outlive it. */
  remove(): Promise<void>
}

/** @param ttlMs how long a report is shown. */
export function createWorkerReporter(
  redis: RedisClient,
  workerId: string,
  now: () => number,
  ttlMs = REPORT_TTL_MS,
): WorkerReporter {
  return {
    write: (report) => writeReport(redis, OF_WORKERS, workerId, report, ttlMs, now()),
    async remove() {
      await redisReply(Promise.all([redis.del(workerReportKey(workerId)), redis.zrem(WORKERS_KEY, workerId)]))
    },
  }
}

/** The reports of all live workers, sorted by worker id. Rejects with a ServiceError. */
export type WorkerReports = { read(): Promise<WorkerReport[]> }

export function createWorkerReports(redis: RedisClient): WorkerReports {
  return { read: () => readReports(redis, OF_WORKERS) }
}
