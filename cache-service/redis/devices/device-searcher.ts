import { BoundedCache } from '../../core/bounded-cache.ts'
import type { DeviceReader } from '../../core/devices/device-view.ts'
import {
  type DeviceQuery,
  type DeviceSearcher,
  type FoundDevices,
  type SearchPosition,
} from '../../core/devices/device-query.ts'
import { rowAt } from '../../core/devices/search-table.ts'
import { runSliced } from '../../lifecycle/run-sliced.ts'
import { DeviceSnapshots, type Snapshot, type SnapshotDependencies } from './device-snapshots.ts'

const MAX_TYPES = 1_000
/** Of one snapshot: four bytes for each device that was found. */
const KEPT_SELECTIONS = 4

export type DeviceSearcherDependencies = SnapshotDependencies & {
  readonly reader: Pick<DeviceReader, 'readMany'>
}

export function createDeviceSearcher(dependencies: DeviceSearcherDependencies): DeviceSearcher {
  const { monotonicNow, reader } = dependencies
  const snapshots = new DeviceSnapshots(dependencies)
  const selections = new WeakMap<Snapshot, BoundedCache<Uint32Array>>()
  let previous: Promise<unknown> = Promise.resolve()

  /** One after another: each may need memory for all devices. */
  async function inTurn<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const turn = previous.then(() => {
      signal.throwIfAborted()
      return work()
    })
    previous = turn.catch(() => undefined)
    return await turn
  }

  async function select(
    snapshot: Snapshot,
    query: DeviceQuery,
    asOfMs: number,
    signal: AbortSignal,
  ): Promise<Uint32Array> {
    const kept = selections.get(snapshot) ?? new BoundedCache<Uint32Array>(Infinity, KEPT_SELECTIONS)
    selections.set(snapshot, kept)
    const key = JSON.stringify([
      { ...query, sort: query.sort.field },
      query.silentForS === undefined ? 0 : asOfMs,
    ])
    const known = kept.get(key)
    if (known !== undefined) return known
    const selected = await runSliced(snapshot.table.select(query, asOfMs), signal, monotonicNow)
    kept.set(key, selected, selected.byteLength)
    return selected
  }

  return {
    async find(query, position, signal) {
      const snapshot = await snapshots.get(position?.asOfMs, signal)
      const asOfMs = position?.asOfMs ?? snapshot.asOfMs
      const selected = await inTurn(() => select(snapshot, query, asOfMs, signal), signal)
      return foundDevices(snapshot, selected, { query, asOfMs, reader })
    },
    async countTypes(signal) {
      const { asOfMs, isTruncated, table } = await snapshots.get(undefined, signal)
      const types = await inTurn(() => runSliced(table.countTypes(), signal, monotonicNow), signal)
      return { types: types.slice(0, MAX_TYPES), total: table.length, asOfMs, isTruncated }
    },
  }
}

type Selection = {
  readonly query: DeviceQuery
  /** The time of the first page. */
  readonly asOfMs: number
  readonly reader: Pick<DeviceReader, 'readMany'>
}

function foundDevices(
  { asOfMs: snapshotMs, isTruncated, table }: Snapshot,
  selected: Uint32Array,
  { asOfMs, query: { sort }, reader }: Selection,
): FoundDevices {
  return {
    total: selected.length,
    asOfMs: snapshotMs,
    isTruncated,
    offsetAfter(position) {
      const count = table.countUpTo(selected, position)
      return sort.isDescending ? selected.length - count : count
    },
    positionAt(offset): SearchPosition | undefined {
      const row = offset < selected.length ? rowAt(selected, offset - 1, sort) : undefined
      if (row === undefined) return undefined
      return { asOfMs, sort, value: table.valueOf(row, sort.field), id: table.idOf(row) }
    },
    async read(offset, limit) {
      const ids = []
      for (let i = offset; i < Math.min(offset + limit, selected.length); i++) {
        const row = rowAt(selected, i, sort)
        if (row !== undefined) ids.push(table.idOf(row))
      }
      const readings = await reader.readMany(ids)
      return ids.map((deviceId, i) => ({ deviceId, reading: readings[i] ?? { kind: 'missing' } }))
    },
  }
}
