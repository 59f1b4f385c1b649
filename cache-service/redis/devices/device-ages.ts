import type { Redis } from 'ioredis'
import { redisError } from '../../../shared/errors.ts'
import { deviceKey } from '../../../shared/contract/keys.ts'
import { eventTimeFromMs } from '../../core/event-time.ts'
import type { DeviceIndex } from './device-index.ts'

export type DeviceAges = {
  readonly devices: number
  /** Of these: without a record since `beforeMs`, as far as can be told. */
  readonly older: number
}

/** The answer is on its way for a while, and two clocks differ. */
const SLACK_MS = 5_000

export type DeviceAgeOptions = {
  readonly beforeMs: number
  /** A hash expires so long after its latest record; 0: never, and `last_updated` must do. */
  readonly metadataTtlMs: number
  readonly now: () => number
  readonly stop: AbortSignal
  readonly progress: (devices: number) => void
}

/** Looks at every device. Rejects with a ServiceError, or with the signal's reason. */
export async function countDevicesBefore(
  redis: Redis,
  index: DeviceIndex,
  { beforeMs, metadataTtlMs, now, progress, stop }: DeviceAgeOptions,
): Promise<DeviceAges> {
  const before = eventTimeFromMs(beforeMs).text
  /** undefined: an id without a hash, which has expired, is no device. */
  async function isOlder(key: string): Promise<boolean | undefined> {
    const ttlMs = await redis.pttl(key)
    if (ttlMs === -2) return undefined
    if (metadataTtlMs > 0 && ttlMs >= 0) return now() + ttlMs + SLACK_MS - metadataTtlMs < beforeMs
    const lastUpdated = await redis.hget(key, 'last_updated').catch(() => null)
    return lastUpdated === null || lastUpdated < before
  }

  let devices = 0
  let older = 0
  let cursor = '0'
  try {
    do {
      stop.throwIfAborted()
      const page = await index.scan(cursor)
      cursor = page.cursor
      for (const answer of await Promise.all(page.deviceIds.map((id) => isOlder(deviceKey(id))))) {
        if (answer === undefined) continue
        devices++
        if (answer) older++
      }
      progress(devices)
    } while (cursor !== '0')
    return { devices, older }
  } catch (error) {
    stop.throwIfAborted()
    throw redisError(error)
  }
}
