import { isDeviceId, type DeviceId } from '../../../shared/contract/device-id.ts'
import { redisError } from '../../../shared/errors.ts'
import { DEVICE_INDEX_KEY, deviceKey } from '../../../shared/contract/keys.ts'
import {
  renderDevice,
  type DeviceReadingPage,
  type DeviceReader,
  type DeviceReading,
  type PagePosition,
} from '../../core/devices/device-view.ts'
import { ELSEWHERE, isElsewhere, scatter } from '../cluster/scatter.ts'
import { replyOfOwner } from '../cluster/slots.ts'
import { redisReply } from '../reply.ts'
import { createScript, createScriptRunner, type ScriptTarget } from '../script.ts'
import { createDeviceIndex } from './device-index.ts'
import { readTogether } from './read-together.ts'
import { isCluster, type RedisClient } from '../redis-client.ts'

/** A running script blocks every other client of Redis: about 5 µs per device. */
const KEYS_PER_CALL = 128
/** Ids examined for one page: with a rare prefix, a single request must not scan the whole index. */
const SCANNED_PER_PAGE = 20_000
const SCANNED_PER_CALL = 2_000

export function createDeviceReader(redis: RedisClient): DeviceReader {
  const readDevices = createScript(new URL('./read-devices.lua', import.meta.url))
  const index = createDeviceIndex(redis)
  const removeDevice = createScriptRunner(redis, new URL('./remove-device.lua', import.meta.url))

  async function readMany(deviceIds: readonly DeviceId[]): Promise<DeviceReading[]> {
    return await scatter<DeviceId, DeviceReading>(redis, deviceIds, deviceKey, readOn, (error) => ({
      kind: 'unavailable',
      error,
    }))
  }

  async function readOn(target: ScriptTarget, deviceIds: readonly DeviceId[]) {
    const invocations = []
    for (let from = 0; from < deviceIds.length; from += KEYS_PER_CALL) {
      invocations.push({ keys: deviceIds.slice(from, from + KEYS_PER_CALL).map(deviceKey), args: [] })
    }
    const replies = (await readDevices(target, invocations)).flat(1)
    return deviceIds.map((deviceId, i) => parseReading(deviceId, replies[i]))
  }

  async function scan({ cursor, above }: PagePosition, prefix: string, count: number) {
    const pattern = `${prefix.replace(/[\\*?[\]]/g, '\\$&')}*`
    const scanned = redis.sscan(DEVICE_INDEX_KEY, cursor, 'MATCH', pattern, 'COUNT', count)
    const [next, ids] = await redisReply(scanned)
    // SSCAN may return an id twice.
    const valid = [...new Set(ids)].filter(isDeviceId)
    return { next, deviceIds: above === undefined ? valid : valid.filter((id) => id > above) }
  }

  /**
   * SSCAN may return more ids than COUNT, and a small set as a whole. Then COUNT is reduced, and if even COUNT 1 yields
   * too many, the page ends within the cursor's ids: `above` says where the next page continues.
   */
  async function pageOfIds(start: PagePosition, limit: number, prefix: string) {
    const found: DeviceId[] = []
    let position = start
    const usualCount = prefix === '' ? limit : SCANNED_PER_CALL
    // The rest of one cursor's ids is read with COUNT 1: a greater COUNT would mix in the ids of the next cursors.
    let count = start.above === undefined ? usualCount : 1
    let scanned = 0
    while (found.length < limit && scanned < SCANNED_PER_PAGE) {
      const { next, deviceIds } = await scan(position, prefix, count)
      const room = limit - found.length
      if (deviceIds.length <= room) {
        found.push(...deviceIds)
        scanned += count
        if (next === '0') return { found, next: undefined }
        if (position.above !== undefined) count = usualCount
        position = { cursor: next }
      } else if (count > 1) {
        count = Math.max(1, count >> 2)
      } else if (found.length > 0) {
        break
      } else {
        const taken = deviceIds.sort().slice(0, limit)
        return { found: taken, next: { cursor: position.cursor, above: taken.at(-1) } }
      }
    }
    return { found, next: position }
  }

  return {
    readMany,
    read: readTogether(readMany),
    async readHash(deviceId) {
      const key = deviceKey(deviceId)
      const fields = Object.entries(await replyOfOwner(redis, key, redis.hgetall(key)))
      if (fields.length === 0) return undefined
      return Object.fromEntries(fields.toSorted(([a], [b]) => (a < b ? -1 : 1)))
    },
    async page(start, limit, idPrefix): Promise<DeviceReadingPage> {
      const { found, next } = await pageOfIds(start, limit, idPrefix)
      const readings = await readMany(found)
      const devices = found.map((deviceId, i) => ({
        deviceId,
        reading: readings[i] ?? ({ kind: 'missing' } as const),
      }))
      return { devices, next }
    },
    async remove(deviceId) {
      if (isCluster(redis)) {
        const deleted = await redisReply(redis.del(deviceKey(deviceId)))
        await index.remove([deviceId])
        return deleted === 1
      }
      const [existed] = await removeDevice([
        { keys: [deviceKey(deviceId), DEVICE_INDEX_KEY], args: [deviceId] },
      ])
      return existed === 1
    },
  }
}

/** @param reply of read-devices.lua, for one key. */
function parseReading(deviceId: DeviceId, reply: unknown): DeviceReading | typeof ELSEWHERE {
  if (typeof reply === 'string') return { kind: 'found', json: reply }
  if (reply === null) return { kind: 'missing' }
  if (!Array.isArray(reply)) throw redisError(new Error('read-devices.lua returned an unexpected reply'))
  const [first, fields]: unknown[] = reply
  if (isElsewhere(first)) return ELSEWHERE
  if (typeof first === 'string') return { kind: 'corrupt', reason: 'The key does not hold a hash.' }
  if (typeof first !== 'number' || !Array.isArray(fields)) {
    throw redisError(new Error('read-devices.lua returned an unexpected reply'))
  }
  return renderDevice(deviceId, fields.map(String), first < 0 ? undefined : first)
}
