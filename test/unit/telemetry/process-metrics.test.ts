import { expect, test } from 'vitest'
import { createProcessMetrics } from '../../../cache-service/telemetry/process-metrics.ts'
import { parseMetrics } from '../../support/processes/parse-metrics.ts'

test('redis_up is set by the first of several roles in a process, and absent until that role knows it', async () => {
  const metrics = createProcessMetrics('1.2.3', 'v24', 'all')
  const redisUp = async () =>
    parseMetrics(await metrics.registry.metrics()).find(({ name }) => name === 'cache_service_redis_up')
      ?.value
  const worker = metrics.claimRedisUp()
  const api = metrics.claimRedisUp()
  api(true)
  expect(await redisUp()).toBeUndefined()
  worker(false)
  api(true)
  expect(await redisUp()).toBe(0)
  worker(true)
  api(false)
  expect(await redisUp()).toBe(1)
})
