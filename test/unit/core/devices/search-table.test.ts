import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SORT_FIELDS, type SortField } from '../../../../shared/contract/api-types.ts'
import {
  EVERY_DEVICE,
  type DeviceQuery,
  type DeviceSort,
} from '../../../../cache-service/core/devices/device-query.ts'
import {
  DeviceTable,
  NO_EVENT_TIME,
  type DeviceType,
} from '../../../../cache-service/core/devices/device-table.ts'
import { rowAt, SearchTable } from '../../../../cache-service/core/devices/search-table.ts'
import { isDeviceId } from '../../../../shared/contract/device-id.ts'
import { anyCharacter } from '../../../support/records/arbitrary-text.ts'

type Row = { readonly id: string; readonly type: DeviceType; readonly updatedUs: number }

const NO_TYPE: DeviceType = { id: null, name: null, unit: null }
const PLENTY = { maxDevices: 1_000_000, maxIdBytes: 100_000_000, maxTypeCharacters: 1_000_000 }
const AS_OF_MS = Date.parse('2026-01-01T00:00:00Z')

function finish<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

function tableOf(rows: readonly Row[]): SearchTable {
  const table = new DeviceTable(PLENTY)
  for (const { id, type, updatedUs } of rows) table.add(id, table.numberOf(type) ?? 0, updatedUs)
  return finish(SearchTable.of(table))
}

/** The ids in the order of the query. */
function search(table: SearchTable, query: Partial<DeviceQuery>): string[] {
  const complete = { ...EVERY_DEVICE, ...query }
  const selected = finish(table.select(complete, AS_OF_MS))
  return Array.from(selected, (_, i) => table.idOf(rowAt(selected, i, complete.sort) ?? 0))
}

const row = (id: string, type: Partial<DeviceType> = {}, secondsAgo?: number): Row => ({
  id,
  type: { ...NO_TYPE, ...type },
  updatedUs: secondsAgo === undefined ? NO_EVENT_TIME : (AS_OF_MS - secondsAgo * 1000) * 1000,
})

const bytewise = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

describe('a search', () => {
  const table = tableOf([
    row('hall-2', { name: 'Temperature', id: '7', unit: '°C' }, 10),
    row('Hall-1', { name: 'Humidity', id: '8', unit: '["%","°C"]' }, 3_600),
    row('roof-1', { id: '7' }, 3_601),
    row('roof-2'),
    row('größe', { name: '', unit: '[broken' }, 0),
  ])

  test.each<[string, Partial<DeviceQuery>, string[]]>([
    ['every device', {}, ['Hall-1', 'größe', 'hall-2', 'roof-1', 'roof-2']],
    ['the prefix of an id, as it is', { prefix: 'hall' }, ['hall-2']],
    ['a part of an id, in any case', { contains: 'ALL-' }, ['Hall-1', 'hall-2']],
    ['a part of an id that is not ASCII', { contains: 'RÖSS' }, []],
    ['a part of an id with an umlaut', { contains: 'RÖß' }, ['größe']],
    ['the name of a type', { type: 'Humidity' }, ['Hall-1']],
    ['the id of a type', { type: '7' }, ['hall-2', 'roof-1']],
    ['no type', { type: '' }, ['größe', 'roof-2']],
    ['a unit, alone or in a list', { unit: '°C' }, ['Hall-1', 'hall-2']],
    ['a list of units', { unit: '["%","°C"]' }, ['Hall-1']],
    ['a unit that only looks like a list', { unit: '[broken' }, ['größe']],
    ['no unit', { unit: '' }, ['roof-1', 'roof-2']],
    ['silence, which includes devices without a time', { silentForS: 3_600 }, ['roof-1', 'roof-2']],
    ['a time before which', { updatedBeforeUs: (AS_OF_MS - 10_000) * 1000 }, ['Hall-1', 'roof-1', 'roof-2']],
    ['a time after which', { updatedAfterUs: (AS_OF_MS - 10_000) * 1000 }, ['größe']],
    ['all conditions together', { type: '7', silentForS: 5, contains: 'l' }, ['hall-2']],
  ])('finds %s', (_title, query, ids) => {
    expect(search(table, query)).toEqual(ids)
  })

  test('sorts devices without a type name by the type id, and equal ones by id', () => {
    const sort: DeviceSort = { field: 'datatype_name', isDescending: false }
    const ascending = ['größe', 'roof-2', 'roof-1', 'Hall-1', 'hall-2']
    expect(search(table, { sort })).toEqual(ascending)
    expect(search(table, { sort: { ...sort, isDescending: true } })).toEqual(ascending.toReversed())
  })

  test('counts the devices of each type, the most frequent first', () => {
    const some = tableOf([
      row('a', { name: 'x' }),
      row('b', { name: 'y' }),
      row('c', { name: 'y' }),
      row('c', { name: 'y' }),
    ])
    expect(finish(some.countTypes())).toEqual([
      { datatype_id: null, datatype_name: 'y', datatype_unit: null, devices: 2 },
      { datatype_id: null, datatype_name: 'x', datatype_unit: null, devices: 1 },
    ])
  })
})

describe('properties of a search', () => {
  const anyType = fc.record({
    id: fc.constantFrom(null, '', 'a', 'b'),
    name: fc.constantFrom(null, '', 'x', 'y', 'ÿ', '🌡'),
    unit: fc.constantFrom(null, '%', '["%"]'),
  })
  const anyDeviceId = fc
    .array(anyCharacter, { minLength: 1, maxLength: 6 })
    .map((characters) => characters.join(''))
    .filter(isDeviceId)
  const anyRow = fc.record({
    id: anyDeviceId,
    type: anyType,
    updatedUs: fc.constantFrom(NO_EVENT_TIME, 1, 2, 3e15),
  })
  const anyRows = fc.array(anyRow, { maxLength: 1_200, size: 'max' })
  const anySort = fc.record({ field: fc.constantFrom(...SORT_FIELDS), isDescending: fc.boolean() })
  const valueOf = ({ type, updatedUs }: Row, field: SortField) => {
    if (field === 'last_updated') return updatedUs
    if (field === 'datatype_unit') return type.unit ?? ''
    return field === 'datatype_name' ? (type.name ?? type.id ?? '') : ''
  }

  test('it has every device once, in the order of the field and then of the bytes of the ids', () => {
    fc.assert(
      fc.property(anyRows, anySort, (rows, sort) => {
        const newest = new Map(rows.toReversed().map((one) => [one.id, one]))
        const expected = [...newest.values()]
          .toSorted((a, b) => {
            const [x, y] = [valueOf(a, sort.field), valueOf(b, sort.field)]
            return x < y ? -1 : x > y ? 1 : bytewise(a.id, b.id)
          })
          .map(({ id }) => id)
        const found = search(tableOf(rows), { sort })
        expect(found).toEqual(sort.isDescending ? expected.toReversed() : expected)
      }),
      { numRuns: 30 },
    )
  })

  test('a position leads to the next device, in the same snapshot and in one without the device', () => {
    fc.assert(
      fc.property(anyRows, anySort, fc.nat(), (rows, sort, seed) => {
        const table = tableOf(rows)
        const selected = finish(table.select({ ...EVERY_DEVICE, sort }, AS_OF_MS))
        fc.pre(selected.length > 0)
        const offset = seed % selected.length
        const at = rowAt(selected, offset, sort) ?? 0
        const position = { asOfMs: AS_OF_MS, sort, value: table.valueOf(at, sort.field), id: table.idOf(at) }
        const before = (found: SearchTable, all: Uint32Array) => {
          const count = found.countUpTo(all, position)
          return sort.isDescending ? all.length - count : count
        }
        expect(before(table, selected)).toBe(offset + 1)
        const later = tableOf(rows.filter(({ id }) => id !== position.id))
        expect(before(later, finish(later.select({ ...EVERY_DEVICE, sort }, AS_OF_MS)))).toBe(offset)
      }),
      { numRuns: 30 },
    )
  })
})

describe('a table', () => {
  test.each([
    ['devices', { maxDevices: 2 }, 2],
    ['bytes of ids', { maxIdBytes: 256 + 2 }, 3],
  ])('is full when it has the maximum of %s', (_what, limits, room) => {
    const table = new DeviceTable({ ...PLENTY, ...limits })
    const type = table.numberOf(NO_TYPE) ?? 0
    const added = ['a', 'b', 'c', 'd'].map((id) => table.add(id, type, 0))
    expect(added).toEqual([true, true, room > 2, false])
    expect(table.length).toBe(room)
  })

  test('has a maximum of types', () => {
    const table = new DeviceTable({ ...PLENTY, maxTypeCharacters: 31 })
    const numbers = ['a', 'b', 'a', 'c', 'd'].map((id) => table.numberOf({ ...NO_TYPE, id }))
    expect(numbers).toEqual([0, 1, 0, undefined, undefined])
  })

  test('grows to any number of devices with ids of any length', () => {
    const table = new DeviceTable(PLENTY)
    const type = table.numberOf(NO_TYPE) ?? 0
    const ids = Array.from(
      { length: 10_000 },
      (_, n) => '🌡'.repeat(n % 65).padEnd(1, 'x') + (n % 60 === 0 ? '' : 'y'),
    )
    for (const id of ids) table.add(id.slice(0, 128), type, 5)
    expect(table.length).toBe(10_000)
    expect([0, 64, 5_000, 9_999].map((at) => table.idOf(at))).toEqual(
      [0, 64, 5_000, 9_999].map((at) => ids[at]?.slice(0, 128)),
    )
  })
})
