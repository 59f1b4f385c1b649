import {
  DEVICE_INDEX_KEY,
  DEVICE_STREAM_KEY,
  LAG_GROUPS_KEY,
  SWEEPER_LEASE_KEY,
  UPDATE_STREAM_KEY,
  UPDATE_TYPES_KEY,
  UPDATER_GAPS_KEY,
  UPDATER_LEASE_KEY,
  WORKERS_KEY,
} from '../../shared/contract/keys.ts'

/** A key whose name is fixed, and the type that it must have, as TYPE reports it. */
export type FixedKey = { readonly key: string; readonly type: 'string' | 'set' | 'zset' | 'hash' | 'stream' }

export type MistypedKey = FixedKey & { readonly found: string }

const INDEX: FixedKey = { key: DEVICE_INDEX_KEY, type: 'set' }
const WORKERS: FixedKey = { key: WORKERS_KEY, type: 'zset' }
const LAG_GROUPS: FixedKey = { key: LAG_GROUPS_KEY, type: 'zset' }
const DEVICE_STREAM: FixedKey = { key: DEVICE_STREAM_KEY, type: 'stream' }
const UPDATE_STREAM: FixedKey = { key: UPDATE_STREAM_KEY, type: 'stream' }
const UPDATE_TYPES: FixedKey = { key: UPDATE_TYPES_KEY, type: 'set' }

/** The fixed keys that each role reads or changes. A key that is only set and deleted may have any type before. */
export const fixedKeys = {
  worker: (progressKey: string): readonly FixedKey[] => [
    INDEX,
    { key: progressKey, type: 'hash' },
    { key: SWEEPER_LEASE_KEY, type: 'string' },
    WORKERS,
    DEVICE_STREAM,
  ],
  api: (): readonly FixedKey[] => [INDEX, WORKERS, LAG_GROUPS, UPDATE_TYPES, UPDATE_STREAM, DEVICE_STREAM],
  'kv-updater': (): readonly FixedKey[] => [
    UPDATE_TYPES,
    UPDATE_STREAM,
    { key: UPDATER_LEASE_KEY, type: 'string' },
    { key: UPDATER_GAPS_KEY, type: 'string' },
  ],
  'lag-monitor': (): readonly FixedKey[] => [LAG_GROUPS],
}

/** @param types what TYPE replied for each key: `none` if there is no such key. */
export function mistypedKeys(keys: readonly FixedKey[], types: readonly string[]): MistypedKey[] {
  return keys.flatMap((key, i) => {
    const found = types[i] ?? 'none'
    return found === 'none' || found === key.type ? [] : [{ ...key, found }]
  })
}

export function mistypedText({ found, key, type }: MistypedKey): string {
  return `${key} is a ${found}, but must be a ${type}`
}

export const MISTYPED_FIX = 'find out what wrote it, then rename or delete it'
