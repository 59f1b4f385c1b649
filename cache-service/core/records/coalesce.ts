import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { compareStates } from './order.ts'
import type { DeviceUpdate, Tombstone } from './parse-record.ts'

/** A parsed record that changes a device, with its index in the chunk. */
export type Change =
  | { readonly kind: 'update'; readonly index: number; readonly update: DeviceUpdate }
  | { readonly kind: 'tombstone'; readonly index: number; readonly tombstone: Tombstone }

/** What one chunk does to one device: first the delete, if any, then the update. */
export type DeviceChange = {
  tombstone: { readonly index: number; readonly tombstone: Tombstone } | undefined
  update: { readonly index: number; readonly update: DeviceUpdate } | undefined
  /**
   * The latest expiry of all updates since the last tombstone, superseded ones included. Expiry is maximised
   * independently, so that the outcome depends neither on the order of the records nor on their grouping.
   */
  expiresAtMs: number
}

export type Coalesced = {
  readonly devices: ReadonlyMap<DeviceId, DeviceChange>
  /** Number of updates that lost to a greater one in the chunk, or to a later tombstone. */
  readonly superseded: number
}

/** The greatest update per device of one chunk (order.ts). A chunk is written and resolved as a whole. */
export function coalesce(changes: Iterable<Change>): Coalesced {
  const devices = new Map<DeviceId, DeviceChange>()
  let superseded = 0
  for (const change of changes) {
    const { deviceId } = change.kind === 'update' ? change.update : change.tombstone
    let device = devices.get(deviceId)
    if (device === undefined) {
      device = { tombstone: undefined, update: undefined, expiresAtMs: 0 }
      devices.set(deviceId, device)
    }
    if (change.kind === 'update') {
      if (device.update !== undefined) superseded++
      applyUpdate(device, change)
    } else if (applyTombstone(device, change)) {
      superseded++
    }
  }
  return { devices, superseded }
}

function applyUpdate(device: DeviceChange, change: Change & { kind: 'update' }): void {
  const { update } = change
  if (device.update === undefined || compareStates(device.update.update, update) < 0) device.update = change
  if (update.expiresAtMs > device.expiresAtMs) device.expiresAtMs = update.expiresAtMs
}

/** True if the tombstone removed an earlier update. It keeps an update that it would not delete from Redis. */
function applyTombstone(device: DeviceChange, change: Change & { kind: 'tombstone' }): boolean {
  const { deletesUpTo } = change.tombstone
  if (device.tombstone === undefined || device.tombstone.tombstone.deletesUpTo < deletesUpTo) {
    device.tombstone = change
  }
  if (device.update === undefined || device.update.update.lastUpdated > deletesUpTo) return false
  device.update = undefined
  device.expiresAtMs = 0
  return true
}
