import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { linesAt, valueOf } from '../support/processes/worker-facts.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { sendCompressionBomb } from '../support/records/compression-bomb.ts'
import { readTopic } from '../support/records/read-topic.ts'
import { invalid, update, type TaggedRecord } from '../support/records/tagged-records.ts'

const MIB = 1024 * 1024
/** Less than a container usually has. The image runs with a heap of 256 MiB. */
const MOST_RESIDENT_BYTES = 450 * MIB

/** Samples the memory of the worker. @returns a function that stops it and returns the peak. */
function watchMemory(worker: WorkerProcess) {
  let peak = 0
  const stopping = new AbortController()
  const running = (async () => {
    while (!stopping.signal.aborted) {
      peak = Math.max(peak, await residentBytes(worker).catch(() => 0))
      await sleep(20)
    }
  })()
  return async () => {
    stopping.abort()
    await running
    return peak
  }
}

async function residentBytes(worker: WorkerProcess): Promise<number> {
  const { body } = await worker.get('/metrics')
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(body)?.[1])
}

describe('a worker', { timeout: 240_000 }, () => {
  test.for([60, 300])(
    'survives batches of a few KB that decompress to %i MiB, and reads what follows them',
    async (size, context) => {
      const report = reportFault(context, 'P1')
      const scenario = await openWorkerScenario(context, { partitions: 3 })
      const { admin, errorTopic, kafka, oracle, redis, topic } = scenario
      for (const partition of [0, 1, 2]) {
        await sendCompressionBomb(kafka, { topic, partition, valueBytes: size * MIB })
        await scenario.send([{ ...update({ deviceId: `after-${partition}` }), partition }])
      }
      const worker = await scenario.startWorker()
      const peakOf = watchMemory(worker)
      await patiently(async () => expect(await redis.scard('devices')).toBe(3))
      await patiently(async () =>
        expect([...(await oracle.committed())].toSorted()).toEqual([0, 1, 2].map((at) => [at, 2])),
      )
      await worker.ready(90_000)
      const deadLetters = await readTopic(kafka, admin, errorTopic)
      const reasons = new Set(deadLetters.map(({ headers }) => String(headers['reason'])))
      expect(deadLetters).toHaveLength(3)
      const peak = await peakOf()
      report.saw(
        `3 bombs of ${size} MiB: ${[...reasons].join()}, at most ${Math.round(peak / MIB)} MiB of memory`,
      )
      expect(peak).toBeLessThan(MOST_RESIDENT_BYTES)
      expect(await worker.stop()).toBe(0)
    },
  )

  test('reads a record with 10,000 headers, and writes the dead letter of another one', async (context) => {
    const report = reportFault(context, 'P1')
    const scenario = await openWorkerScenario(context, { partitions: 1 })
    const { kafka, oracle, topic } = scenario
    const headers = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`header-${i}`, 'v']))
    const producer = kafka.producer()
    await producer.connect()
    const records: TaggedRecord[] = [
      update({ deviceId: 'a' }),
      invalid('not_json', '{'),
      update({ deviceId: 'b' }),
    ]
    for (const [offset, record] of records.entries()) {
      const { expectation, timestampMs, value } = record
      const key = Buffer.from(String(record.key))
      await producer.send({
        topic,
        messages: [{ partition: 0, key, value, timestamp: String(timestampMs), headers }],
      })
      oracle.acknowledged([{ life: 0, partition: 0, offset, key, value, timestampMs, expectation }])
    }
    await producer.disconnect()
    const worker = await scenario.startWorker()
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    const slowest = await valueOf(worker, 'batch_duration_seconds_sum')
    report.saw(`3 records of 10,000 headers: applied, dead-lettered; ${slowest?.toFixed(2)} s in chunks`)
    expect(await worker.stop()).toBe(0)
  })

  test('reads past a record of 6 MB, larger than a fetch, which becomes a dead letter', async (context) => {
    const report = reportFault(context, 'P1')
    const scenario = await openWorkerScenario(context, { partitions: 1 })
    const { admin, oracle, topic } = scenario
    await admin.alterConfigs({
      validateOnly: false,
      resources: [
        { type: 2, name: topic, configEntries: [{ name: 'max.message.bytes', value: String(8 * MIB) }] },
      ],
    })
    const large = Buffer.from(
      JSON.stringify({ device_id: 'large', metadata: { datatype_name: 'x'.repeat(6_000_000) } }),
    )
    await patiently(() =>
      scenario.send(
        [update({ deviceId: 'a' }), invalid('value_too_large', large), update({ deviceId: 'b' })],
        'none',
      ),
    )
    const worker = await scenario.startWorker()
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    report.saw('a record of 6 MB: a dead letter with its first 256 KiB')
    expect(await worker.stop()).toBe(0)
  })

  test('that receives nothing but invalid records writes every dead letter, and few log lines', async (context) => {
    const report = reportFault(context, 'P2')
    const scenario = await openWorkerScenario(context)
    const { oracle } = scenario
    const worker = await scenario.startWorker()
    await worker.ready(90_000)
    const load = scenario.startLoad({ seed: 1, devices: 100, perSecond: 500, invalidPercent: 100 })
    await patiently(async () => expect(await worker.consumed()).toBeGreaterThan(5_000), {
      timeoutMs: 120_000,
    })
    expect(await worker.get('/readyz')).toMatchObject({ status: 200 })
    await load.stop()
    const recovered = report.startRecovery()
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    recovered()
    const lines = linesAt(worker, ['info', 'warn', 'error'])
    expect(lines).toBeLessThan(200)
    report.saw(
      `${oracle.produced} invalid records: as many dead letters, ${lines} log lines, ready throughout`,
    )
    await scenario.send([update({ deviceId: 'valid' })])
    await oracle.assertCaughtUp({ consumed: scenario.consumed })
    expect(await worker.stop()).toBe(0)
  })
})
