import * as fc from 'fast-check'
import type { Cluster, Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { createDeviceIndex } from '../../../../cache-service/redis/devices/device-index.ts'
import { createDeviceReader } from '../../../../cache-service/redis/devices/device-reader.ts'
import { createDeviceScan } from '../../../../cache-service/redis/devices/device-scan.ts'
import { createDeviceWriter } from '../../../../cache-service/redis/devices/device-writer.ts'
import type { RedisClient } from '../../../../cache-service/redis/redis-client.ts'
import { deviceKey } from '../../../../shared/contract/keys.ts'
import { patiently } from '../../../support/eventually.ts'
import { deviceId } from '../../../support/records/record-builder.ts'
import {
  timeText,
  writePlan,
  type PlannedDelete,
  type PlannedUpdate,
} from '../../../support/records/write-plan.ts'
import { connectToCluster } from '../../../support/servers/redis-connection.ts'
import { startRedisCluster, type RedisCluster } from '../../../support/servers/redis-cluster.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'
import { keySlot } from '../../../../shared/redis-client/key-slot.ts'

const LIMITS = { maxKeys: 100, maxBytes: 1_000_000 }
const NOW_MS = Date.now()
const IDS = Array.from({ length: 12 }, (_, i) => `d${i}`)

let servers: RedisCluster
let cluster: Cluster
let database: RedisDatabase

beforeAll(async () => {
  servers = await startRedisCluster({ masters: 3 })
  database = await useRedisDatabase(inject('redisUrl'))
})
beforeEach(async () => {
  const connected = await connectToCluster(servers)
  cluster = connected.redis
  await flush()
})
afterAll(async () => {
  await Promise.all([servers.stop(), database.release()])
})

async function flush(): Promise<void> {
  await Promise.all([
    ...(await servers.masters()).map(({ admin }) => admin.flushall()),
    database.client.flushdb(),
  ])
}

const planned = (id: string, n = 0): PlannedUpdate => ({
  id,
  lastUpdated: timeText(NOW_MS, n),
  fields: ['datatype_id', '7', 'persist', 'true'],
  expiresAtMs: NOW_MS + 3_600_000,
})

async function contents(redis: RedisClient, ids: readonly string[]) {
  const hashes = await Promise.all(ids.map((id) => (redis as Redis).hgetall(deviceKey(deviceId(id)))))
  return { hashes, index: (await redis.smembers('devices')).sort() }
}

describe('on a Cluster as on one server', () => {
  test('the same plans leave the same hashes and index, and have the same outcome', async () => {
    const time = fc.nat({ max: 3 })
    const anyUpdate = fc.record({ id: fc.constantFrom(...IDS), time, name: fc.constantFrom('a', 'b') })
    const anyDelete = fc.record({ id: fc.constantFrom(...IDS), time })
    const anyPlan = fc.record({
      updates: fc.uniqueArray(anyUpdate, { selector: ({ id }) => id, maxLength: 12 }),
      deletes: fc.uniqueArray(anyDelete, { selector: ({ id }) => id, maxLength: 4 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(anyPlan, { minLength: 1, maxLength: 4 }), async (plans) => {
        await flush()
        const writers = [cluster, database.client].map((redis) => createDeviceWriter(redis, LIMITS))
        for (const { deletes, updates } of plans) {
          const plan = writePlan(
            updates.map(({ id, name, time: n }) => ({ ...planned(id, n), fields: ['datatype_name', name] })),
            deletes.map(({ id, time: n }): PlannedDelete => ({ id, deletesUpTo: timeText(NOW_MS, n) })),
            NOW_MS,
          )
          const [onCluster, onServer] = await Promise.all(writers.map((writer) => writer.write(plan)))
          expect(onCluster).toEqual(onServer)
        }
        const [onCluster, onServer] = await Promise.all(
          [cluster, database.client].map((redis) => contents(redis, IDS)),
        )
        expect(onCluster).toEqual(onServer)
      }),
      { numRuns: 60 },
    )
  })

  test('a record that is older than what a hash holds restores the id that the index has lost', async () => {
    await Promise.all(
      [cluster, database.client].map(async (redis) => {
        const writer = createDeviceWriter(redis, LIMITS)
        await writer.write(writePlan([planned('d1', 2)]))
        await redis.del('devices')
        const { updates } = await writer.write(writePlan([planned('d1', 1)]))
        expect(updates).toEqual(['stale'])
        expect(await redis.smembers('devices')).toEqual(['d1'])
      }),
    )
  })

  test('devices are looked up, listed, scanned, counted and removed', async () => {
    await createDeviceWriter(cluster, LIMITS).write(writePlan(IDS.map((id) => planned(id))))
    const reader = createDeviceReader(cluster)
    const ids = [...IDS, 'absent'].map(deviceId)
    const kinds = (await reader.readMany(ids)).map(({ kind }) => kind)
    expect(kinds).toEqual([...IDS.map(() => 'found'), 'missing'])
    const { devices } = await reader.page({ cursor: '0' }, 100, '')
    expect(devices.map((one) => one.deviceId).sort()).toEqual([...IDS].sort())
    const limits = { maxDevices: 100, maxIdBytes: 10_000, maxTypeCharacters: 10_000 }
    const options = { limits, signal: new AbortController().signal, progress: () => undefined }
    const { isTruncated, table } = await createDeviceScan(cluster)(options)
    expect({ isTruncated, length: table.length }).toEqual({ isTruncated: false, length: IDS.length })
    expect(await reader.remove(deviceId('d0'))).toBe(true)
    expect(await reader.remove(deviceId('d0'))).toBe(false)
    expect(await createDeviceIndex(cluster).count()).toBe(IDS.length - 1)
  })

  test('the sweeper removes the ids of hashes that are gone, and no others', async () => {
    await createDeviceWriter(cluster, LIMITS).write(writePlan(IDS.map((id) => planned(id))))
    const gone = IDS.slice(0, 5)
    await Promise.all(gone.map((id) => cluster.del(deviceKey(deviceId(id)))))
    expect(await createDeviceIndex(cluster).removeAbsent(IDS.map(deviceId))).toBe(5)
    expect((await cluster.smembers('devices')).sort()).toEqual(IDS.slice(5).sort())
  })

  test('a key that holds no hash is refused alone', async () => {
    await cluster.set(deviceKey(deviceId('d3')), 'text')
    const { updates } = await createDeviceWriter(cluster, LIMITS).write(
      writePlan(IDS.map((id) => planned(id))),
    )
    expect(updates.flatMap((status, i) => (typeof status === 'object' ? [IDS[i]] : []))).toEqual(['d3'])
    expect((await createDeviceReader(cluster).readMany([deviceId('d3')]))[0]).toMatchObject({
      kind: 'corrupt',
    })
  })
})

test('a chunk is one script call for each master', async () => {
  const writer = createDeviceWriter(cluster, LIMITS)
  const ids = Array.from({ length: 60 }, (_, i) => `many-${i}`)
  await writer.write(writePlan(ids.map((id) => planned(id))))
  const masters = await servers.masters()
  await Promise.all(masters.map(({ admin }) => admin.config('RESETSTAT')))
  await writer.write(writePlan(ids.map((id) => planned(id, 1))))
  const calls = await Promise.all(
    masters.map(
      async ({ admin }) => /cmdstat_evalsha:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1],
    ),
  )
  expect(calls).toEqual(['1', '1', '1'])
})

test('a slot that is half moved is written and read at both masters', async () => {
  const slot = keySlot(deviceKey(deviceId('d0')))
  const inSlot: string[] = []
  for (let n = 0; inSlot.length < 6; n++) {
    const id = `d0-${n}`
    if (keySlot(deviceKey(deviceId(id))) === slot) inSlot.push(id)
  }
  const ids = [...inSlot, ...IDS]
  const writer = createDeviceWriter(cluster, LIMITS)
  await writer.write(writePlan(ids.slice(0, 4).map((id) => planned(id))))
  const from = await servers.ownerOf(deviceKey(deviceId('d0')))
  const to = (await servers.masters()).find((one) => one !== from) ?? from
  await servers.beginMove(from, to, slot, 2)
  const { updates } = await writer.write(writePlan(ids.map((id) => planned(id, 1))))
  expect(updates).toEqual(ids.map(() => 'changed'))
  const readings = await createDeviceReader(cluster).readMany(ids.map(deviceId))
  expect(readings.map(({ kind }) => kind)).toEqual(ids.map(() => 'found'))
  expect((await cluster.smembers('devices')).sort()).toEqual([...ids].sort())
  await servers.moveSlots(from, to, [{ from: slot, to: slot }])
  expect((await createDeviceReader(cluster).readMany(ids.map(deviceId))).map(({ kind }) => kind)).toEqual(
    ids.map(() => 'found'),
  )
})

test('nothing is lost while slots move', async () => {
  const [from, to] = await servers.masters()
  if (from === undefined || to === undefined) throw new Error('no masters')
  const writer = createDeviceWriter(cluster, LIMITS)
  const ids = Array.from({ length: 2_000 }, (_, i) => `moving-${i}`)
  let n = 0
  const moved = new AbortController()
  const writing = (async () => {
    while (!moved.signal.aborted) {
      n++
      const { updates } = await writer.write(writePlan(ids.map((id) => planned(id, n))))
      expect(updates.filter((status) => status !== 'changed')).toEqual([])
    }
  })()
  await servers.moveSlots(from, to, 40)
  moved.abort()
  await writing
  const { hashes, index } = await contents(cluster, ids)
  expect(hashes.filter(({ last_updated: text }) => text !== timeText(NOW_MS, n))).toEqual([])
  expect(index).toHaveLength(ids.length)
})

test('of a master that does not answer, only its devices are unavailable', async () => {
  await createDeviceWriter(cluster, LIMITS).write(writePlan(IDS.map((id) => planned(id))))
  const reader = createDeviceReader(cluster)
  const node = await servers.ownerOf(deviceKey(deviceId('d0')))
  const isOnNode = await Promise.all(
    IDS.map(async (id) => (await servers.ownerOf(deviceKey(deviceId(id)))) === node),
  )
  await servers.freeze(node)
  try {
    const readings = await reader.readMany(IDS.map(deviceId))
    expect(readings.map(({ kind }) => kind)).toEqual(isOnNode.map((is) => (is ? 'unavailable' : 'found')))
    await expect(reader.read(deviceId('d0'))).rejects.toMatchObject({
      side: 'redis',
      failureClass: 'transient',
    })
  } finally {
    await servers.thaw(node)
  }
  await servers.settled()
  await patiently(async () => expect((await reader.read(deviceId('d0'))).kind).toBe('found'))
})
