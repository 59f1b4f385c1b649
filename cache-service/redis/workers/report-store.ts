import { replyOfOwner } from '../cluster/slots.ts'
import { redisReply } from '../reply.ts'
import type { RedisClient } from '../redis-client.ts'

/** A reporter that has not written for this long is forgotten. The limit is generous because clocks may differ. */
const FORGOTTEN_AFTER_MS = 3_600_000
const MAX_REPORTS = 256

/** Reports that expire by themselves, one per id, and where to find them. */
export type ReportKind<Report> = {
  /** Sorted set: id → time of its last report (ms since 1970). */
  readonly indexKey: string
  readonly keyOf: (id: string) => string
  readonly idOf: (report: Report) => string
  /** undefined: this release cannot read it. */
  readonly parse: (text: string) => Report | undefined
}

/** Rejects with a ServiceError. @param ttlMs how long the report is shown. */
export async function writeReport<Report>(
  redis: RedisClient,
  { indexKey, keyOf }: ReportKind<Report>,
  id: string,
  report: Report,
  ttlMs: number,
  nowMs: number,
): Promise<void> {
  const commands = [
    redis.set(keyOf(id), JSON.stringify(report), 'PX', ttlMs),
    redis.zadd(indexKey, nowMs, id),
    redis.zremrangebyscore(indexKey, '-inf', nowMs - FORGOTTEN_AFTER_MS),
  ]
  await redisReply(Promise.all(commands))
}

/** Those that have not expired, sorted by id. Rejects with a ServiceError. */
export async function readReports<Report>(
  redis: RedisClient,
  { idOf, indexKey, keyOf, parse }: ReportKind<Report>,
): Promise<Report[]> {
  const ids = await replyOfOwner(redis, indexKey, redis.zrevrange(indexKey, 0, MAX_REPORTS - 1))
  if (ids.length === 0) return []
  // Their keys are in the slot of the index.
  const texts = await replyOfOwner(redis, indexKey, redis.mget(ids.map(keyOf)))
  const reports = texts.flatMap((text) => (text === null ? [] : (parse(text) ?? [])))
  return reports.toSorted((a, b) => (idOf(a) < idOf(b) ? -1 : 1))
}
