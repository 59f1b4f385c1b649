import * as fc from 'fast-check'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { DeadLetter } from '../../../../cache-service/core/dead-letters/dead-letter.ts'
import { parseRecord } from '../../../../cache-service/core/records/parse-record.ts'
import type { SourceRecord } from '../../../../cache-service/core/records/source-record.ts'
import type { DeadLetterProducer } from '../../../../cache-service/kafka/dead-letter-producer.ts'
import type { PartitionOffsets } from '../../../../cache-service/kafka/partition-offsets.ts'
import { createChunkApplier } from '../../../../cache-service/pipeline/worker/chunk-applier.ts'
import { LagMeter } from '../../../../cache-service/pipeline/worker/lag-meter.ts'
import { ProgressGuard } from '../../../../cache-service/pipeline/worker/progress-guard.ts'
import { WorkerFigures } from '../../../../cache-service/pipeline/worker/worker-figures.ts'
import {
  createDeviceWriter,
  type DeviceWriter,
} from '../../../../cache-service/redis/devices/device-writer.ts'
import { createProgressStore } from '../../../../cache-service/redis/workers/group-progress.ts'
import type { ProgressStore } from '../../../../cache-service/redis/workers/progress-store.ts'
import { createWorkerTelemetry } from '../../../../cache-service/telemetry/worker-telemetry.ts'
import { createProcessMetrics } from '../../../../cache-service/telemetry/process-metrics.ts'
import {
  ALL_FIELDS,
  arbitraryIdleRecord,
  arbitraryTombstone,
  arbitraryUpdate,
  asPartition,
  chunkLengths,
  cut,
  inOrderOfTime,
} from '../../../support/records/arbitrary-records.ts'
import { createCollectedLog } from '../../../support/collected-log.ts'
import { readEverything } from '../../../support/servers/redis-connection.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

// The worker's own pipeline on a real Redis, except that it dies at some step: from then on nothing is written.
// Another worker takes over from an offset that was committed before. A repeat is possible, a hole never.

const NOW_MS = Date.now()
const TOPIC = 'iot_validated_data'

let database: RedisDatabase
let redis: Redis

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  redis = database.client
})
afterAll(() => database.release())

const metrics = createProcessMetrics('1.2.3', 'v24.21.0', 'worker')
const clocks = { now: () => NOW_MS, monotonicNow: () => 0 }
const telemetry = createWorkerTelemetry(createCollectedLog('info').log, metrics, TOPIC, 'group', clocks)

class Crash extends Error {}

/** Burns one step at a time; once it is used up, nothing happens any more. */
class Fuse {
  #left: number

  constructor(steps: number) {
    this.#left = steps
  }

  /** How many of these steps may still be taken. */
  allow(steps: number): number {
    const allowed = Math.min(steps, Math.max(0, this.#left))
    this.#left = allowed < steps ? 0 : this.#left - steps
    return allowed
  }

  burn(): void {
    if (this.allow(1) === 0) throw new Crash()
  }
}

function mortalWriter(writer: DeviceWriter, fuse: Fuse): DeviceWriter {
  return {
    async write(plan, advance) {
      const { deletes, updates } = plan
      const allowed = fuse.allow(deletes.length + updates.length)
      if (allowed === deletes.length + updates.length) {
        const outcome = await writer.write(plan, advance)
        fuse.burn() // written, but the reply is lost
        return outcome
      }
      const updatesAllowed = Math.max(0, allowed - deletes.length)
      await writer.write({
        ...plan,
        deletes: deletes.slice(0, allowed),
        updates: updates.slice(0, updatesAllowed),
      })
      throw new Crash()
    },
  }
}

function mortalStore(store: ProgressStore, fuse: Fuse): ProgressStore {
  return {
    load: (partitions) => store.load(partitions),
    peek: (partitions) => store.peek(partitions),
    step: (...args) => store.step(...args),
    async advance(...args) {
      fuse.burn()
      return await store.advance(...args)
    },
    async overwrite(...args) {
      fuse.burn()
      await store.overwrite(...args)
    },
    async markRebuild(...args) {
      fuse.burn()
      await store.markRebuild(...args)
    },
  }
}

function mortalDeadLetters(sent: DeadLetter[], fuse: Fuse): DeadLetterProducer {
  return {
    async send(deadLetters) {
      // One after the other, since a real producer may have sent some of them.
      for (const deadLetter of deadLetters) {
        fuse.burn()
        sent.push(deadLetter)
      }
    },
    disconnect: async () => undefined,
  }
}

type Life = { readonly from: number; readonly lengths: readonly number[]; readonly steps: number }

/** One worker, from the committed offset on. Returns the offset up to which it has resolved records. */
async function live(records: readonly SourceRecord[], { from, lengths, steps }: Life, sent: DeadLetter[]) {
  const fuse = new Fuse(steps)
  const offsets: PartitionOffsets = {
    read: async () =>
      new Map([[0, { committed: from > 0 ? from : undefined, earliest: 0, end: records.length }]]),
    disconnect: async () => undefined,
  }
  const guard = new ProgressGuard(
    mortalStore(createProgressStore(redis, 'group', 'topic'), fuse),
    offsets,
    telemetry,
    () => undefined,
  )
  guard.assigned([0])
  const { prepare, write } = createChunkApplier({
    topic: TOPIC,
    settings: ALL_FIELDS,
    serviceVersion: '1.2.3',
    connections: () => [],
    writer: mortalWriter(createDeviceWriter(redis, { maxKeys: 2, maxBytes: 2_000 }), fuse),
    deadLetters: mortalDeadLetters(sent, fuse),
    guard,
    lag: new LagMeter(clocks),
    hints: { note: () => undefined },
    figures: new WorkerFigures(TOPIC, { now: () => NOW_MS, monotonicNow: () => NOW_MS }),
    telemetry,
    ...clocks,
  })
  let resolved = from
  try {
    for (const chunk of cut(records.slice(from), lengths)) {
      const next = resolved + chunk.length
      const outcome = await write(prepare({ partition: 0, records: chunk, position: resolved, next }))
      expect(outcome).toEqual({ kind: 'durable' })
      fuse.burn()
      resolved = next
    }
    expect(guard.isRebuilding).toBe(false)
  } catch (error) {
    if (!(error instanceof Crash)) throw error
  }
  return resolved
}

const ofOneLife = (lengths: readonly number[]): Life => ({ from: 0, lengths, steps: Infinity })

/** In the order of the record times, as the only producer of a partition writes them. */
const partition = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: arbitraryUpdate(NOW_MS) },
      { weight: 2, arbitrary: arbitraryTombstone(NOW_MS) },
      { weight: 2, arbitrary: arbitraryIdleRecord(NOW_MS) },
    ),
    { minLength: 1, maxLength: 16 },
  )
  .map((records) => asPartition(inOrderOfTime(records)))

const offsetsOf = (deadLetters: readonly DeadLetter[]) =>
  new Set(deadLetters.map(({ headers }) => headers['source_offset']))

test('redelivery from the committed offset ends in the same state, wherever the worker dies (G11)', async () => {
  const crashes = fc.array(
    fc.record({
      steps: fc.integer({ min: 0, max: 60 }),
      lengths: chunkLengths,
      // The commit lags behind the resolved offset.
      committedOfResolved: fc.constantFrom(1, 1, 0.5, 0),
    }),
    { minLength: 1, maxLength: 4 },
  )
  await fc.assert(
    fc.asyncProperty(partition, crashes, chunkLengths, async (records, deaths, lengths) => {
      await redis.flushdb()
      await live(records, ofOneLife(lengths), [])
      const expected = await readEverything(redis)

      await redis.flushdb()
      const sent: DeadLetter[] = []
      let committed = 0
      for (const { committedOfResolved, ...death } of deaths) {
        const resolved = await live(records, { ...death, from: committed }, sent)
        committed += Math.floor((resolved - committed) * committedOfResolved)
      }
      expect(await live(records, { ...ofOneLife(lengths), from: committed }, sent)).toBe(records.length)

      expect(await readEverything(redis)).toEqual(expected)
      const rejected = records.filter((r) => parseRecord(r, NOW_MS, ALL_FIELDS).kind === 'rejected')
      expect(offsetsOf(sent)).toEqual(new Set(rejected.map(({ offset }) => String(offset))))
    }),
    { numRuns: 120 },
  )
})

test('redelivery ends in the same state after a crash at any step of a chunk with every kind of record', async () => {
  const records = asPartition(
    inOrderOfTime([
      ...fc.sample(arbitraryUpdate(NOW_MS), { seed: 1, numRuns: 6 }),
      ...fc.sample(arbitraryTombstone(NOW_MS), { seed: 2, numRuns: 1 }),
      ...fc.sample(arbitraryIdleRecord(NOW_MS), { seed: 3, numRuns: 5 }),
      ...fc.sample(arbitraryUpdate(NOW_MS), { seed: 4, numRuns: 3 }),
    ]),
  )
  await redis.flushdb()
  await live(records, ofOneLife([100]), [])
  const expected = await readEverything(redis)
  let steps = 0
  for (let resolved = 0; resolved < records.length; steps++) {
    await redis.flushdb()
    resolved = await live(records, { from: 0, lengths: [100], steps }, [])
    await live(records, ofOneLife([100]), [])
    expect({ steps, state: await readEverything(redis) }).toEqual({ steps, state: expected })
  }
  // The last worker lived long enough to apply everything.
  expect(steps).toBeGreaterThan(10)
})
