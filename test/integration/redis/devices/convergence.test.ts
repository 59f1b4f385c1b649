import * as fc from 'fast-check'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { planChunk } from '../../../../cache-service/core/records/plan.ts'
import type { SourceRecord } from '../../../../cache-service/core/records/source-record.ts'
import { createDeviceWriter } from '../../../../cache-service/redis/devices/device-writer.ts'
import {
  ALL_FIELDS,
  anyDelivery,
  arbitraryIdleRecord,
  arbitraryTombstone,
  arbitraryUpdate,
  chunkLengths,
  cut,
  inOrderOfTime,
} from '../../../support/records/arbitrary-records.ts'
import { greatestUpdates } from '../../../support/oracle/greatest-update.ts'
import { readEverything } from '../../../support/servers/redis-connection.ts'
import type { ModelHash } from '../../../support/oracle/redis-model.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

// Redis expires keys by its own clock, so the records are from today.
const NOW_MS = Date.now()

let database: RedisDatabase
let redis: Redis

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  redis = database.client
})
afterAll(() => database.release())

/** Applies the chunks one by one to an empty Redis, as the worker does. */
async function apply(chunks: readonly (readonly SourceRecord[])[], maxKeys: number) {
  await redis.flushdb()
  const writer = createDeviceWriter(redis, { maxKeys, maxBytes: 2_000 })
  for (const chunk of chunks) {
    const plan = planChunk(chunk, { nowMs: NOW_MS, settings: ALL_FIELDS, internalErrorsInARow: 0 })
    await writer.write(plan)
  }
  return await readEverything(redis)
}

function inRedis(devices: Readonly<Record<string, ModelHash>>): Record<string, unknown> {
  const ids = Object.keys(devices).sort()
  const hashes = ids.map((id) => {
    const { lastUpdated, fields, expiresAtMs } = devices[id] ?? {
      lastUpdated: '',
      fields: [],
      expiresAtMs: 0,
    }
    const pairs = cut(fields, [2]).map(([name = '', value = '']): [string, string] => [name, value])
    const stored = { ...Object.fromEntries(pairs), last_updated: lastUpdated }
    return [`device:${id}:metadata`, { fields: stored, expiresAtMs }]
  })
  return { ...Object.fromEntries(hashes), ...(ids.length > 0 && { devices: ids }) }
}

const update = arbitraryUpdate(NOW_MS)
const anyRecord = fc.oneof(
  { weight: 6, arbitrary: update },
  { weight: 2, arbitrary: arbitraryTombstone(NOW_MS) },
  { weight: 1, arbitrary: arbitraryIdleRecord(NOW_MS) },
)
const maxKeys = fc.constantFrom(1, 2, 1_000)

test('any order, grouping and repetition of the records results in the greatest update and the latest expiry of each device', async () => {
  const deliveries = fc
    .array(update, { maxLength: 14 })
    .chain((records) => fc.tuple(fc.constant(records), anyDelivery(records), chunkLengths, maxKeys))
  await fc.assert(
    fc.asyncProperty(deliveries, async ([records, delivered, lengths, keys]) => {
      const expected = inRedis(greatestUpdates(records, NOW_MS, ALL_FIELDS))
      expect(await apply(cut(delivered, lengths), keys)).toEqual(expected)
    }),
    { numRuns: 80 },
  )
})

test('with tombstones, any grouping of the records in their order has the same result as one by one', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyRecord, { maxLength: 16 }).map(inOrderOfTime),
      chunkLengths,
      maxKeys,
      async (records, lengths, keys) => {
        expect(await apply(cut(records, lengths), keys)).toEqual(await apply(cut(records, [1]), 1_000))
      },
    ),
    { numRuns: 80 },
  )
})

test('two concurrent writers have the same result as one after the other', async () => {
  const deliveries = fc
    .array(update, { minLength: 4, maxLength: 14 })
    .chain((records) =>
      fc.tuple(fc.constant(records), anyDelivery(records), anyDelivery(records), chunkLengths),
    )
  await fc.assert(
    fc.asyncProperty(deliveries, async ([records, first, second, lengths]) => {
      await redis.flushdb()
      const run = async (delivered: readonly SourceRecord[]) => {
        const connection = redis.duplicate()
        try {
          const writer = createDeviceWriter(connection, { maxKeys: 1, maxBytes: 2_000 })
          for (const chunk of cut(delivered, lengths)) {
            await writer.write(
              planChunk(chunk, { nowMs: NOW_MS, settings: ALL_FIELDS, internalErrorsInARow: 0 }),
            )
          }
        } finally {
          connection.disconnect()
        }
      }
      await Promise.all([run(first), run(second)])
      expect(await readEverything(redis)).toEqual(inRedis(greatestUpdates(records, NOW_MS, ALL_FIELDS)))
    }),
    { numRuns: 40 },
  )
})
