import { mkdir, rm } from 'node:fs/promises'
import type { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createDeviceWriter } from '../../../cache-service/redis/devices/device-writer.ts'
import { createProgressStore } from '../../../cache-service/redis/workers/group-progress.ts'
import { eventually } from '../../support/eventually.ts'
import {
  connectAsService,
  connectPlainly,
  readEverything,
  readHash,
  redisConfigOf,
} from '../../support/servers/redis-connection.ts'
import { startOwnRedis, type OwnRedisOptions } from '../../support/servers/servers.ts'
import { timeText, writePlan, type PlannedUpdate } from '../../support/records/write-plan.ts'

const NOW_MS = Date.now()
const HOUR_MS = 3_600_000
const LIMITS = { maxKeys: 1_000, maxBytes: 1_000_000 }

/** A server that the test may disturb, the service's connection to it, and a plain connection to disturb it. */
async function setUp(options: OwnRedisOptions = {}) {
  const server = await startOwnRedis(options)
  onTestFinished(() => server.stop())
  const { redis, connecting, said } = connectAsService(redisConfigOf(server))
  await connecting
  return { server, redis, said, plain: connectPlainly(server), writer: createDeviceWriter(redis, LIMITS) }
}

const update = (id: string, afterMs = 0, overrides: Partial<PlannedUpdate> = {}): PlannedUpdate => ({
  id,
  lastUpdated: timeText(NOW_MS, afterMs),
  fields: ['datatype_name', `of ${afterMs}`, 'persist', 'true'],
  expiresAtMs: NOW_MS + HOUR_MS + afterMs,
  ...overrides,
})

const fillMemory = (plain: Redis) => plain.config('SET', 'maxmemory', '1')
const freeMemory = (plain: Redis) => plain.config('SET', 'maxmemory', '0')
const outOfMemory = { side: 'redis', code: 'OOM', failureClass: 'transient' }

describe('a Redis that is out of memory', () => {
  const noeviction = { args: ['--maxmemory-policy', 'noeviction'] }

  test('rejects a plan, which can be applied afterwards', async () => {
    const { writer, plain } = await setUp(noeviction)
    await fillMemory(plain)
    const plan = writePlan([update('a'), update('b')])
    await expect(writer.write(plan)).rejects.toMatchObject(outOfMemory)
    expect(await plain.dbsize()).toBe(0)
    await freeMemory(plain)
    expect((await writer.write(plan)).updates).toEqual(['changed', 'changed'])
  })

  test('changes neither the content nor the expiry of existing hashes', async () => {
    const { writer, plain } = await setUp(noeviction)
    await writer.write(writePlan([update('a'), update('b'), update('c')]))
    await plain.persist('device:c:metadata')
    await plain.hset('device:d:metadata', 'last_updated', 'by another program', 'more', 'x')
    const before = await readEverything(plain)
    await fillMemory(plain)
    const plan = writePlan(['a', 'b', 'c', 'd'].map((id) => update(id, 5_000)))
    await expect(writer.write(plan)).rejects.toMatchObject(outOfMemory)
    expect(await readEverything(plain)).toEqual(before)
  })

  test('does not extend the expiry of hashes after the update that failed', async () => {
    const { writer, plain } = await setUp(noeviction)
    await writer.write(writePlan([update('old'), update('same')]))
    const before = await readEverything(plain)
    await fillMemory(plain)
    const plan = writePlan([
      update('new', 5_000),
      update('old', -5_000, { expiresAtMs: NOW_MS + 2 * HOUR_MS }),
      update('same', 0, { expiresAtMs: NOW_MS + 2 * HOUR_MS }),
    ])
    await expect(writer.write(plan)).rejects.toMatchObject(outOfMemory)
    expect(await readEverything(plain)).toEqual(before)
  })

  test('still applies tombstones, and rejects the updates', async () => {
    const { writer, plain } = await setUp(noeviction)
    await writer.write(writePlan([update('gone')]))
    await fillMemory(plain)
    const plan = writePlan([update('new')], [{ id: 'gone', deletesUpTo: timeText(NOW_MS) }])
    await expect(writer.write(plan)).rejects.toMatchObject(outOfMemory)
    expect(await plain.dbsize()).toBe(0)
    await freeMemory(plain)
    expect(await writer.write(plan)).toMatchObject({ deletes: ['absent'], updates: ['changed'] })
  })

  test('accepts neither new ids in the index nor progress', async () => {
    const { redis, plain, writer } = await setUp(noeviction)
    const store = createProgressStore(redis, 'group', 'topic')
    await store.overwrite(0, undefined, 5)
    await fillMemory(plain)
    await expect(writer.write(writePlan([update('a')]), store.step(0, 5, 9))).rejects.toMatchObject(
      outOfMemory,
    )
    expect(await plain.exists('devices')).toBe(0)
    await expect(store.advance(0, 5, 9)).rejects.toMatchObject(outOfMemory)
    expect((await store.load([0])).get(0)?.next).toBe(5)
  })
})

describe('a Redis that accepts no writes', () => {
  test('because it has become a replica is disconnected from and found again', async () => {
    const { writer, plain, said } = await setUp()
    await writer.write(writePlan([update('a')]))
    await plain.replicaof('127.0.0.1', 1)
    await expect(writer.write(writePlan([update('b')]))).rejects.toMatchObject({
      code: 'READONLY',
      failureClass: 'transient',
    })
    expect(await readHash(plain, 'device:b:metadata')).toBeUndefined()
    await plain.replicaof('NO', 'ONE')
    expect((await eventually(() => writer.write(writePlan([update('b')])))).updates).toEqual(['changed'])
    expect(said.filter((line) => line.startsWith('connected')).length).toBeGreaterThan(1)
  })

  test('because it has become a replica does not extend an expiry either', async () => {
    const { writer, plain } = await setUp()
    await writer.write(writePlan([update('a')]))
    await plain.replicaof('127.0.0.1', 1)
    const stale = writePlan([update('a', -1_000, { expiresAtMs: NOW_MS + 2 * HOUR_MS })])
    await expect(writer.write(stale)).rejects.toMatchObject({ code: 'READONLY' })
    expect((await readHash(plain, 'device:a:metadata'))?.expiresAtMs).toBe(NOW_MS + HOUR_MS)
  })

  test('because its primary is gone causes a transient error', async () => {
    const { writer, plain } = await setUp()
    await writer.write(writePlan([update('a')]))
    await plain.config('SET', 'replica-serve-stale-data', 'no')
    await plain.replicaof('127.0.0.1', 1)
    await expect(writer.write(writePlan([update('b')]))).rejects.toMatchObject({
      code: 'MASTERDOWN',
      failureClass: 'transient',
    })
    await plain.replicaof('NO', 'ONE')
    expect((await eventually(() => writer.write(writePlan([update('b')])))).updates).toEqual(['changed'])
  })

  test('because it has too few replicas causes a transient error', async () => {
    const { writer, plain } = await setUp()
    await plain.config('SET', 'min-replicas-to-write', '1')
    await expect(writer.write(writePlan([update('a')]))).rejects.toMatchObject({
      code: 'NOREPLICAS',
      failureClass: 'transient',
    })
    await plain.config('SET', 'min-replicas-to-write', '0')
    expect((await writer.write(writePlan([update('a')]))).updates).toEqual(['changed'])
  })

  test('because it cannot save causes a transient error', async () => {
    const { writer, plain, server } = await setUp()
    await writer.write(writePlan([update('a')]))
    await plain.config('SET', 'save', '3600 1000000')
    await rm(server.folder, { recursive: true })
    await plain.bgsave()
    await eventually(async () =>
      expect(await plain.info('persistence')).toContain('rdb_last_bgsave_status:err'),
    )
    await expect(writer.write(writePlan([update('b')]))).rejects.toMatchObject({
      code: 'MISCONF',
      failureClass: 'transient',
    })
    await mkdir(server.folder)
    await plain.config('SET', 'save', '')
    expect((await writer.write(writePlan([update('b')]))).updates).toEqual(['changed'])
  })

  test('because it is busy with another script causes a transient error', async () => {
    const { writer, plain, server } = await setUp({ args: ['--busy-reply-threshold', '50'] })
    await writer.write(writePlan([update('a')]))
    const endless = connectPlainly(server)
      .eval('while true do end', 0)
      .catch((error: unknown) => String(error))
    await eventually(async () => {
      await expect(writer.write(writePlan([update('a')]))).rejects.toMatchObject({
        code: 'BUSY',
        failureClass: 'transient',
      })
    })
    await plain.script('KILL')
    expect(await endless).toMatch(/killed/i)
    expect((await eventually(() => writer.write(writePlan([update('b')])))).updates).toEqual(['changed'])
  })
})

test('a Redis that has lost its scripts and data by a restart accepts the plan again', async () => {
  const { writer, plain, server } = await setUp()
  await writer.write(writePlan([update('a')]))
  await server.restart()
  expect((await eventually(() => writer.write(writePlan([update('a')])))).updates).toEqual(['changed'])
  expect(await eventually(() => plain.keys('device:*'))).toHaveLength(1)
})
