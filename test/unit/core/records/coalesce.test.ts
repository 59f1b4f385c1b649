import { describe, expect, test } from 'vitest'
import { coalesce, type Change } from '../../../../cache-service/core/records/coalesce.ts'
import { deviceId } from '../../../support/records/record-builder.ts'

const at = (second: number) => `2025-06-08T18:27:${String(second).padStart(2, '0')}.000000+00:00`

/**
 * `['a', 5, 'x', 100]`: an update of device a at second 5 with content x, expiring at 100. `['a', 5]`: a tombstone
 * that deletes updates up to second 5.
 */
type Row = [id: string, second: number] | [id: string, second: number, content: string, expiresAtMs: number]

function changes(rows: readonly Row[]): Change[] {
  return rows.map(([id, second, content, expiresAtMs], index) => {
    if (content === undefined || expiresAtMs === undefined) {
      return { kind: 'tombstone', index, tombstone: { deviceId: deviceId(id), deletesUpTo: at(second) } }
    }
    const fields = ['datatype_id', content]
    return {
      kind: 'update',
      index,
      update: { deviceId: deviceId(id), lastUpdated: at(second), fields, expiresAtMs },
    }
  })
}

/** By device: [index of the tombstone, index of the update, expiry]. */
function coalesced(...rows: Row[]) {
  const { devices, superseded } = coalesce(changes(rows))
  const found = [...devices].map(([id, { tombstone, update, expiresAtMs }]) => [
    id,
    [tombstone?.index, update?.index, expiresAtMs],
  ])
  return { ...Object.fromEntries(found), superseded }
}

describe('coalescing the updates of a device', () => {
  test('keeps the latest one', () => {
    expect(coalesced(['a', 1, 'x', 100], ['a', 3, 'x', 100], ['a', 2, 'x', 100])).toEqual({
      a: [undefined, 1, 100],
      superseded: 2,
    })
  })

  test('keeps the one with the greatest content at equal event times', () => {
    expect(coalesced(['a', 1, 'x', 100], ['a', 1, 'z', 100], ['a', 1, 'y', 100])).toEqual({
      a: [undefined, 1, 100],
      superseded: 2,
    })
  })

  test('keeps the first one if all are equal', () => {
    expect(coalesced(['a', 1, 'x', 100], ['a', 1, 'x', 100])).toEqual({
      a: [undefined, 0, 100],
      superseded: 1,
    })
  })

  test('keeps the latest expiry, including that of superseded updates', () => {
    expect(coalesced(['a', 2, 'x', 100], ['a', 1, 'x', 300], ['a', 1, 'y', 200])).toEqual({
      a: [undefined, 0, 300],
      superseded: 2,
    })
  })

  test('does not affect the updates of another device', () => {
    expect(coalesced(['a', 1, 'x', 100], ['b', 2, 'x', 200], ['a', 2, 'x', 100])).toEqual({
      a: [undefined, 2, 100],
      b: [undefined, 1, 200],
      superseded: 1,
    })
  })
})

describe('a tombstone', () => {
  test('removes earlier updates and their expiry', () => {
    expect(coalesced(['a', 1, 'x', 300], ['a', 2, 'x', 300], ['a', 9])).toEqual({
      a: [2, undefined, 0],
      superseded: 2,
    })
  })

  test('is kept as a delete before a later update', () => {
    expect(coalesced(['a', 3, 'x', 300], ['a', 9], ['a', 2, 'x', 100])).toEqual({
      a: [1, 2, 100],
      superseded: 1,
    })
  })

  test('keeps an update with an event time after deletesUpTo', () => {
    expect(coalesced(['a', 10, 'x', 300], ['a', 9], ['a', 2, 'x', 100])).toEqual({
      a: [1, 0, 300],
      superseded: 1,
    })
  })

  test('removes an update with an event time of exactly deletesUpTo', () => {
    expect(coalesced(['a', 9, 'x', 300], ['a', 9])).toEqual({ a: [1, undefined, 0], superseded: 1 })
  })

  test('with the latest deletesUpTo wins over others, for the hash in Redis', () => {
    expect(coalesced(['a', 5], ['a', 9], ['a', 7])).toEqual({ a: [1, undefined, 0], superseded: 0 })
  })

  test('with an earlier deletesUpTo than a previous tombstone keeps the update between them', () => {
    expect(coalesced(['a', 9], ['a', 8, 'x', 100], ['a', 3])).toEqual({ a: [0, 1, 100], superseded: 0 })
  })

  test('does not affect other devices', () => {
    expect(coalesced(['a', 1, 'x', 100], ['b', 9])).toEqual({
      a: [undefined, 0, 100],
      b: [1, undefined, 0],
      superseded: 0,
    })
  })
})

test('coalescing no changes yields no devices', () => {
  expect(coalesced()).toEqual({ superseded: 0 })
})
