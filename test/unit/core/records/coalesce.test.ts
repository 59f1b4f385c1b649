import { describe, expect, test } from 'vitest'
import { coalesce, type Change } from '../../../../cache-service/core/records/coalesce.ts'
import { deviceId } from '../../../support/records/record-builder.ts'

const at = (second: number) => `2025-06-08T18:27:${String(second).padStart(2, '0')}.000000+00:00`

/** `['a', 5, 'x', 100]`: an update of a, of second 5, with content x, expiring at 100. `['a', 5]`: a tombstone up to it. */
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

/** By device: index of the tombstone, index of the update, expiry. */
function coalesced(...rows: Row[]) {
  const { devices, superseded } = coalesce(changes(rows))
  const found = [...devices].map(([id, { tombstone, update, expiresAtMs }]) => [
    id,
    [tombstone?.index, update?.index, expiresAtMs],
  ])
  return { ...Object.fromEntries(found), superseded }
}

describe('the updates of a device', () => {
  test('become the latest one', () => {
    expect(coalesced(['a', 1, 'x', 100], ['a', 3, 'x', 100], ['a', 2, 'x', 100])).toEqual({
      a: [undefined, 1, 100],
      superseded: 2,
    })
  })

  test('become the one of the greatest content, at equal times', () => {
    expect(coalesced(['a', 1, 'x', 100], ['a', 1, 'z', 100], ['a', 1, 'y', 100])).toEqual({
      a: [undefined, 1, 100],
      superseded: 2,
    })
  })

  test('become the first one, if they are all the same', () => {
    expect(coalesced(['a', 1, 'x', 100], ['a', 1, 'x', 100])).toEqual({
      a: [undefined, 0, 100],
      superseded: 1,
    })
  })

  test('leave their expiry behind, even those that lose', () => {
    expect(coalesced(['a', 2, 'x', 100], ['a', 1, 'x', 300], ['a', 1, 'y', 200])).toEqual({
      a: [undefined, 0, 300],
      superseded: 2,
    })
  })

  test('have nothing to do with those of another', () => {
    expect(coalesced(['a', 1, 'x', 100], ['b', 2, 'x', 200], ['a', 2, 'x', 100])).toEqual({
      a: [undefined, 2, 100],
      b: [undefined, 1, 200],
      superseded: 1,
    })
  })
})

describe('a tombstone', () => {
  test('takes the updates before it, and their expiry', () => {
    expect(coalesced(['a', 1, 'x', 300], ['a', 2, 'x', 300], ['a', 9])).toEqual({
      a: [2, undefined, 0],
      superseded: 2,
    })
  })

  test('goes before the updates after it, which are applied to nothing', () => {
    expect(coalesced(['a', 3, 'x', 300], ['a', 9], ['a', 2, 'x', 100])).toEqual({
      a: [1, 2, 100],
      superseded: 1,
    })
  })

  test('leaves an update that is later than it may delete', () => {
    expect(coalesced(['a', 10, 'x', 300], ['a', 9], ['a', 2, 'x', 100])).toEqual({
      a: [1, 0, 300],
      superseded: 1,
    })
  })

  test('deletes what is exactly as late as it may delete', () => {
    expect(coalesced(['a', 9, 'x', 300], ['a', 9])).toEqual({ a: [1, undefined, 0], superseded: 1 })
  })

  test('of several counts the one that deletes most, for what Redis holds', () => {
    expect(coalesced(['a', 5], ['a', 9], ['a', 7])).toEqual({ a: [1, undefined, 0], superseded: 0 })
  })

  test('that deletes less than one before takes no update that came between', () => {
    expect(coalesced(['a', 9], ['a', 8, 'x', 100], ['a', 3])).toEqual({ a: [0, 1, 100], superseded: 0 })
  })

  test('has nothing to do with other devices', () => {
    expect(coalesced(['a', 1, 'x', 100], ['b', 9])).toEqual({
      a: [undefined, 0, 100],
      b: [1, undefined, 0],
      superseded: 0,
    })
  })
})

test('nothing becomes nothing', () => {
  expect(coalesced()).toEqual({ superseded: 0 })
})
