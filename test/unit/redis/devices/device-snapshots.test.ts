import { beforeEach, describe, expect, test } from 'vitest'
import { DeviceTable } from '../../../../cache-service/core/devices/device-table.ts'
import type { DeviceScanOptions } from '../../../../cache-service/redis/devices/device-scan.ts'
import { DeviceSnapshots } from '../../../../cache-service/redis/devices/device-snapshots.ts'

let nowMs: number
let scans: { readonly options: DeviceScanOptions; finish(devices: number): void; fail(error: Error): void }[]
let results: string[]
let snapshots: DeviceSnapshots

beforeEach(() => {
  nowMs = 1_000_000
  scans = []
  results = []
  snapshots = new DeviceSnapshots({
    maxDevices: 100,
    now: () => nowMs,
    monotonicNow: () => nowMs,
    scanned: (result) => results.push(result),
    async scan(options) {
      const { promise, reject, resolve } = Promise.withResolvers<number>()
      scans.push({ options, finish: resolve, fail: reject })
      options.signal.addEventListener('abort', () => reject(options.signal.reason))
      const devices = await promise
      const table = new DeviceTable(options.limits)
      const type = table.numberOf({ id: null, name: null, unit: null }) ?? 0
      for (let n = 0; n < devices; n++) table.add(`d${n}`, type, 0)
      return { table, isTruncated: false }
    },
  })
})

const patient = new AbortController().signal

/** A snapshot whose scan took this long. */
async function take(tookMs: number, asOfMs?: number) {
  const taking = snapshots.get(asOfMs, patient)
  nowMs += tookMs
  scans.at(-1)?.finish(3)
  return await taking
}

describe('the snapshot of all devices', () => {
  test('is shared by the callers that wait for it, and by those of nine times as long as it took', async () => {
    const waiting = snapshots.get(undefined, patient)
    const first = await take(1_000)
    expect(await waiting).toBe(first)
    expect(first.table.length).toBe(3)
    nowMs += 8_999
    expect(await snapshots.get(undefined, patient)).toBe(first)
    nowMs += 1
    expect(await take(10)).not.toBe(first)
    expect(scans).toHaveLength(2)
    expect(results).toEqual(['complete', 'complete'])
  })

  test('is used for a quarter of a second at least, so that many small searches do not become many scans', async () => {
    const first = await take(0)
    nowMs += 249
    expect(await snapshots.get(undefined, patient)).toBe(first)
  })

  test('is used beyond that for a search that began with it, until there is another one', async () => {
    const first = await take(10)
    nowMs += 3_600_000
    expect(await snapshots.get(first.asOfMs, patient)).toBe(first)
    const second = await take(10)
    expect(await snapshots.get(first.asOfMs, patient)).toBe(second)
  })

  test('is given up when the last caller is gone, and not before', async () => {
    const [a, b] = [new AbortController(), new AbortController()]
    const waiting = [a, b].map(({ signal }) => snapshots.get(undefined, signal))
    a.abort(new Error('a is gone'))
    await expect(waiting[0]).rejects.toThrow('a is gone')
    expect(scans[0]?.options.signal.aborted).toBe(false)
    b.abort(new Error('b is gone'))
    await expect(waiting[1]).rejects.toThrow('b is gone')
    expect(scans[0]?.options.signal.aborted).toBe(true)
    expect((await take(10)).table.length).toBe(3)
    expect(results).toEqual(['cancelled', 'complete'])
  })

  test('is not asked for by a caller who is gone already', async () => {
    await expect(snapshots.get(undefined, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
    expect(scans).toEqual([])
  })

  test('fails for all callers, and is taken again for the next one', async () => {
    const waiting = [1, 2].map(() => snapshots.get(undefined, patient))
    scans[0]?.fail(new Error('no Redis'))
    for (const caller of waiting) await expect(caller).rejects.toThrow('no Redis')
    expect((await take(10)).table.length).toBe(3)
    expect(results).toEqual(['failed', 'complete'])
  })
})
