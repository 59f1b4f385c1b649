import { deviceSchema, type Device } from '../../../shared/contract/api-schemas.ts'
import type { EventStreamName, WatchEvent } from '../../../shared/client/types.ts'
import type { ServerStats } from '../../core/server-stats.ts'
import type { WorkerReport } from '../../core/workers/worker-report.ts'
export type SourcePage = {
  readonly devices: readonly Device[]
  /** Ids of what others have damaged, and what is wrong with it. */
  readonly damaged: ReadonlyMap<string, string>
}

export type Lookup = {
  readonly found: ReadonlyMap<string, Device>
  readonly damaged: ReadonlyMap<string, string>
  /** False: the cache is being filled, and what is missing may yet come. */
  readonly isComplete: boolean
}

export type WatchFilter = {
  /** Nothing: every device. */
  readonly deviceIds: readonly string[]
  /** Nothing: every type. */
  readonly updateTypes: readonly string[]
  readonly streams: readonly EventStreamName[]
  /** Called once: what happens from now on is not missed. */
  readonly onStart: () => void
}

/** Who is asked about the devices: Redis itself, or an API (`--api`). Every call rejects with what session.ts can tell of. */
export type DeviceSource = {
  /** All devices whose ids begin with `idPrefix`, about `size` a page; a page may be empty, and an id may come twice. */
  pages(idPrefix: string, size: number): AsyncIterable<SourcePage>
  /** At most MAX_LOOKUP_IDS ids. Those that no device can have are missing. */
  lookup(ids: readonly string[]): Promise<Lookup>
  /** Ids in the device index; undefined: nobody knows. */
  countDevices(): Promise<number | undefined>
  stats(): Promise<ServerStats>
  workers(): Promise<readonly WorkerReport[]>
  /** Until the session stops; over a lost connection it goes on where it was, or yields a reset. */
  watch(filter: WatchFilter): AsyncIterable<WatchEvent>
}

/** @throws Error if it isn't what the service calls a device. */
export function deviceOf(json: string): Device {
  const device = deviceSchema.safeParse(JSON.parse(json))
  if (!device.success) throw new Error('a device is not what our own schema says', { cause: device.error })
  return device.data
}
