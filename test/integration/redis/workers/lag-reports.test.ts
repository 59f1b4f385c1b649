import { expect, inject, onTestFinished, test } from 'vitest'
import { createLagReporter, createLagReports } from '../../../../cache-service/redis/workers/lag-reports.ts'
import { LAG_GROUPS_KEY, lagReportKey } from '../../../../shared/contract/keys.ts'
import { lagReport } from '../../../support/records/lag-report.ts'
import { useRedisDatabase } from '../../../support/test-scope.ts'

const HOUR_MS = 3_600_000

test('lag reports are read as they were written, by group, until they expire; others are skipped', async () => {
  const { client, release } = await useRedisDatabase(inject('redisUrl'))
  onTestFinished(release)
  let nowMs = Date.now()
  const reporter = createLagReporter(client, 30_000, () => nowMs)
  const reports = createLagReports(client)
  expect(await reports.read()).toEqual([])
  const [a, b] = ['a', 'b'].map((group) => lagReport({ group }))
  for (const report of [b, a]) if (report !== undefined) await reporter.write(report)
  expect(await reports.read()).toEqual([a, b])
  const ttlMs = await client.pttl(lagReportKey('a'))
  expect(ttlMs).toBeGreaterThan(20_000)
  expect(ttlMs).toBeLessThanOrEqual(30_000)
  await client.set(lagReportKey('a'), '{"group":"a"}')
  expect(await reports.read()).toEqual([b])
  nowMs += 2 * HOUR_MS
  await reporter.write(lagReport({ group: 'c' }))
  expect(await client.zrange(LAG_GROUPS_KEY, '0', '-1')).toEqual(['c'])
})
