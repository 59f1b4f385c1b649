import { expect, inject, onTestFinished, test } from 'vitest'
import { explainChange, explainRecord } from '../../../../cache-service/core/records/explain.ts'
import { createDeviceWriter } from '../../../../cache-service/redis/devices/device-writer.ts'
import { readStoredHash } from '../../../../cache-service/redis/devices/stored-hash.ts'
import {
  deviceId,
  NOW_MS,
  SETTINGS,
  sourceRecord,
  validatedOutput,
} from '../../../support/records/record-builder.ts'
import { useRedisDatabase } from '../../../support/test-scope.ts'

const ID = deviceId('sensor-1')
const KEY = 'device:sensor-1:metadata'

// With an expiry, a record from 2025 would expire immediately.
const WITHOUT_EXPIRY = { ...SETTINGS, metadataTtlMs: 0 }

const TIMES = [
  undefined,
  '',
  'yesterday',
  '2025-06-08T18:27:17.476623',
  '2025-06-08T18:27:17.476622+00:00',
  '2025-06-08T18:27:17.476623+00:00',
  '2025-06-08T18:27:17.476624+00:00',
  '2025-06-08T18:32:19.000000+00:00',
  '2025-06-09T18:27:20.000000+00:00',
  '2025-06-09T18:27:20.001000+00:00',
  '2025-99-99T99:99:99.999999+00:00',
]
const CONTENTS: readonly Record<string, string>[] = [
  {},
  { persist: 'true' },
  { datatype_id: '7', datatype_name: 'temperature', datatype_unit: '°C', persist: 'true' },
  { datatype_id: '7', datatype_name: 'temperature', datatype_unit: '°D', persist: 'true' },
  { datatype_id: '7', datatype_name: 'temperature', datatype_unit: '°C', persist: 'true', '\u{1f4a1}': '1' },
  { datatype_id: '7', datatype_name: 'temperature', datatype_unit: '°C', persist: 'true', '\ufb01': '1' },
]

test('an explanation predicts what the scripts do, whatever Redis holds', async () => {
  const database = await useRedisDatabase(inject('redisUrl'))
  onTestFinished(() => database.release())
  const { client: redis } = database
  const writer = createDeviceWriter(redis, { maxKeys: 10, maxBytes: 100_000 })
  const records = [
    sourceRecord(validatedOutput()),
    sourceRecord(validatedOutput({ metadata: {} })),
    sourceRecord(null, { key: Buffer.from(ID) }),
  ]
  const seen = new Set<string>()
  for (const time of TIMES) {
    for (const content of CONTENTS) {
      for (const record of records) {
        await redis.del(KEY)
        const fields = { ...content, ...(time !== undefined && { last_updated: time }) }
        if (Object.keys(fields).length > 0) await redis.hset(KEY, fields)
        const explanation = explainRecord(record, NOW_MS, WITHOUT_EXPIRY)
        const change = explainChange(explanation, await readStoredHash(redis, ID, NOW_MS))
        const { deletes, updates } = await writer.write(explanation.plan)
        const done = updates[0] ?? deletes[0]
        expect({ fields, outcome: change.outcome }).toEqual({ fields, outcome: done })
        seen.add(change.outcome)
        if (change.outcome !== 'changed') continue
        const planned = change.fields.filter((field) => field.planned !== undefined)
        expect(await redis.hgetall(KEY)).toEqual(
          Object.fromEntries(planned.map((field) => [field.field, field.planned])),
        )
      }
    }
  }
  expect([...seen].sort()).toEqual(['absent', 'changed', 'deleted', 'kept', 'stale', 'unchanged'])
})

test('readStoredHash names the type of a key of another type', async () => {
  const database = await useRedisDatabase(inject('redisUrl'))
  onTestFinished(() => database.release())
  await database.client.sadd(KEY, 'x')
  expect(await readStoredHash(database.client, ID, NOW_MS)).toEqual({ kind: 'other_type', type: 'set' })
})
