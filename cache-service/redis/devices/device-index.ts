import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { DEVICE_INDEX_KEY, deviceKey } from '../../../shared/contract/keys.ts'
import { redisError } from '../../../shared/errors.ts'
import { ELSEWHERE, isElsewhere, scatter } from '../cluster/scatter.ts'
import { isCluster, type RedisClient } from '../redis-client.ts'
import { redisReplies, redisReply } from '../reply.ts'
import { createScript, createScriptRunner } from '../script.ts'

/**
 * The set of the ids of all devices that have metadata. The scripts that write the hashes add the ids (device-writer.ts), except
 * in a Cluster, where the set is on one of the masters: then a hash is written before its id is added, and what removes
 * an id looks for the hash once more. Rejects with a ServiceError.
 */
export type DeviceIndex = {
  /** For devices whose hashes exist. */
  add(deviceIds: readonly DeviceId[]): Promise<void>
  /** For devices whose hashes do not exist. A device that returns meanwhile stays in the index. */
  remove(deviceIds: readonly DeviceId[]): Promise<void>
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
  const findAbsent = createScript(new URL('./find-absent.lua', import.meta.url))

  async function add(deviceIds: readonly DeviceId[]): Promise<void> {
    await redisReplies(pagesOf(deviceIds).map((ids) => redis.sadd(DEVICE_INDEX_KEY, ...ids)))
  }

  async function remove(deviceIds: readonly DeviceId[]): Promise<void> {
    if (deviceIds.length === 0) return
    await redisReplies(pagesOf(deviceIds).map((ids) => redis.srem(DEVICE_INDEX_KEY, ...ids)))
    const areAbsent = await areHashesAbsent(deviceIds)
    await add(deviceIds.filter((_, i) => areAbsent[i] === false))
  }

  async function areHashesAbsent(deviceIds: readonly DeviceId[]): Promise<boolean[]> {
    return await scatter(redis, deviceIds, deviceKey, async (target, some: readonly DeviceId[]) => {
      const replies = (
        await findAbsent(
          target,
          pagesOf(some).map((ids) => ({ keys: ids.map(deviceKey), args: [] })),
        )
      ).flat(1)
      return replies.map((reply) => {
        if (isElsewhere(reply)) return ELSEWHERE
        if (typeof reply === 'string') throw redisError(new Error(reply))
        return reply === 1
      })
    })
  }

  return {
    add,
    remove,
    async removeAbsent(deviceIds) {
      if (isCluster(redis)) {
        const areAbsent = await areHashesAbsent(deviceIds)
        const absent = deviceIds.filter((_, i) => areAbsent[i])
        await remove(absent)
        return absent.length
      }
      const removed = await unindexAbsent(
        pagesOf(deviceIds).map((ids) => ({ keys: [DEVICE_INDEX_KEY, ...ids.map(deviceKey)], args: ids })),
      )
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

function pagesOf(ids: readonly DeviceId[]): DeviceId[][] {
  const pages: DeviceId[][] = []
  for (let from = 0; from < ids.length; from += IDS_PER_CALL) pages.push(ids.slice(from, from + IDS_PER_CALL))
  return pages
}
