import { deviceSchema, type Device } from '../../../shared/contract/api-schemas.ts'
import type { EventStreamName, WatchEvent } from '../../../shared/client/types.ts'
import type { DeviceQuery } from '../../core/devices/device-query.ts'
import type { ServerStats } from '../../core/server-stats.ts'
import type { LagReport } from '../../core/workers/lag-report.ts'
import type { WorkerReport } from '../../core/workers/worker-report.ts'

export type SourcePage = {
  readonly devices: readonly Device[]
  /** Ids of devices whose hash is corrupt, with the reason. */
  readonly corrupt: ReadonlyMap<string, string>
  /** Ids of devices on a master of a Redis Cluster that fails, with the reason. */
  readonly unavailable: ReadonlyMap<string, string>
}

export type FoundPage = SourcePage & {
  /** Number of devices found, on all pages together. */
  readonly total: number
  /** There are more devices than a search covers: further ones may match. */
  readonly isTruncated: boolean
}

export type Lookup = {
  readonly found: ReadonlyMap<string, Device>
  readonly corrupt: ReadonlyMap<string, string>
  /** Ids of which it can't be known whether they exist, because a master of a Redis Cluster fails, with the reason. */
  readonly unavailable: ReadonlyMap<string, string>
  /** False: the cache is still being filled, so missing devices may appear later. */
  readonly isComplete: boolean
}

export type WatchFilter = {
  /** Empty: every device. */
  readonly deviceIds: readonly string[]
  /** Empty: every type. */
  readonly updateTypes: readonly string[]
  readonly streams: readonly EventStreamName[]
  /** Called once, as soon as no further event can be missed. */
  readonly onStart: () => void
}

/** Where devices are read from: Redis itself, or an API (`--api`). Calls reject with errors that `failureOf` can explain. */
export type DeviceSource = {
  /** All devices whose ids start with `idPrefix`, about `size` per page. A page may be empty, and an id may repeat. */
  pages(idPrefix: string, size: number): AsyncIterable<SourcePage>
  /** The devices that match, in the order of the query, `size` per page. A page may be short or empty. */
  search(query: DeviceQuery, size: number): AsyncIterable<FoundPage>
  /** @param ids at most MAX_LOOKUP_IDS; invalid ids count as missing. */
  lookup(ids: readonly string[]): Promise<Lookup>
  /** Removes a device until its next record. @returns whether it existed. @param id a valid one. */
  remove(id: string): Promise<boolean>
  /** The key-values of the kv-updater. @param type undefined: all; otherwise empty if it does not exist. */
  state(type: string | undefined): Promise<ReadonlyMap<string, unknown>>
  /** The number of ids in the device index; undefined: not known. */
  countDevices(): Promise<number | undefined>
  stats(): Promise<ServerStats>
  workers(): Promise<readonly WorkerReport[]>
  /** Of each group that a lag monitor measures. */
  lagReports(): Promise<readonly LagReport[]>
  /** Ends when the session stops. After a lost connection it resumes at its position, or yields a reset. */
  watch(filter: WatchFilter): AsyncIterable<WatchEvent>
}

/** @throws Error if the JSON does not match the schema of a device. */
export function deviceOf(json: string): Device {
  const device = deviceSchema.safeParse(JSON.parse(json))
  if (!device.success) throw new Error('the device does not match its schema', { cause: device.error })
  return device.data
}
