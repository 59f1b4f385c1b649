import { describe, expect, test } from 'vitest'
import type { DeviceId } from '../../../../shared/contract/device-id.ts'
import { DeviceCache } from '../../../../cache-service/core/devices/device-cache.ts'

const A = 'a' as DeviceId
const B = 'b' as DeviceId
const json = (value: string, ttl: number | null) => `{"device_id":"x","value":"${value}","ttl":${ttl}}`

function put(cache: DeviceCache, id: DeviceId, text: string, nowMs = 0): void {
  cache.finish(cache.begin([id], nowMs), () => text)
}

describe('what is stored', () => {
  test('has the time to live that is left, and ends before Redis can have removed it', () => {
    const cache = new DeviceCache(1000)
    put(cache, A, json('1', 60))
    expect(cache.get(A, 0)).toBe(json('1', 60))
    expect(cache.get(A, 30_500)).toBe(json('1', 30))
    // 60 is what Redis rounded up: the hash may have been there for 59.001 seconds.
    expect(cache.get(A, 58_999)).toBe(json('1', 2))
    expect(cache.get(A, 59_000)).toBeUndefined()
    expect(cache.size).toBe(0)
  })

  test('never ends if the device never expires', () => {
    const cache = new DeviceCache(1000)
    put(cache, A, json('1', null))
    expect(cache.get(A, 1e12)).toBe(json('1', null))
  })

  test('is not a device that may be gone within the second', () => {
    const cache = new DeviceCache(1000)
    put(cache, A, json('1', 1))
    expect(cache.get(A, 0)).toBeUndefined()
  })

  test('is the newest of two reads', () => {
    const cache = new DeviceCache(1000)
    put(cache, A, json('1', null))
    put(cache, A, json('2', null))
    expect(cache.get(A, 0)).toBe(json('2', null))
  })

  test('is nothing if the read has failed or found nothing', () => {
    const cache = new DeviceCache(1000)
    cache.finish(cache.begin([A], 0), () => undefined)
    expect(cache.get(A, 0)).toBeUndefined()
  })
})

describe('a change', () => {
  test.each([
    ['of the device', (cache: DeviceCache) => cache.forget(A)],
    ['of all', (cache: DeviceCache) => cache.clear()],
  ])('%s removes it, and what a read that began before has seen is not stored', (_, change) => {
    const cache = new DeviceCache(1000)
    put(cache, A, json('1', null))
    const before = cache.begin([A], 0)
    change(cache)
    expect(cache.get(A, 0)).toBeUndefined()
    const after = cache.begin([A], 0)
    cache.finish(before, () => json('1', null))
    expect(cache.get(A, 0)).toBeUndefined()
    // Although a read from before the change is in progress as well.
    cache.finish(after, () => json('2', null))
    expect(cache.get(A, 0)).toBe(json('2', null))
  })

  test('of another device does not keep a read from being stored', () => {
    const cache = new DeviceCache(1000)
    const read = cache.begin([A], 0)
    cache.forget(B)
    cache.finish(read, () => json('1', null))
    expect(cache.get(A, 0)).toBe(json('1', null))
  })

  test('of one device of a read concerns only that device', () => {
    const cache = new DeviceCache(1000)
    const read = cache.begin([A, B], 0)
    cache.forget(B)
    cache.finish(read, (i) => json(String(i), null))
    expect(cache.get(A, 0)).toBe(json('0', null))
    expect(cache.get(B, 0)).toBeUndefined()
  })
})

describe('the size', () => {
  test('is bounded: the least recently used ones make room', () => {
    const cache = new DeviceCache(10 * 150)
    const ids = Array.from({ length: 10 }, (_, n) => `device-${n}` as DeviceId)
    for (const id of ids) put(cache, id, json('1', null))
    const [first = A, second = A] = ids
    expect(cache.get(first, 0)).toBeDefined()
    for (const id of ['x', 'y'] as DeviceId[]) put(cache, id, json('1', null))
    expect(cache.size).toBeLessThanOrEqual(1500)
    expect(cache.get(first, 0)).toBeDefined()
    expect(cache.get(second, 0)).toBeUndefined()
  })

  test('has no room for a device that exceeds it', () => {
    const cache = new DeviceCache(200)
    put(cache, A, json('x'.repeat(200), null))
    expect(cache.get(A, 0)).toBeUndefined()
    expect(cache.size).toBe(0)
  })
})
