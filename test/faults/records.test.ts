import { describe, expect, test } from 'vitest'
import { requestRebuild } from '../../cache-service/redis/workers/group-progress.ts'
import { createSeededRandom, type SeededRandom } from '../simulator/seeded-random.ts'
import type { PythonValue } from '../simulator/python-text.ts'
import { patiently } from '../support/eventually.ts'
import { reportFault } from '../support/faults/fault-test.ts'
import { openWorkerScenario, type WorkerScenario } from '../support/processes/worker-scenario.ts'
import { valueOf } from '../support/processes/worker-facts.ts'
import type { WorkerProcess } from '../support/processes/worker-process.ts'
import { tombstone, update, type TaggedRecord } from '../support/records/tagged-records.ts'
import { readEverything } from '../support/servers/redis-connection.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Chunks of a few records, so that most meetings of two records are in Redis and not within a chunk. */
const SMALL_CHUNKS = { CHUNK_MAX_RECORDS: '7' }

const manyRecords = (count: number, make: (at: number) => TaggedRecord) =>
  Array.from({ length: count }, (_, at) => make(at))

function shuffled<Item>(items: readonly Item[], random: SeededRandom): Item[] {
  const rest = [...items]
  return items.map(() => rest.splice(random.below(rest.length), 1)).flat()
}

const counted = (worker: WorkerProcess, result: string) => valueOf(worker, 'messages_total', { result })

/** Sends the records while a worker runs, and others before; compares at the end. */
async function apply(scenario: WorkerScenario, records: readonly TaggedRecord[]): Promise<WorkerProcess> {
  await scenario.send(records.slice(0, records.length / 2))
  const worker = await scenario.startWorker()
  await worker.ready(60_000)
  await scenario.send(records.slice(records.length / 2))
  await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })
  return worker
}

/** The device hashes with their expiries, and the index. */
async function devicesIn({ redis }: WorkerScenario): Promise<Record<string, unknown>> {
  const everything = Object.entries(await readEverything(redis))
  return Object.fromEntries(everything.filter(([key]) => !key.startsWith('cache_service:')))
}

describe('records', () => {
  test.for([1, 2])(
    'that are tombstones and updates in any order leave what the model says, and nothing after a last tombstone (seed %i)',
    async (seed, context) => {
      const report = reportFault(context, 'P4')
      const scenario = await openWorkerScenario(context, { env: SMALL_CHUNKS })
      const random = createSeededRandom(seed)
      const now = Date.now()
      const records = manyRecords(6_000, (at) => {
        const deviceId = `d-${random.below(40)}`
        const timestampMs = now - random.below(2) * random.below(HOUR_MS)
        if (random.percent(30)) return tombstone(deviceId, timestampMs)
        const eventMicros = (timestampMs - random.below(2) * random.below(2 * HOUR_MS)) * 1000
        return update({ deviceId, timestampMs, eventMicros, metadata: { datatype_name: `${at % 5}` } })
      })
      const worker = await apply(scenario, records)
      const tombstones = await counted(worker, 'tombstone')
      const after = await scenario.redis.scard('devices')
      expect(after).toBeGreaterThan(0)
      await scenario.send(Array.from({ length: 40 }, (_, i) => tombstone(`d-${i}`)))
      await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })
      expect(await scenario.redis.keys('device:*')).toEqual([])
      expect(await scenario.redis.exists('devices')).toBe(0)
      report.saw(
        `seed ${seed}: 6,000 records, ${tombstones} tombstones, ${after} devices left; none after the last tombstones`,
      )
      expect(await worker.stop()).toBe(0)
    },
  )

  test('that repeat, are shuffled and have equal event times leave what the model says, also when all are read again', async (context) => {
    const report = reportFault(context, 'P5')
    const scenario = await openWorkerScenario(context, { env: SMALL_CHUNKS })
    const random = createSeededRandom(5)
    const now = Date.now()
    const distinct = manyRecords(2_500, () =>
      update({
        deviceId: `d-${random.below(30)}`,
        timestampMs: now - random.below(10) * 1000,
        eventMicros: (now - HOUR_MS - random.below(4)) * 1000,
        metadata: { datatype_name: `${random.below(50)}`, ...(random.percent(50) && { colour: 'red' }) },
      }),
    )
    const repeated = distinct.flatMap((record) => manyRecords(1 + random.below(3), () => record))
    const worker = await apply(scenario, shuffled(repeated, random))
    const [applied, unchanged, stale] = await Promise.all(
      ['applied', 'unchanged', 'stale'].map((result) => counted(worker, result)),
    )
    const before = await devicesIn(scenario)
    await requestRebuild(scenario.redis, scenario.group, scenario.topic, [0, 1, 2])
    await patiently(async () => expect(await worker.consumed()).toBe(2 * repeated.length), {
      timeoutMs: 120_000,
    })
    await worker.ready(60_000)
    expect(await devicesIn(scenario)).toEqual(before)
    report.saw(
      `${repeated.length} records: ${applied} applied, ${unchanged} unchanged, ${stale} stale; all read again: no hash and no expiry changed`,
    )
    expect(await worker.stop()).toBe(0)
  })

  test('of clocks that are wrong leave what the model says, and those of the future are counted', async (context) => {
    const report = reportFault(context, 'P6')
    const scenario = await openWorkerScenario(context, { env: SMALL_CHUNKS })
    const random = createSeededRandom(6)
    const now = Date.now()
    const skews = [0, -1, -1_000, -HOUR_MS, -3 * DAY_MS, 1_000, 299_000, 301_000, HOUR_MS, 400 * DAY_MS]
    let ahead = 0
    const records = manyRecords(4_000, (at) => {
      const skewMs = random.pick(skews)
      if (skewMs > 300_000) ahead++
      const timestampMs = now - random.below(1_000_000)
      const eventMicros = (timestampMs + skewMs) * 1000
      return update({
        deviceId: `d-${random.below(40)}`,
        timestampMs,
        eventMicros,
        metadata: { datatype_id: at },
      })
    })
    const worker = await apply(scenario, records)
    expect(await valueOf(worker, 'clock_skew_total')).toBe(ahead)
    const lines = worker.logLines().filter(({ level }) => level === 'warn').length
    expect(lines).toBeLessThan(50)
    report.saw(
      `from 3 days early to 400 days ahead: ${ahead} of 4,000 limited and counted, ${lines} warnings`,
    )
    expect(await worker.stop()).toBe(0)
  })

  test('of one device that are most of all leave what the model says, and the other devices are written with them', async (context) => {
    const report = reportFault(context, 'P7')
    const scenario = await openWorkerScenario(context)
    const random = createSeededRandom(7)
    const records = manyRecords(20_000, (at) =>
      update({
        deviceId: random.percent(95) ? 'hot' : `d-${random.below(300)}`,
        eventMicros: Date.now() * 1000 - random.below(1_000_000),
        metadata: { datatype_id: at },
      }),
    )
    const worker = await apply(scenario, records)
    const [applied, superseded] = [await counted(worker, 'applied'), await counted(worker, 'superseded')]
    expect(superseded).toBeGreaterThan(10_000)

    // One record of another device of the same partition, behind 5,000 of the hot one.
    await scenario.send(
      manyRecords(5_000, (at) => update({ deviceId: 'hot', metadata: { datatype_id: at } })),
    )
    const sentAt = performance.now()
    const partition = scenario.oracle.records.at(-1)?.partition ?? 0
    await scenario.send([{ ...update({ deviceId: 'cold' }), partition }])
    await patiently(async () => expect(await scenario.redis.exists('device:cold:metadata')).toBe(1), {
      everyMs: 5,
    })
    const lateMs = Math.round(performance.now() - sentAt)
    await scenario.oracle.assertCaughtUp({ consumed: scenario.consumed })
    report.saw(
      `19 of 20 records: ${applied} written, ${superseded} superseded in their chunks; another device behind 5,000 of them after ${lateMs} ms`,
    )
    expect(await worker.stop()).toBe(0)
  })

  test('that gain and lose fields leave exactly those of the last one', async (context) => {
    const report = reportFault(context, 'P8')
    const scenario = await openWorkerScenario(context, { env: SMALL_CHUNKS })
    const random = createSeededRandom(8)
    const now = Date.now()
    const values: PythonValue[] = [
      'x',
      '',
      'é'.repeat(20),
      1,
      true,
      null,
      ['a', 2],
      { nested: { deeper: [1] } },
    ]
    const records = manyRecords(5_000, (at) => {
      const names = Array.from(
        { length: random.pick([0, 1, 5, 60, 250]) },
        () => `field ${random.below(300)}`,
      )
      const fields = Object.fromEntries(names.map((name) => [name, random.pick(values)]))
      return update({
        deviceId: `d-${random.below(25)}`,
        timestampMs: now,
        eventMicros: now * 1000 + at,
        metadata: { datatype_name: `${at}`, ...fields },
      })
    })
    const worker = await apply(scenario, records)
    report.saw(
      '5,000 records of 25 devices with 0 to 250 of 300 fields: every hash is that of its last record',
    )
    expect(await worker.stop()).toBe(0)
  })
})
