import { expect, test } from 'vitest'
import { judgeRecordTimes } from '../../../cache-service/core/record-time-finding.ts'
import { DAY_MS, NOW_MS } from '../../support/records/record-builder.ts'

test.each<[what: string, newestMs: readonly number[], ttlMs: number, verdict: string, detail: string]>([
  ['no record', [], DAY_MS, 'skipped', 'no record'],
  ['records without a time', [-1, 0], DAY_MS, 'ok', 'current time'],
  ['current records', [NOW_MS - 5, NOW_MS - 2 * DAY_MS], DAY_MS, 'ok', '2025-06-08T18:27'],
  ['seconds', [NOW_MS, Math.floor(NOW_MS / 1000)], DAY_MS, 'failed', 'write none'],
  ['seconds, without an expiry', [Math.floor(NOW_MS / 1000)], 0, 'failed', 'in seconds'],
  ['a clock that is not set', [12_345], DAY_MS, 'failed', 'before 2000 (1970-01-01T00:00:12)'],
  ['microseconds', [NOW_MS * 1000], DAY_MS, 'warning', 'in the future'],
  ['nanoseconds', [NOW_MS * 1_000_000], DAY_MS, 'warning', 'in the future'],
  ['only old records', [NOW_MS - DAY_MS], DAY_MS, 'warning', 'REDIS_METADATA_TTL (1 day)'],
  ['only old records, without an expiry', [NOW_MS - 9 * DAY_MS], 0, 'ok', 'newest record'],
])('the doctor judges a topic with %s', (_what, newestMs, ttlMs, verdict, detail) => {
  const finding = judgeRecordTimes('t', newestMs, NOW_MS, ttlMs)
  expect(finding).toMatchObject({ verdict, detail: expect.stringContaining(detail) })
  expect(finding.fix !== undefined).toBe(verdict === 'warning' || verdict === 'failed')
})
