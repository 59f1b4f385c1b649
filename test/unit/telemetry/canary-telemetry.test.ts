import { expect, test } from 'vitest'
import { createCanaryTelemetry } from '../../../cache-service/telemetry/canary-telemetry.ts'
import { createProcessMetrics } from '../../../cache-service/telemetry/process-metrics.ts'
import { kafkaError } from '../../../shared/errors.ts'
import { createCollectedLog } from '../../support/collected-log.ts'
import { parseMetrics } from '../../support/processes/parse-metrics.ts'

function setUp() {
  const { log, take } = createCollectedLog()
  const metrics = createProcessMetrics('1', '1', 'lag-monitor')
  const telemetry = createCanaryTelemetry(log, metrics, { now: () => 1_000_000, monotonicNow: () => 0 })
  const samples = async (name: string) =>
    parseMetrics(await metrics.registry.metrics())
      .filter((sample) => sample.name === `cache_service_canary_${name}`)
      .map(({ labels, value }) => [...Object.values(labels), value].join(' '))
  return { telemetry, take, samples }
}

test('the results of canary records start at 0, and the time of the last success is absent until there is one', async () => {
  const { samples, telemetry } = setUp()
  expect(await samples('records_total')).toEqual([
    ...['arrived 0', 'not_acknowledged 0', 'not_stored 0', 'not_served 0'],
  ])
  expect(await samples('last_success_timestamp_seconds')).toEqual([])
  telemetry.arrived(0)
  telemetry.failed('served', 0, new Error('no answer'))
  expect(await samples('records_total')).toEqual([
    ...['arrived 1', 'not_acknowledged 0', 'not_stored 0', 'not_served 1'],
  ])
  expect(await samples('last_success_timestamp_seconds')).toEqual(['1000'])
})

test('each partition in which canary records do not arrive is logged once, and again when they do', () => {
  const { take, telemetry } = setUp()
  telemetry.arrived(0)
  telemetry.failed('stored', 1, new Error('not within 30 s'))
  telemetry.failed('stored', 1, new Error('not within 30 s'))
  telemetry.arrived(0)
  expect(take()).toMatchObject([
    {
      level: 'warn',
      stage: 'stored',
      partition: 1,
      error: 'not within 30 s',
      msg: 'a canary record did not arrive',
    },
  ])
  telemetry.failed('acknowledged', undefined, kafkaError(new Error('Connection error')))
  telemetry.failed('acknowledged', undefined, kafkaError(new Error('Connection error')))
  expect(take()).toMatchObject([{ level: 'warn', stage: 'acknowledged' }])
  telemetry.arrived(1)
  telemetry.arrived(1)
  expect(take()).toMatchObject([{ level: 'info', partition: 1, msg: 'canary records arrive again' }])
})
