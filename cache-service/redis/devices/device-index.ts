import type { Redis } from 'ioredis'
import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { redisError } from '../../../shared/errors.ts'
import { DEVICE_INDEX_KEY, deviceKey } from '../../../shared/contract/keys.ts'
import { createScriptRunner, readScript } from '../script.ts'

/** The set of the ids of all devices that have metadata. */
export type DeviceIndex = {
  /** Resolves when every id is in the index. */
  add(deviceIds: readonly DeviceId[]): Promise<void>
  /** Removes those ids whose hash does not exist; resolves with how many. */
  removeAbsent(deviceIds: readonly DeviceId[]): Promise<number>
  count(): Promise<number>
  /** Some ids, and where to go on; the cursor '0' begins and ends. An id may come twice. */
  scan(cursor: string): Promise<{ deviceIds: DeviceId[]; cursor: string }>
}

const SCAN_COUNT = 500
/** A script may unpack about 8,000 values; and it holds up every other client while it runs. */
const IDS_PER_CALL = 500

export function createDeviceIndex(redis: Redis): DeviceIndex {
  const unindexAbsent = createScriptRunner(
    redis,
    readScript(new URL('./unindex-absent.lua', import.meta.url)),
  )
  return {
    async add(deviceIds) {
      if (deviceIds.length === 0) return
      try {
        await redis.sadd(DEVICE_INDEX_KEY, ...deviceIds)
      } catch (error) {
        throw redisError(error)
      }
    },
    async removeAbsent(deviceIds) {
      const invocations = []
      for (let from = 0; from < deviceIds.length; from += IDS_PER_CALL) {
        const ids = deviceIds.slice(from, from + IDS_PER_CALL)
        invocations.push({ keys: [DEVICE_INDEX_KEY, ...ids.map(deviceKey)], args: ids })
      }
      const removed = await unindexAbsent(invocations)
      return removed.reduce<number>((sum, n) => sum + Number(n), 0)
    },
    async count() {
      try {
        return await redis.scard(DEVICE_INDEX_KEY)
      } catch (error) {
        throw redisError(error)
      }
    },
    async scan(cursor) {
      try {
        const [next, ids] = await redis.sscan(DEVICE_INDEX_KEY, cursor, 'COUNT', SCAN_COUNT)
        // Whatever is in the index and is no valid id has no hash of ours either: the sweeper may remove it.
        return { deviceIds: ids as DeviceId[], cursor: next }
      } catch (error) {
        throw redisError(error)
      }
    },
  }
}
