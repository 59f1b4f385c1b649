import { expect, test } from 'vitest'
import { createDeviceFleet } from '../simulator/device-fleet.ts'
import type { PythonDict } from '../simulator/python-text.ts'
import { patiently } from '../support/eventually.ts'
import { runProgram } from '../support/processes/run-program.ts'
import { fromFleet, tombstone, update, type TaggedRecord } from '../support/records/tagged-records.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'

const RECORDS = 24_000
const FLEET = { seed: 20_250_608, devices: 500, awkwardPercent: 8, invalidPercent: 2, tombstonePercent: 3 }
const DAY_MS = 86_400_000

const RESULTS = [
  'applied',
  'unchanged',
  'stale',
  'superseded',
  'expired',
  'tombstone',
  'skipped',
  'dead_lettered',
]
const METRICS = {
  cache_service_messages_total: 'counter',
  cache_service_message_age_seconds: 'histogram',
  cache_service_batch_duration_seconds: 'histogram',
  cache_service_batch_messages: 'histogram',
  cache_service_last_applied_timestamp_seconds: 'gauge',
  cache_service_clock_skew_total: 'counter',
  cache_service_suspicious_times_total: 'counter',
  cache_service_dead_letters_total: 'counter',
  cache_service_checksum_failures_total: 'counter',
  cache_service_decode_errors_total: 'counter',
  cache_service_offset_out_of_range_total: 'counter',
  cache_service_rebalances_total: 'counter',
  cache_service_assigned_partitions: 'gauge',
  cache_service_consumer_restarts_total: 'counter',
  cache_service_consumer_state: 'gauge',
  cache_service_cache_loss_total: 'counter',
  cache_service_rebuild_in_progress: 'gauge',
  cache_service_sweeper_removed_total: 'counter',
  cache_service_sweeper_last_success_timestamp_seconds: 'gauge',
  cache_service_devices: 'gauge',
  cache_service_consumer_lag: 'gauge',
  cache_service_consumer_lag_seconds: 'gauge',
  cache_service_lag_last_success_timestamp_seconds: 'gauge',
  cache_service_redis_up: 'gauge',
  cache_service_redis_write_duration_seconds: 'histogram',
  cache_service_redis_errors_total: 'counter',
  cache_service_redis_reconnects_total: 'counter',
  cache_service_build_info: 'gauge',
  process_cpu_seconds_total: 'counter',
  process_resident_memory_bytes: 'gauge',
  nodejs_eventloop_lag_seconds: 'gauge',
}

test.concurrent(
  'a worker applies tens of thousands of records as the oracle expects, and metrics, probes and log agree',
  async (context) => {
    const scenario = await openWorkerScenario(context)
    const { oracle } = scenario
    const now = Date.now()
    const fleet = createDeviceFleet(FLEET)
    const extraordinary = [
      update({ deviceId: 'from the future', timestampMs: now, eventMicros: (now + DAY_MS) * 1000 }),
      update({ deviceId: 'expired', timestampMs: now - 2 * DAY_MS }),
      update({ deviceId: 'Ω'.repeat(128), timestampMs: now }),
      ...['b', 'c', 'a'].map((datatype_name) =>
        update({ deviceId: 'three at a time', timestampMs: now, metadata: { datatype_name } }),
      ),
    ]
    await scenario.send(fleet.records(RECORDS / 2, now).map(fromFleet))
    await scenario.send(extraordinary)
    const worker = await scenario.startWorker()

    const atStart = await patiently(() => worker.metric('messages_total'))
    expect(atStart.map(({ labels }) => labels)).toEqual(
      RESULTS.map((result) => ({ topic: scenario.topic, result })),
    )
    await worker.ready()
    await scenario.send(fleet.records(RECORDS / 2, Date.now()).map(fromFleet))
    await oracle.assertCaughtUp({ consumed: scenario.consumed })

    const results = new Map(
      (await worker.metric('messages_total')).map(({ labels, value }) => [labels['result'], value]),
    )
    const produced = (outcome: string) =>
      oracle.records.filter(({ expectation }) => expectation.outcome === outcome).length
    expect(Object.fromEntries(results)).toMatchObject({
      expired: 1,
      tombstone: produced('tombstone'),
      skipped: produced('skipped'),
      dead_lettered: produced('rejected'),
    })
    expect(results.get('applied')).toBeGreaterThan(500)
    const [clockSkew] = await worker.metric('clock_skew_total')
    expect(clockSkew?.value).toBe(1)

    expect(await worker.get('/livez')).toEqual({ status: 200, body: '{"alive":true,"stuck":[]}' })
    expect(await worker.get('/readyz')).toEqual({ status: 200, body: '{"ready":true,"reasons":[]}' })
    const response = await fetch(`${worker.url}/metrics`)
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const exposition = await response.text()
    const types = exposition.matchAll(/^# TYPE (\w+) (\w+)$/gm)
    expect(Object.fromEntries([...types].map(([, name, type]) => [name, type]))).toMatchObject(METRICS)
    expect(fleet.deviceIds.filter((deviceId) => exposition.includes(deviceId))).toEqual([])
    const devices = await scenario.redis.scard('devices')
    await patiently(async () => {
      const lag = await worker.metric('consumer_lag')
      expect(lag.map(({ labels, value }) => [labels, value])).toEqual(
        [0, 1, 2].map((partition) => [
          { consumergroup: scenario.group, topic: scenario.topic, partition: String(partition) },
          0,
        ]),
      )
      expect((await worker.metric('consumer_lag_seconds')).map(({ value }) => value)).toEqual([0, 0, 0])
      expect(await worker.metric('assigned_partitions')).toMatchObject([{ value: 3 }])
      expect(await worker.metric('devices')).toMatchObject([{ value: devices }])
      expect(await worker.metric('redis_up')).toMatchObject([{ value: 1 }])
      expect(await worker.metric('rebuild_in_progress')).toMatchObject([{ value: 0 }])
      const states = await worker.metric('consumer_state')
      expect(states.filter(({ value }) => value === 1).map(({ labels }) => labels)).toEqual([
        { state: 'consuming' },
      ])
      const summaries = worker.logLines().filter(({ msg }) => msg === 'summary')
      expect(summaries.reduce((sum, { records }) => sum + Number(records), 0)).toBe(oracle.produced)
      expect(summaries.at(-1)).toMatchObject({ state: 'consuming', lag: 0, devices })
    })

    expect(await worker.stop()).toBe(0)
    const lines = worker.logLines()
    // What is flushed at the exit may overtake lines that are being written.
    expect(lines.slice(-5)).toContainEqual(expect.objectContaining({ level: 'info', msg: 'stopped' }))
    expect(lines.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([])
    expect(worker.errors).toBe('')
  },
)

test.concurrent(
  'a worker compares records that arrive one at a time with the state in Redis',
  async (context) => {
    const scenario = await openWorkerScenario(context)
    const { oracle } = scenario
    const worker = await scenario.startWorker()
    const now = Date.now() - 3_600_000
    const one = (eventMs: number, recordMs: number, metadata: PythonDict) =>
      update({ deviceId: 'one', eventMicros: eventMs * 1000, timestampMs: recordMs, metadata })
    const steps: [result: string, record: TaggedRecord][] = [
      ['applied', one(now, now, { datatype_name: 'b', colour: 'red' })],
      ['stale', one(now - 1, now + 5_000, { datatype_name: 'z' })], // lives longer for it
      ['applied', one(now + 1, now + 2_000, { datatype_name: 'b', size: 1 })], // and the expiry is not shortened
      ['stale', one(now + 1, now, { datatype_name: 'a', size: 1 })],
      ['applied', one(now + 1, now, { datatype_name: 'c' })],
      ['unchanged', one(now + 1, now + 9_000, { datatype_name: 'c' })],
      ['tombstone', tombstone('one', now - 600_000)], // too old to delete it
      ['tombstone', tombstone('one', now)],
      ['applied', one(now - 9, now - 9, { datatype_name: 'again' })],
      ['tombstone', tombstone('one', now)],
      ['tombstone', tombstone('one', now)],
      ['applied', one(now, now, { datatype_name: 'at last' })],
    ]
    const counts: Record<string, number> = {}
    for (const [result, record] of steps) {
      await scenario.send([record])
      await oracle.assertCaughtUp({ consumed: scenario.consumed })
      counts[result] = (counts[result] ?? 0) + 1
      const found = (await worker.metric('messages_total')).filter(({ value }) => value > 0)
      expect(Object.fromEntries(found.map(({ labels, value }) => [labels['result'], value]))).toEqual(counts)
    }
    expect(await worker.stop()).toBe(0)
  },
)

test.concurrent('the exit code of healthcheck tells whether the worker is ready', async (context) => {
  const scenario = await openWorkerScenario(context, { topic: false })
  const worker = await scenario.startWorker()
  await patiently(() => worker.get('/livez'))
  const port = new URL(worker.url).port
  const healthcheck = (...args: string[]) => runProgram(['healthcheck', ...args], { METRICS_PORT: port })
  expect(await healthcheck()).toMatchObject({ code: 1, output: expect.stringContaining('"ready":false') })
  expect(await healthcheck('--live')).toMatchObject({ code: 0 })
  await scenario.createTopic()
  await worker.ready(60_000)
  expect(await healthcheck()).toMatchObject({ code: 0, output: '{"ready":true,"reasons":[]}\n' })
  expect(await worker.stop()).toBe(0)
  const noAnswer = {
    code: 1,
    output: '',
    errors: expect.stringContaining(`no response from 127.0.0.1:${port}`),
  }
  expect(await healthcheck()).toEqual(noAnswer)
  expect(await healthcheck('--live')).toEqual(noAnswer)
})
