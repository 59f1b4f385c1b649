import type { Redis } from 'ioredis'
import { WORKERS_KEY, workerReportKey } from '../../../shared/contract/keys.ts'
import { parseWorkerReport, type WorkerReport } from '../../core/workers/worker-report.ts'
import { redisReply } from '../reply.ts'

/** Several reports in a row may fail before a worker counts as stopped. */
const REPORT_TTL_MS = 20_000
/** A worker that has not reported for this long is forgotten. The limit is generous because workers' clocks may differ. */
const FORGOTTEN_AFTER_MS = 3_600_000
const MAX_WORKERS = 256

/** Best effort. Rejects with a ServiceError, which callers may ignore. */
export type WorkerReporter = {
  write(report: WorkerReport): Promise<void>
  /** Called when the worker stops, so that its report does not outlive it. */
  remove(): Promise<void>
}

export function createWorkerReporter(redis: Redis, workerId: string, now: () => number): WorkerReporter {
  const key = workerReportKey(workerId)
  return {
    async write(report) {
      const commands = [
        redis.set(key, JSON.stringify(report), 'PX', REPORT_TTL_MS),
        redis.zadd(WORKERS_KEY, now(), workerId),
        redis.zremrangebyscore(WORKERS_KEY, '-inf', now() - FORGOTTEN_AFTER_MS),
      ]
      await redisReply(Promise.all(commands))
    },
    async remove() {
      await redisReply(Promise.all([redis.del(key), redis.zrem(WORKERS_KEY, workerId)]))
    },
  }
}

/** The reports of all live workers, sorted by worker id. Rejects with a ServiceError. */
export type WorkerReports = { read(): Promise<WorkerReport[]> }

export function createWorkerReports(redis: Redis): WorkerReports {
  return {
    async read() {
      const ids = await redisReply(redis.zrevrange(WORKERS_KEY, 0, MAX_WORKERS - 1))
      if (ids.length === 0) return []
      const texts = await redisReply(redis.mget(ids.map(workerReportKey)))
      const reports = texts.flatMap((text) => (text === null ? [] : (parseWorkerReport(text) ?? [])))
      return reports.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    },
  }
}
