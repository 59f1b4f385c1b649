import { describe, expect, test } from 'vitest'
import type { PartitionLagReport } from '../../../cache-service/core/workers/lag-report.ts'
import { createLagTelemetry } from '../../../cache-service/telemetry/lag-telemetry.ts'
import { createProcessMetrics } from '../../../cache-service/telemetry/process-metrics.ts'
import { kafkaError } from '../../../shared/errors.ts'
import { createCollectedLog } from '../../support/collected-log.ts'
import { parseMetrics } from '../../support/processes/parse-metrics.ts'
import { lagReport, partitionLag } from '../../support/records/lag-report.ts'

function setUp() {
  const { log, take } = createCollectedLog()
  const metrics = createProcessMetrics('1', '1', 'lag-monitor')
  const telemetry = createLagTelemetry(
    log,
    metrics,
    () => 1_000_000,
    () => 0,
  )
  const samples = async (name: string) =>
    parseMetrics(await metrics.registry.metrics())
      .filter((sample) => sample.name === `cache_service_${name}`)
      .map(({ labels, value }) => [...Object.values(labels), value].join(' '))
  return { telemetry, take, samples }
}

const reportOf = (...partitions: PartitionLagReport[]) =>
  lagReport({ group: 'g', topics: [{ topic: 't', problem: null, partitions }] })

describe('the telemetry of the lag monitor', () => {
  test('has no series before anything is known', async () => {
    const { samples } = setUp()
    for (const name of ['group_lag', 'group_members', 'group_partitions'])
      expect(await samples(name)).toEqual([])
  })

  test('shows what was measured, and leaves out what is unknown', async () => {
    const { samples, telemetry } = setUp()
    const unknown = { records: null, seconds: null, seconds_until_deleted: null }
    telemetry.measured([
      reportOf(
        partitionLag({ deleted_unread: 2 }),
        partitionLag({ partition: 1, state: 'no_leader', ...unknown }),
      ),
    ])
    expect(await samples('group_lag')).toEqual(['g t 0 3'])
    expect(await samples('group_lag_seconds')).toEqual(['g t 0 1.5'])
    expect(await samples('group_retention_seconds')).toEqual(['g t 0 3600'])
    expect(await samples('group_deleted_unread_records')).toEqual(['g t 0 2'])
    expect(await samples('group_members')).toEqual(['g 1'])
    expect(await samples('group_lag_last_success_timestamp_seconds')).toEqual(['g 1000'])
    expect((await samples('group_partitions')).toSorted()).toEqual([
      'g t growing 0',
      'g t no_consumer 0',
      'g t no_leader 1',
      'g t ok 1',
      'g t shared 0',
      'g t standing 0',
      'g t unknown 0',
    ])
  })

  test('removes the series of a group that can no longer be measured, except when it last was', async () => {
    const { samples, telemetry } = setUp()
    telemetry.measured([reportOf(partitionLag())])
    telemetry.measured([])
    for (const name of ['group_lag', 'group_members', 'group_partitions'])
      expect(await samples(name)).toEqual([])
    expect(await samples('group_lag_last_success_timestamp_seconds')).toEqual(['g 1000'])
  })

  test('shows whether the last measurement of each group succeeded', async () => {
    const { samples, telemetry } = setUp()
    telemetry.unmeasured('h', kafkaError(new Error('Connection error')))
    telemetry.measured([reportOf(partitionLag())])
    expect(await samples('group_lag_measured')).toEqual(['h 0', 'g 1'])
    telemetry.measured([lagReport({ group: 'h', problem: null })])
    expect(await samples('group_lag_measured')).toEqual(['h 1', 'g 1'])
  })

  test('logs a state when it begins, changes and ends, and not each time it is measured', () => {
    const { take, telemetry } = setUp()
    const stands = partitionLag({ partition: 1, state: 'standing' })
    const measured = (...partitions: PartitionLagReport[]) => {
      telemetry.measured([reportOf(...partitions)])
      return take()
    }
    expect(measured(partitionLag(), partitionLag({ partition: 1, state: 'unknown' }))).toEqual([])
    expect(measured(partitionLag(), stands)).toMatchObject([
      { level: 'warn', group: 'g', topic: 't', partitions: { standing: [1] } },
    ])
    expect(measured(partitionLag(), stands)).toEqual([])
    expect(measured(partitionLag({ state: 'growing' }), stands)).toMatchObject([
      { level: 'warn', partitions: { growing: [0], standing: [1] } },
    ])
    expect(measured(partitionLag())).toMatchObject([
      { level: 'info', msg: 'the group reads the topic again' },
    ])
    expect(measured(partitionLag())).toEqual([])
  })

  test('logs a group or topic that cannot be read once, and names the fix', () => {
    const { take, telemetry } = setUp()
    const refused = kafkaError(
      Object.assign(new Error('Not authorized'), { type: 'GROUP_AUTHORIZATION_FAILED' }),
    )
    for (let turn = 0; turn < 3; turn++) telemetry.unmeasured('g', refused)
    expect(take()).toMatchObject([{ level: 'error', group: 'g' }])
    telemetry.measured([lagReport({ group: 'g', problem: null })])
    expect(take()).toMatchObject([{ level: 'info', msg: 'the lag of the group is known again' }])
    const missing = { topic: 't', problem: 'the topic t does not exist', partitions: [] }
    for (let turn = 0; turn < 3; turn++) telemetry.measured([lagReport({ group: 'g', topics: [missing] })])
    expect(take()).toMatchObject([{ level: 'warn', topic: 't', problem: missing.problem }])
  })
})
