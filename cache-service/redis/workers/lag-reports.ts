import type { Redis } from 'ioredis'
import { LAG_GROUPS_KEY, lagReportKey } from '../../../shared/contract/keys.ts'
import { parseLagReport, type LagReport } from '../../core/workers/lag-report.ts'
import { redisReply } from '../reply.ts'

/** A group that has not been reported for this long is forgotten. The limit is generous because clocks may differ. */
const FORGOTTEN_AFTER_MS = 3_600_000
const MAX_GROUPS = 256

/** Best effort. Rejects with a ServiceError. */
export type LagReporter = { write(report: LagReport): Promise<void> }

/** @param ttlMs how long a report is shown. Two monitors of one group write the same report, so that either may stop. */
export function createLagReporter(redis: Redis, ttlMs: number, now: () => number): LagReporter {
  return {
    async write(report) {
      const commands = [
        redis.set(lagReportKey(report.group), JSON.stringify(report), 'PX', ttlMs),
        redis.zadd(LAG_GROUPS_KEY, now(), report.group),
        redis.zremrangebyscore(LAG_GROUPS_KEY, '-inf', now() - FORGOTTEN_AFTER_MS),
      ]
      await redisReply(Promise.all(commands))
    },
  }
}

/** The latest report of each group that a lag monitor measures, sorted by group. Rejects with a ServiceError. */
export type LagReports = { read(): Promise<LagReport[]> }

export function createLagReports(redis: Redis): LagReports {
  return {
    async read() {
      const groups = await redisReply(redis.zrevrange(LAG_GROUPS_KEY, 0, MAX_GROUPS - 1))
      const texts = await redisReply(Promise.all(groups.map((group) => redis.get(lagReportKey(group)))))
      const reports = texts.flatMap((text) => (text === null ? [] : (parseLagReport(text) ?? [])))
      return reports.toSorted((a, b) => (a.group < b.group ? -1 : 1))
    },
  }
}
