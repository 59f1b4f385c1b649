import type { DeviceId } from './device-id.ts'

/** Every Redis key that this service reads or writes is named here. */

/** Set of the ids of all devices with metadata. */
export const DEVICE_INDEX_KEY = 'devices'

/** All of our bookkeeping begins with this; devices and their index are the platform's. */
export const OWN_KEY_PREFIX = 'cache_service:'

export const DEVICE_KEY_PREFIX = 'device:'
const DEVICE_KEY_SUFFIX = ':metadata'

export function deviceKey(deviceId: DeviceId): string {
  return DEVICE_KEY_PREFIX + deviceId + DEVICE_KEY_SUFFIX
}

/**
 * Hash, partition → the next offset whose record is not known to be in this Redis; and
 * `<partition>:until` → the offset at which a rebuild of the partition is complete, while one is under way.
 */
export function progressKey(consumerGroup: string): string {
  return `${OWN_KEY_PREFIX}progress:${consumerGroup}`
}

/** Written every few seconds to learn whether Redis takes writes (PING succeeds even when it does not). */
export function probeKey(clientId: string): string {
  return `${OWN_KEY_PREFIX}probe:${clientId}`
}

export const SWEEPER_LEASE_KEY = `${OWN_KEY_PREFIX}lease:sweeper`

// ---- state and events

/** Set of the types that the kv-updater has written: each is itself the key of a value. */
export const UPDATE_TYPES_KEY = `${OWN_KEY_PREFIX}update_types`

/** Capped streams, apart so that a busy fleet does not evict the updates (core/stream-entry.ts). */
export const UPDATE_STREAM_KEY = `${OWN_KEY_PREFIX}events:update`
export const DEVICE_STREAM_KEY = `${OWN_KEY_PREFIX}events:device`

/** Its holder alone appends updates to the stream. */
export const UPDATER_LEASE_KEY = `${OWN_KEY_PREFIX}lease:updater`

/** Exists while somebody listens to the events of devices. */
export const LISTENING_KEY = `${OWN_KEY_PREFIX}listening`

// ---- what the workers report

/** Sorted set, worker id → when it last reported (ms since 1970). */
export const WORKERS_KEY = `${OWN_KEY_PREFIX}workers`

export function workerReportKey(workerId: string): string {
  return `${OWN_KEY_PREFIX}worker:${workerId}`
}

// ---- dead letters that were replayed

/** Bitmap of a run of a partition's dead letters (redis/replay-ledger.ts). */
export function replayedKey(errorTopic: string, partition: number, run: number): string {
  return `${OWN_KEY_PREFIX}replayed:${errorTopic}:${partition}:${run}`
}
