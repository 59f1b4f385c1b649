import type { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { runCliProcess } from '../support/processes/run-program.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'

const OLD_FORMAT = '2025-06-08T18:27:17.476623'
const NEW_FORMAT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/
const DAY_S = 86_400

/** What the Python cache service writes for a record: each field that the record has, and `last_updated` as it came. */
async function writeAsBefore(redis: Redis, deviceId: string, fields: Record<string, string>): Promise<void> {
  const key = `device:${deviceId}:metadata`
  await redis.hset(key, { ...fields, last_updated: OLD_FORMAT })
  await redis.expire(key, DAY_S)
  await redis.sadd('devices', deviceId)
}

test('a worker and an older writer share a Redis: the worker overwrites, and the way back is open', async (context) => {
  const scenario = await openWorkerScenario(context)
  const { redis } = scenario
  const hashOf = (deviceId: string) => redis.hgetall(`device:${deviceId}:metadata`)
  const record = (deviceId: string, name: string) => update({ deviceId, metadata: { datatype_name: name } })
  const arrives = (deviceId: string, name: string) =>
    patiently(async () => {
      const { last_updated, ...rest } = await hashOf(deviceId)
      expect(rest).toEqual({ datatype_name: name, persist: 'true' })
      expect(last_updated).toMatch(NEW_FORMAT)
    })

  // The old service has written everything so far, with a field that the newest record lacks.
  await writeAsBefore(redis, 'd1', { datatype_name: 'old', datatype_unit: 'K' })
  await writeAsBefore(redis, 'silent', { datatype_name: 'old' })
  await scenario.send([record('d1', 'first')])
  const worker = await scenario.startWorker()
  await worker.ready()
  await arrives('d1', 'first')
  expect(await hashOf('silent')).toEqual({ datatype_name: 'old', last_updated: OLD_FORMAT })

  // Side by side: what the old service writes lasts until the next record of the device.
  await writeAsBefore(redis, 'd1', { datatype_name: 'late' })
  await scenario.send([record('d1', 'second'), record('d2', 'second')])
  await arrives('d1', 'second')
  await arrives('d2', 'second')

  // The old service stops after it has written last; a rebuild overwrites that.
  await writeAsBefore(redis, 'd2', { datatype_name: 'last', datatype_unit: 'K' })
  const rebuild = await runCliProcess(['rebuild', '--yes'], scenario.env)
  expect(rebuild, rebuild.errors).toMatchObject({ code: 0 })
  await arrives('d2', 'second')
  expect(await hashOf('silent')).toMatchObject({ last_updated: OLD_FORMAT })

  // Back: the old service finds keys of the types that it knows, and its writes count again.
  await worker.stop()
  expect(await redis.type('devices')).toBe('set')
  expect((await redis.smembers('devices')).toSorted()).toEqual(['d1', 'd2', 'silent'])
  expect(await redis.ttl('device:d1:metadata')).toBeGreaterThan(DAY_S - 3_600)
  await writeAsBefore(redis, 'd1', { datatype_name: 'back', persist: 'true' })
  expect(await hashOf('d1')).toEqual({ datatype_name: 'back', persist: 'true', last_updated: OLD_FORMAT })

  // A worker that starts again continues where it was, and its next record counts.
  await scenario.send([record('d1', 'third')])
  const again = await scenario.startWorker()
  await again.ready()
  await arrives('d1', 'third')
})
