import type { DeviceId } from './device-id.ts'

/** The names of all Redis keys that this service reads or writes, apart from those that callers choose. */

/** Set: the ids of all devices with metadata. */
export const DEVICE_INDEX_KEY = 'devices'

/** Of this service's own bookkeeping; devices and their index belong to the platform. */
export const OWN_KEY_PREFIX = 'cache_service:'

export const DEVICE_KEY_PREFIX = 'device:'
const DEVICE_KEY_SUFFIX = ':metadata'

export function deviceKey(deviceId: DeviceId): string {
  return DEVICE_KEY_PREFIX + deviceId + DEVICE_KEY_SUFFIX
}

/** The reverse of `deviceKey`; undefined: the key is another one. The id may be one that no device can have. */
export function deviceIdOf(key: string): DeviceId | undefined {
  if (!key.startsWith(DEVICE_KEY_PREFIX) || !key.endsWith(DEVICE_KEY_SUFFIX)) return undefined
  return key.slice(DEVICE_KEY_PREFIX.length, -DEVICE_KEY_SUFFIX.length) as DeviceId
}

/**
 * Hash: partition → the next offset whose record is not known to be in this Redis; and `<partition>:until` → the offset
 * at which the rebuild of the partition is complete, while one is in progress; and `<partition>:requested`, from the
 * request for a rebuild until it begins; and `<partition>:part`, from one script call of a chunk to the next.
 */
export function progressKey(consumerGroup: string, topic: string): string {
  return `${OWN_KEY_PREFIX}progress:${consumerGroup}:${topic}`
}

/**
 * The copy of the same on one master of a Cluster; also `<partition>:slots` → a digest of the slots that it claims, and the master.
 * @param tag of its slot.
 */
export function progressCopyKey(tag: string, consumerGroup: string, topic: string): string {
  return taggedKey(tag, progressKey(consumerGroup, topic))
}

/** A key of our own, with a hash tag that decides its slot in a Cluster. */
export function taggedKey(tag: string, key: string): string {
  return `${OWN_KEY_PREFIX}{${tag}}:${key.slice(OWN_KEY_PREFIX.length)}`
}

/** Written every few seconds to check that Redis accepts writes (PING succeeds even when it does not). */
export function probeKey(clientId: string): string {
  return `${OWN_KEY_PREFIX}probe:${clientId}`
}

/** Changed every half second by an API, to see that Redis reports changes (redis/devices/read-tracking.ts). */
export function trackingKey(processId: string): string {
  return `${OWN_KEY_PREFIX}tracking:${processId}`
}

export const SWEEPER_LEASE_KEY = `${OWN_KEY_PREFIX}lease:sweeper`

// ---- state and events

/** What one command or script uses together has one hash tag, so that a Cluster keeps it in one slot. */
const EVENTS_PREFIX = `${OWN_KEY_PREFIX}{events}:`

/** Set: the types that the kv-updater has written; each type is itself the key of its value. */
export const UPDATE_TYPES_KEY = `${EVENTS_PREFIX}types`

/** Capped streams (core/events/stream-entry.ts): two, so that a busy fleet does not evict the updates. */
export const UPDATE_STREAM_KEY = `${EVENTS_PREFIX}update`
export const DEVICE_STREAM_KEY = `${EVENTS_PREFIX}device`

/** Only its holder appends updates to the stream. */
export const UPDATER_LEASE_KEY = `${EVENTS_PREFIX}lease`

/** Number of gaps that holders of the lease have appended (core/events/append-duty.ts). */
export const UPDATER_GAPS_KEY = `${EVENTS_PREFIX}gaps`

/** Channel of a kv-updater (redis/cluster/echoes.ts). */
export function echoChannel(processId: string): string {
  return `${OWN_KEY_PREFIX}echo:${processId}`
}

/** Exists while a client follows device events. */
export const LISTENING_KEY = `${OWN_KEY_PREFIX}listening`

// ---- worker reports

const WORKERS_PREFIX = `${OWN_KEY_PREFIX}{workers}:`

/** Sorted set: worker id → time of its last report (ms since 1970). */
export const WORKERS_KEY = `${WORKERS_PREFIX}index`

export function workerReportKey(workerId: string): string {
  return `${WORKERS_PREFIX}report:${workerId}`
}

// ---- reports of the lag monitor

const LAG_PREFIX = `${OWN_KEY_PREFIX}{lag}:`

/** Sorted set: consumer group → time of its last report (ms since 1970). */
export const LAG_GROUPS_KEY = `${LAG_PREFIX}index`

export function lagReportKey(consumerGroup: string): string {
  return `${LAG_PREFIX}report:${consumerGroup}`
}

/** Beside the reports: if it can be written, they can. */
export function lagProbeKey(processId: string): string {
  return `${LAG_PREFIX}probe:${processId}`
}

// ---- replayed dead letters

/** Bitmap of a run of dead letters of one partition (replay-ledger.ts). */
export function replayedKey(errorTopic: string, partition: number, run: number): string {
  return `${OWN_KEY_PREFIX}replayed:${errorTopic}:${partition}:${run}`
}
