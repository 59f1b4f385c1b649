import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { DEVICE_INDEX_KEY, deviceKey } from '../../../shared/contract/keys.ts'
import { redisReply } from '../reply.ts'
import { createScriptRunner } from '../script.ts'
import type { RedisClient } from '../redis-client.ts'

/**
 * The set of the ids of all devices that have metadata. The scripts that write the hashes add the ids
 * (device-writer.ts). Rejects with a ServiceError.
 */
export type DeviceIndex = {
  /** Removes the ids whose hash does not exist. Resolves with the number of removed ids. */
  removeAbsent(deviceIds: readonly DeviceId[]): Promise<number>
  count(): Promise<number>
  /** A page of ids and the cursor of the next page; the cursor '0' begins and ends a scan. An id may occur twice. */
  scan(cursor: string): Promise<{ deviceIds: DeviceId[]; cursor: string }>
}

const SCAN_COUNT = 500
/** Lua can unpack about 8,000 values, and a running script blocks every other client. */
const IDS_PER_CALL = 500

export function createDeviceIndex(redis: RedisClient): DeviceIndex {
  const unindexAbsent = createScriptRunner(redis, new URL('./unindex-absent.lua', import.meta.url))
  return {
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
      return await redisReply(redis.scard(DEVICE_INDEX_KEY))
    },
    async scan(cursor) {
      const [next, ids] = await redisReply(redis.sscan(DEVICE_INDEX_KEY, cursor, 'COUNT', SCAN_COUNT))
      // The index may contain an invalid id that another program added. It has no device hash, so the sweeper may
      // remove it like any other.
      return { deviceIds: ids as DeviceId[], cursor: next }
    },
  }
}
