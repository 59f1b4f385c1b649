import type { z } from 'zod'
import { deviceSchema } from '../../shared/api-schemas.ts'
import type { ServerFacts } from '../core/redis-service.ts'
import type { WorkerReport } from '../core/worker-report.ts'
import type { WatchEvent } from './watch-events.ts'

export type Device = z.output<typeof deviceSchema>

export type SourcePage = {
  readonly devices: readonly Device[]
  /** Ids of what others have damaged, and what is wrong with it. */
  readonly damaged: ReadonlyMap<string, string>
  /** Where to go on; undefined at the end. */
  readonly next: string | undefined
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
  readonly streams: readonly ('update' | 'device')[]
  /** Called once: what happens from now on is not missed. */
  readonly onStart: () => void
}

/** Who is asked about the devices: Redis itself, or an API (`--api`). Every call rejects with what session.ts can tell of. */
export type DeviceSource = {
  /** At most `limit` devices whose ids begin with `idPrefix`; fewer, even none, does not mean the end. An id may come twice. */
  page(cursor: string | undefined, limit: number, idPrefix: string): Promise<SourcePage>
  /** At most MAX_LOOKUP_IDS ids. Those that no device can have are missing. */
  lookup(ids: readonly string[]): Promise<Lookup>
  /** Ids in the device index; undefined: nobody knows. */
  countDevices(): Promise<number | undefined>
  stats(): Promise<ServerFacts>
  workers(): Promise<readonly WorkerReport[]>
  /** Until the signal aborts; over a lost connection it goes on where it was, or yields a reset. */
  watch(filter: WatchFilter, stop: AbortSignal): AsyncIterable<WatchEvent>
}

/** @throws Error if it isn't what the service calls a device. */
export function deviceOf(json: string): Device {
  const device = deviceSchema.safeParse(JSON.parse(json))
  if (!device.success) throw new Error('a device is not what our own schema says', { cause: device.error })
  return device.data
}
