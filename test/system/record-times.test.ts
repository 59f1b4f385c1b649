import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { runCliHere } from '../support/processes/run-cli-here.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'
import { createTopic } from '../support/test-scope.ts'

const HOUR_MS = 3_600_000

test('records that expire because their times are in seconds, and event times decades before their records, are reported', async (context) => {
  const report = reportFault(context, 'P6')
  const scenario = await openWorkerScenario(context, { topic: false })
  const brokers = (scenario.env['KAFKA_BOOTSTRAP_SERVERS'] ?? '').split(',')
  await createTopic(brokers, scenario.topic, { partitions: 3, config: { 'retention.ms': '-1' } })
  const nowMs = Date.now()
  const records = Array.from({ length: 100 }, (_, i) =>
    update({ deviceId: `s-${i}`, timestampMs: Math.floor(nowMs / 1000) + i, eventMicros: nowMs * 1000 }),
  )
  const backlog = update({ deviceId: 'old', timestampMs: nowMs - 48 * HOUR_MS })
  const unset = update({ deviceId: 'unset', timestampMs: nowMs, eventMicros: 1_000_000 })
  await scenario.send([backlog, unset, ...records])
  const worker = await scenario.startWorker()
  await worker.ready()
  await patiently(async () => {
    const warnings = worker.logLines().filter(({ kind, level }) => kind !== undefined && level === 'warn')
    expect(warnings).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          kind: 'record_time_in_seconds',
          records: 100,
          oldest: expect.stringMatching(/^1970-01-2/),
          msg: expect.stringContaining('correct the producer'),
        }),
        expect.objectContaining({ kind: 'expired', records: 1, msg: expect.stringContaining('backlog') }),
        expect.objectContaining({ kind: 'event_time_late', records: 1 }),
      ]),
    )
    expect(warnings).toHaveLength(3)
  })
  report.saw('record times in seconds, expired ones and event times decades early: 1 warning for each kind')
  const kinds = await worker.metric('suspicious_times_total')
  expect(Object.fromEntries(kinds.map(({ labels, value }) => [labels['kind'], value]))).toEqual({
    record_time_in_seconds: 100,
    record_time_before_2000: 0,
    expired: 1,
    event_time_late: 1,
    event_time_early: 0,
  })
  const doctor = await runCliHere(['doctor'], { ...scenario.env, METRICS_PORT: '0' })
  expect(doctor.output).toMatch(/^failed +kafka +record times of .*: they are in seconds/m)
  expect(doctor.code).toBe(1)
})
