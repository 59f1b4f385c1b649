import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { LoopMonitor } from '../../../../cache-service/lifecycle/loops.ts'
import { createDeviceIndex, type DeviceIndex } from '../../../../cache-service/redis/devices/device-index.ts'
import { createLease } from '../../../../cache-service/redis/lease.ts'
import { createSweeper, sweepOnce } from '../../../../cache-service/redis/devices/sweeper.ts'
import { deviceKey, SWEEPER_LEASE_KEY } from '../../../../shared/contract/keys.ts'
import { eventually } from '../../../support/eventually.ts'
import { deviceId } from '../../../support/records/record-builder.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

const LONG_MS = 60_000
const NEVER = new AbortController().signal

let database: RedisDatabase
let redis: Redis
let index: DeviceIndex

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  redis = database.client
  index = createDeviceIndex(redis)
})
beforeEach(() => redis.flushdb())
afterAll(() => database.release())

const leaseOf = (holder: string, ttlMs = LONG_MS) => createLease(redis, SWEEPER_LEASE_KEY, holder, ttlMs)
const sweep = (holder: string, of: DeviceIndex = index) =>
  sweepOnce(of, leaseOf(holder), NEVER, () => undefined)

/** Puts ids into the index; those that are alive have a hash as well. */
async function fill(alive: readonly string[], expired: readonly string[]): Promise<void> {
  await redis.sadd('devices', ...alive, ...expired)
  for (const id of alive) await redis.hset(deviceKey(deviceId(id)), 'persist', 'true')
}

/** The real index, with something that happens between reading a page and removing its ids. */
function interrupted(between: () => Promise<void>): DeviceIndex {
  return {
    ...index,
    async scan(cursor) {
      const page = await index.scan(cursor)
      await between()
      return page
    },
  }
}

describe('a sweep', () => {
  test('removes the ids whose hash has expired from the index, and no others', async () => {
    await fill(['alive', 'gw:é'], ['dead', 'dead:too'])
    expect(await sweep('one')).toBe(2)
    expect((await redis.smembers('devices')).sort()).toEqual(['alive', 'gw:é'])
  })

  test('of thousands of ids proceeds page by page', async () => {
    const dead = Array.from({ length: 2_500 }, (_, i) => `dead${i}`)
    await fill(['alive'], dead)
    let pages = 0
    expect(await sweepOnce(index, leaseOf('one'), NEVER, () => pages++)).toBe(2_500)
    expect(pages).toBeGreaterThan(1)
    expect(await redis.smembers('devices')).toEqual(['alive'])
  })

  test('of an empty index removes nothing', async () => {
    expect(await sweep('one')).toBe(0)
  })

  test('removes invalid ids from the index', async () => {
    await redis.sadd('devices', 'a\nb', '')
    expect(await sweep('one')).toBe(2)
  })

  test('does not remove a device that returns during the sweep', async () => {
    await fill([], ['back', 'dead'])
    const comeBack = async () => void (await redis.hset('device:back:metadata', 'persist', 'true'))
    expect(await sweep('one', interrupted(comeBack))).toBe(1)
    expect(await redis.smembers('devices')).toEqual(['back'])
  })

  test('is done by one process at a time', async () => {
    await fill([], ['dead'])
    const others: (number | undefined)[] = []
    const another = async () => void others.push(await sweep('two'))
    expect(await sweep('one', interrupted(another))).toBe(1)
    expect(others).toEqual([undefined])
    expect(await sweep('two')).toBe(0)
  })

  test('releases its lease even when it fails', async () => {
    await fill([], ['dead'])
    const failing = interrupted(() => Promise.reject(new Error('interrupted')))
    await expect(sweep('one', failing)).rejects.toThrow('interrupted')
    expect(await redis.exists(SWEEPER_LEASE_KEY)).toBe(0)
  })

  test('ends when it has lost its lease to another process', async () => {
    const dead = Array.from({ length: 2_500 }, (_, i) => `dead${i}`)
    await fill([], dead)
    const lose = async () => void (await redis.set(SWEEPER_LEASE_KEY, 'two'))
    expect(await sweep('one', interrupted(lose))).toBeUndefined()
    expect(await redis.get(SWEEPER_LEASE_KEY)).toBe('two')
    expect(await redis.scard('devices')).toBeGreaterThan(0)
  })

  test('ends between two pages when the process stops', async () => {
    const dead = Array.from({ length: 2_500 }, (_, i) => `dead${i}`)
    await fill([], dead)
    const stop = new AbortController()
    expect(await sweepOnce(index, leaseOf('one'), stop.signal, () => stop.abort())).toBeUndefined()
    expect(await redis.exists(SWEEPER_LEASE_KEY)).toBe(0)
    expect(await redis.scard('devices')).toBeGreaterThan(0)
  })
})

describe('a lease', () => {
  test('belongs to the first holder that acquires it, who may acquire it again', async () => {
    expect(await leaseOf('one').acquire()).toBe(true)
    expect(await leaseOf('two').acquire()).toBe(false)
    expect(await leaseOf('one').acquire()).toBe(true)
    expect(await leaseOf('two').acquire()).toBe(false)
  })

  test('is extended when its holder acquires it again', async () => {
    await leaseOf('one', LONG_MS).acquire()
    await redis.pexpire(SWEEPER_LEASE_KEY, 1_000)
    await leaseOf('one', LONG_MS).acquire()
    expect(await redis.pttl(SWEEPER_LEASE_KEY)).toBeGreaterThan(LONG_MS / 2)
  })

  test('is not extended by another process', async () => {
    await leaseOf('one', LONG_MS).acquire()
    await redis.pexpire(SWEEPER_LEASE_KEY, 1_000)
    await leaseOf('two', LONG_MS).acquire()
    expect(await redis.pttl(SWEEPER_LEASE_KEY)).toBeLessThanOrEqual(1_000)
  })

  test('expires after its holder has died', async () => {
    expect(await leaseOf('dead', 150).acquire()).toBe(true)
    await eventually(async () => expect(await leaseOf('two').acquire()).toBe(true), {
      timeoutMs: 5_000,
      everyMs: 20,
    })
  })

  test('is released only by its holder', async () => {
    const [one, two] = [leaseOf('one'), leaseOf('two')]
    await one.acquire()
    await two.release()
    expect(await redis.get(SWEEPER_LEASE_KEY)).toBe('one')
    await one.release()
    expect(await two.acquire()).toBe(true)
    await one.release()
    expect(await redis.get(SWEEPER_LEASE_KEY)).toBe('two')
  })
})

describe('the sweeper', () => {
  test('sweeps repeatedly, reports the removed ids, and stops on a signal', async () => {
    await fill(['alive'], ['dead'])
    const swept: number[] = []
    const stop = new AbortController()
    const sweeper = createSweeper(index, leaseOf('one'), {
      everyMs: 5,
      monitor: new LoopMonitor(() => 0),
      monotonicNow: () => 0,
      telemetry: {
        swept: (removed) => swept.push(removed),
        loopFailed: (_, error) => {
          throw error
        },
      },
    })
    const running = sweeper.run(stop.signal)
    await eventually(() => expect(swept.length).toBeGreaterThan(2))
    stop.abort()
    await running
    expect(swept.slice(0, 3)).toEqual([1, 0, 0])
    expect(await redis.exists(SWEEPER_LEASE_KEY)).toBe(0)
  })

  test('reports nothing while another process sweeps, and continues after a failure', async () => {
    await leaseOf('another').acquire()
    const happened: string[] = []
    let turns = 0
    const stop = new AbortController()
    const sweeper = createSweeper(index, leaseOf('one'), {
      everyMs: 5,
      monitor: new LoopMonitor(() => ++turns),
      monotonicNow: () => 0,
      telemetry: {
        swept: () => happened.push('swept'),
        loopFailed: (loop) => happened.push(`${loop} failed`),
      },
    })
    const running = sweeper.run(stop.signal)
    await eventually(() => expect(turns).toBeGreaterThan(3))
    expect(happened).toEqual([])
    // With a key of another type, reading the lease fails.
    await redis.multi().del(SWEEPER_LEASE_KEY).lpush(SWEEPER_LEASE_KEY, 'mine').exec()
    await eventually(() => expect(happened).toContain('sweeper failed'))
    await redis.del(SWEEPER_LEASE_KEY)
    await eventually(() => expect(happened).toContain('swept'))
    stop.abort()
    await running
    expect(happened[0]).toBe('sweeper failed')
  })
})
