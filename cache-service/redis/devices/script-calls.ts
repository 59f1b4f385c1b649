import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { deviceKey } from '../../../shared/contract/keys.ts'
import type { DeviceDelete, DeviceWrite } from '../../core/records/plan.ts'

/** One call of a script: the keys of its devices, and one packed argument with one entry per device. */
export type ScriptCall = { readonly keys: readonly string[]; readonly packed: string }

/** The maximum number of devices, and of characters of packed entries, in a call. */
export type ScriptLimits = { readonly maxKeys: number; readonly maxBytes: number }

/** Entry: [expiry, last_updated, name, value, …]. JSON is the cheapest encoding that was measured (docs/performance.md). */
export function updateCalls(updates: readonly DeviceWrite[], limits: ScriptLimits): ScriptCall[] {
  return packCalls(updates, limits, (write) => [write.expiresAtMs, write.lastUpdated, ...write.fields])
}

/** Entry: the latest `last_updated` that the tombstone deletes. */
export function deleteCalls(deletes: readonly DeviceDelete[], limits: ScriptLimits): ScriptCall[] {
  return packCalls(deletes, limits, ({ deletesUpTo }) => deletesUpTo)
}

function packCalls<Write extends { readonly deviceId: DeviceId }>(
  writes: readonly Write[],
  limits: ScriptLimits,
  entryOf: (write: Write) => unknown,
): ScriptCall[] {
  const calls: ScriptCall[] = []
  let keys: string[] = []
  let entries: string[] = []
  let bytes = 0
  const close = () => {
    if (keys.length > 0) calls.push({ keys, packed: `[${entries.join(',')}]` })
    keys = []
    entries = []
    bytes = 0
  }
  for (const write of writes) {
    const entry = JSON.stringify(entryOf(write))
    if (keys.length === limits.maxKeys || bytes + entry.length > limits.maxBytes) close()
    keys.push(deviceKey(write.deviceId))
    entries.push(entry)
    bytes += entry.length
  }
  close()
  return calls
}
