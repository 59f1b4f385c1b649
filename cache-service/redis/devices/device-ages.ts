import { deviceKey } from '../../../shared/contract/keys.ts'
import { eventTimeFromMs } from '../../core/event-time.ts'
import { redisReply } from '../reply.ts'
import type { DeviceIndex } from './device-index.ts'
import type { RedisClient } from '../redis-client.ts'

export type DeviceAges = {
  readonly devices: number
  /** Of these, the devices without a record since `beforeMs`, as far as Redis can tell. */
  readonly older: number
}

/** Tolerance for the time that a reply takes and for clocks that differ. */
const SLACK_MS = 5_000

export type DeviceAgeOptions = {
  readonly beforeMs: number
  /** A hash expires this long after its latest record. 0: it never expires, and `last_updated` is compared instead. */
  readonly metadataTtlMs: number
  readonly now: () => number
  readonly stop: AbortSignal
  readonly progress: (devices: number) => void
}

/** Scans every device. Rejects with a ServiceError, or with the signal's reason. */
export async function countDevicesBefore(
  redis: RedisClient,
  index: DeviceIndex,
  { beforeMs, metadataTtlMs, now, progress, stop }: DeviceAgeOptions,
): Promise<DeviceAges> {
  const before = eventTimeFromMs(beforeMs).text
  /** Resolves with undefined for an id whose hash has expired: it does not count as a device. */
  async function isOlder(key: string): Promise<boolean | undefined> {
    const ttlMs = await redisReply(redis.pttl(key))
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
      for (const isOld of await Promise.all(page.deviceIds.map((id) => isOlder(deviceKey(id))))) {
        if (isOld === undefined) continue
        devices++
        if (isOld) older++
      }
      progress(devices)
    } while (cursor !== '0')
    return { devices, older }
  } catch (error) {
    // Closing the connection, as an abort does, also fails the commands under way.
    stop.throwIfAborted()
    throw error
  }
}
