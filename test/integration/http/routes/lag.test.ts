import { expect, inject, onTestFinished, test } from 'vitest'
import { describedApi } from '../../../support/docs/described-api.ts'
import { startApi } from '../../../support/processes/start-api.ts'
import { lagReport, partitionLag } from '../../../support/records/lag-report.ts'
import { useRedisDatabase } from '../../../support/test-scope.ts'
import { lastingLagReporter } from '../../../support/records/lasting-reporter.ts'

test('the lag of all groups is what the lag monitors report, and empty if there is none', async () => {
  const { client, release, url } = await useRedisDatabase(inject('redisUrl'))
  onTestFinished(release)
  const api = await startApi({ REDIS_URL: url })
  onTestFinished(() => api.stop())
  const { ask } = await describedApi(api.url)
  expect(await ask('/api/lag')).toMatchObject({ status: 200, json: { groups: [] } })

  const reporter = lastingLagReporter(client)
  const unknown = { records: null, seconds: null, seconds_until_deleted: null, owner: null }
  const partitions = [partitionLag(), partitionLag({ partition: 1, state: 'no_leader', ...unknown })]
  const reports = [
    lagReport({ group: 'a', topics: [{ topic: 't', problem: null, partitions }] }),
    lagReport({ group: 'b', problem: 'not authorized', group_state: null, topics: [] }),
  ]
  for (const report of reports) await reporter.write(report)
  expect(await ask('/api/lag')).toMatchObject({ status: 200, json: { groups: reports } })
})
