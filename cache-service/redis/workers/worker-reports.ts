import type { Redis } from 'ioredis'
import { redisError } from '../../../shared/errors.ts'
import { WORKERS_KEY, workerReportKey } from '../../../shared/contract/keys.ts'
import { parseWorkerReport, type WorkerReport } from '../../core/workers/worker-report.ts'

/** Some reports may fail before a worker counts as gone. */
const REPORT_TTL_MS = 20_000
/** Who has not reported for so long is forgotten; long, as the clocks of workers may differ. */
const FORGOTTEN_AFTER_MS = 3_600_000
const MAX_WORKERS = 256

/** Best effort; rejects with a ServiceError. */
export type WorkerReporter = {
  write(report: WorkerReport): Promise<void>
  /** The worker ends: its report does not outlive it. */
  remove(): Promise<void>
}

export function createWorkerReporter(redis: Redis, workerId: string, now: () => number): WorkerReporter {
  const key = workerReportKey(workerId)
  async function all(commands: readonly Promise<unknown>[]): Promise<void> {
    try {
      await Promise.all(commands)
    } catch (error) {
      throw redisError(error)
    }
  }
  return {
    write: (report) =>
      all([
        redis.set(key, JSON.stringify(report), 'PX', REPORT_TTL_MS),
        redis.zadd(WORKERS_KEY, now(), workerId),
        redis.zremrangebyscore(WORKERS_KEY, '-inf', now() - FORGOTTEN_AFTER_MS),
      ]),
    remove: () => all([redis.del(key), redis.zrem(WORKERS_KEY, workerId)]),
  }
}

export type WorkerReports = {
  /** Of the workers that live, by their ids. Rejects with a ServiceError. */
  read(): Promise<WorkerReport[]>
  /**
   * True while one of them reads again what Redis does not hold: an unknown device may exist then. It may be
   * asked at every miss: at most once a second it asks Redis.
   */
  isRebuilding(): Promise<boolean>
}

const REBUILDING_KEPT_MS = 1_000

export function createWorkerReports(redis: Redis, now: () => number): WorkerReports {
  let asked: { readonly ms: number; readonly answer: Promise<boolean> } | undefined

  async function read(): Promise<WorkerReport[]> {
    try {
      const ids = await redis.zrevrange(WORKERS_KEY, 0, MAX_WORKERS - 1)
      if (ids.length === 0) return []
      const texts = await redis.mget(ids.map(workerReportKey))
      const reports = texts.flatMap((text) => (text === null ? [] : (parseWorkerReport(text) ?? [])))
      return reports.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    } catch (error) {
      throw redisError(error)
    }
  }

  return {
    read,
    isRebuilding() {
      if (asked !== undefined && now() - asked.ms < REBUILDING_KEPT_MS) return asked.answer
      const answer = read().then((reports) => reports.some(({ rebuilding }) => rebuilding))
      const question = { ms: now(), answer }
      asked = question
      answer.catch(() => {
        // A failure is not kept: the next one asks again.
        if (asked === question) asked = undefined
      })
      return answer
    },
  }
}
