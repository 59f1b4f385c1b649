import { LAG_GROUPS_KEY, lagReportKey } from '../../../shared/contract/keys.ts'
import { parseLagReport, type LagReport } from '../../core/workers/lag-report.ts'
import { readReports, writeReport, type ReportKind } from './report-store.ts'
import type { RedisClient } from '../redis-client.ts'

const OF_GROUPS: ReportKind<LagReport> = {
  indexKey: LAG_GROUPS_KEY,
  keyOf: lagReportKey,
  idOf: ({ group }) => group,
  parse: parseLagReport,
}

/** Best effort. Rejects with a ServiceError. */
export type LagReporter = { write(report: LagReport): Promise<void> }

/** @param ttlMs how long a report is shown. Two monitors of one group write the same report, so that either may stop. */
export function createLagReporter(redis: RedisClient, ttlMs: number, now: () => number): LagReporter {
  return { write: (report) => writeReport(redis, OF_GROUPS, report.group, report, ttlMs, now()) }
}

/** The latest report of each group that a lag monitor measures, sorted by group. Rejects with a ServiceError. */
export type LagReports = { read(): Promise<LagReport[]> }

export function createLagReports(redis: RedisClient): LagReports {
  return { read: () => readReports(redis, OF_GROUPS) }
}
