import { parseJson } from '../../../shared/json.ts'
import type { DeviceId } from '../../../shared/contract/device-id.ts'
import type { SortField } from '../../../shared/contract/api-types.ts'
import type { DeviceQuery, DeviceSort, SearchPosition, TypeCount } from './device-query.ts'
import type { DeviceTable, DeviceType } from './device-table.ts'
import { sortRows } from './sort-rows.ts'

const ROWS_PER_SLICE = 4096

/** A table in all orders in which it was asked for: each is sorted once. Work that takes long can be interrupted. */
export class SearchTable {
  readonly #table: DeviceTable
  readonly #byId: Uint32Array
  readonly #orders = new Map<SortField, Uint32Array>()

  private constructor(table: DeviceTable, byId: Uint32Array) {
    this.#table = table
    this.#byId = byId
    this.#orders.set('device_id', byId)
  }

  /** Rows with the same id occur once in it. */
  static *of(table: DeviceTable): Generator<void, SearchTable> {
    const rows = new Uint32Array(table.length)
    for (let row = 0; row < rows.length; row++) rows[row] = row
    const sorted = yield* sortRows(rows, (a, b) => table.compareIds(a, b))
    let length = 0
    for (let i = 0; i < sorted.length; i++) {
      const row = sorted[i] ?? 0
      if (length === 0 || table.compareIds(sorted[length - 1] ?? 0, row) !== 0) sorted[length++] = row
      if (i % ROWS_PER_SLICE === 0) yield
    }
    return new SearchTable(table, sorted.subarray(0, length))
  }

  get length(): number {
    return this.#byId.length
  }

  /** The rows that match, in the ascending order of the field. */
  *select(query: DeviceQuery, asOfMs: number): Generator<void, Uint32Array> {
    const order = yield* this.#orderBy(query.sort.field)
    const matches = this.#matcher(query, asOfMs)
    if (matches === undefined) return order
    const selected = new Uint32Array(order.length)
    let length = 0
    for (let i = 0; i < order.length; i++) {
      const row = order[i] ?? 0
      if (matches(row)) selected[length++] = row
      if (i % ROWS_PER_SLICE === 0) yield
    }
    // A copy, so that a search that finds little holds little memory.
    return selected.slice(0, length)
  }

  idOf(row: number): DeviceId {
    // Only valid ids are added to a table.
    return this.#table.idOf(row) as DeviceId
  }

  /** The value by which a row is sorted. */
  valueOf(row: number, field: SortField): number | string {
    if (field === 'device_id') return ''
    if (field === 'last_updated') return this.#table.updatedOf(row)
    return textOf(this.#table.types[this.#table.typeOf(row)], field)
  }

  /** How many of the selected rows precede or are at a position, in ascending order. */
  countUpTo(selected: Uint32Array, { id, sort, value }: SearchPosition): number {
    const idBytes = new TextEncoder().encode(id)
    const isUpTo = (row: number) => {
      const own = this.valueOf(row, sort.field)
      if (own !== value) return own < value
      const difference = this.#table.compareId(row, idBytes)
      return sort.isDescending ? difference < 0 : difference <= 0
    }
    let low = 0
    let high = selected.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isUpTo(selected[middle] ?? 0)) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The most frequent first. */
  *countTypes(): Generator<void, TypeCount[]> {
    const { types } = this.#table
    const counts = new Uint32Array(types.length)
    const rows = this.#byId
    for (let i = 0; i < rows.length; i++) {
      const type = this.#table.typeOf(rows[i] ?? 0)
      counts[type] = (counts[type] ?? 0) + 1
      if (i % ROWS_PER_SLICE === 0) yield
    }
    return types
      .map(({ id, name, unit }, type) => ({
        datatype_id: id,
        datatype_name: name,
        datatype_unit: unit,
        devices: counts[type] ?? 0,
      }))
      .toSorted((a, b) => b.devices - a.devices)
  }

  *#orderBy(field: SortField): Generator<void, Uint32Array> {
    const known = this.#orders.get(field)
    if (known !== undefined) return known
    // The sort is stable, so equal values stay in the order of the ids.
    const rows = this.#byId.slice()
    const table = this.#table
    const ranks = field === 'last_updated' ? undefined : this.#ranksOf(field)
    const sorted = yield* sortRows(
      rows,
      ranks === undefined
        ? (a, b) => table.updatedOf(a) - table.updatedOf(b)
        : (a, b) => (ranks[table.typeOf(a)] ?? 0) - (ranks[table.typeOf(b)] ?? 0),
    )
    this.#orders.set(field, sorted)
    return sorted
  }

  /** By type: where its value comes among those of all types. Equal values have equal ranks. */
  #ranksOf(field: SortField): Uint32Array {
    const texts = this.#table.types.map((type) => textOf(type, field))
    const ranked = new Map([...new Set(texts)].toSorted().map((text, rank) => [text, rank]))
    return Uint32Array.from(texts, (text) => ranked.get(text) ?? 0)
  }

  /** undefined: every row matches. */
  #matcher(query: DeviceQuery, asOfMs: number): ((row: number) => boolean) | undefined {
    const table = this.#table
    const { contains, prefix, silentForS, type, unit, updatedAfterUs, updatedBeforeUs } = query
    const tests: ((row: number) => boolean)[] = []
    if (type !== undefined || unit !== undefined) {
      const isWanted = table.types.map(
        (found) =>
          (type === undefined || isOfType(found, type)) && (unit === undefined || hasUnit(found, unit)),
      )
      tests.push((row) => isWanted[table.typeOf(row)] === true)
    }
    const silentSinceUs = silentForS === undefined ? Infinity : (asOfMs - silentForS * 1000) * 1000
    const beforeUs = Math.min(updatedBeforeUs ?? Infinity, silentSinceUs)
    if (beforeUs < Infinity) tests.push((row) => table.updatedOf(row) < beforeUs)
    if (updatedAfterUs !== undefined) tests.push((row) => table.updatedOf(row) > updatedAfterUs)
    if (prefix !== '') tests.push((row) => table.idOf(row).startsWith(prefix))
    if (contains !== '') {
      const wanted = contains.toLowerCase()
      tests.push((row) => table.idOf(row).toLowerCase().includes(wanted))
    }
    if (tests.length === 0) return undefined
    return (row) => tests.every((test) => test(row))
  }
}

/** Whether a sort in this direction reads the rows from the end. */
export function rowAt(
  selected: Uint32Array,
  offset: number,
  { isDescending }: DeviceSort,
): number | undefined {
  return selected[isDescending ? selected.length - 1 - offset : offset]
}

function textOf(type: DeviceType | undefined, field: SortField): string {
  if (field === 'datatype_unit') return type?.unit ?? ''
  return type?.name ?? type?.id ?? ''
}

function isOfType({ id, name }: DeviceType, wanted: string): boolean {
  if (wanted === '') return (id ?? '') === '' && (name ?? '') === ''
  return name === wanted || id === wanted
}

function hasUnit({ unit }: DeviceType, wanted: string): boolean {
  if ((unit ?? '') === wanted) return true
  if (unit === null || !/^\s*\[/.test(unit)) return false
  const members = parseJson(unit)
  return Array.isArray(members) && members.includes(wanted)
}
