import type { Redis } from 'ioredis'
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
import { createScriptRunner, readScript } from '../script.ts'

/** A script holds up every other client of Redis while it runs: about 5 µs a device. */
const KEYS_PER_CALL = 128
/** Ids that Redis looks at for one page: a rare prefix must not keep one request going for ever. */
const SCANNED_PER_PAGE = 20_000
const SCANNED_PER_CALL = 2_000

type Waiting = {
  readonly deviceId: DeviceId
  resolve(reading: DeviceReading): void
  reject(error: unknown): void
}

export function createDeviceReader(redis: Redis): DeviceReader {
  const readDevices = createScriptRunner(redis, readScript(new URL('./read-devices.lua', import.meta.url)))
  const removeDevice = createScriptRunner(redis, readScript(new URL('./remove-device.lua', import.meta.url)))
  let waiting: Waiting[] = []

  async function readMany(deviceIds: readonly DeviceId[]): Promise<DeviceReading[]> {
    const invocations = []
    for (let from = 0; from < deviceIds.length; from += KEYS_PER_CALL) {
      invocations.push({ keys: deviceIds.slice(from, from + KEYS_PER_CALL).map(deviceKey), args: [] })
    }
    const answers = (await readDevices(invocations)).flat(1)
    return deviceIds.map((deviceId, i) => readingOf(deviceId, answers[i]))
  }

  async function readWaiting(): Promise<void> {
    const batch = waiting
    waiting = []
    try {
      const readings = await readMany(batch.map(({ deviceId }) => deviceId))
      for (const [i, { resolve, reject }] of batch.entries()) {
        const reading = readings[i]
        if (reading === undefined) reject(new Error('a reading is missing'))
        else resolve(reading)
      }
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }

  async function scan({ cursor, above }: PagePosition, prefix: string, count: number) {
    try {
      const pattern = `${prefix.replace(/[\\*?[\]]/g, '\\$&')}*`
      const [next, ids] = await redis.sscan(DEVICE_INDEX_KEY, cursor, 'MATCH', pattern, 'COUNT', count)
      // Small sets come in one piece, and twice in pieces is allowed.
      const valid = [...new Set(ids)].filter(isDeviceId)
      return { next, deviceIds: above === undefined ? valid : valid.filter((id) => id > above) }
    } catch (error) {
      throw redisError(error)
    }
  }

  /** SSCAN gives more than it was asked for where the set is small; then the rest is for the next page. */
  async function pageOfIds(start: PagePosition, limit: number, prefix: string) {
    const found: DeviceId[] = []
    let position = start
    const usualCount = prefix === '' ? limit : SCANNED_PER_CALL
    // What is left of one cursor's ids: asked for more, Redis would mix them with those of the next ones.
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
    read(deviceId) {
      return new Promise((resolve, reject) => {
        // All that arrived meanwhile is parsed before the loop comes to its immediates.
        if (waiting.length === 0) setImmediate(() => void readWaiting())
        waiting.push({ deviceId, resolve, reject })
      })
    },
    async readHash(deviceId) {
      try {
        const fields = Object.entries(await redis.hgetall(deviceKey(deviceId)))
        if (fields.length === 0) return undefined
        return Object.fromEntries(fields.toSorted(([a], [b]) => (a < b ? -1 : 1)))
      } catch (error) {
        throw redisError(error)
      }
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
      const [existed] = await removeDevice([
        { keys: [deviceKey(deviceId), DEVICE_INDEX_KEY], args: [deviceId] },
      ])
      return existed === 1
    },
  }
}

/** The answers of read-devices.lua. */
function readingOf(deviceId: DeviceId, answer: unknown): DeviceReading {
  if (typeof answer === 'string') return { kind: 'found', json: answer }
  if (answer === null) return { kind: 'missing' }
  if (!Array.isArray(answer)) throw redisError(new Error('read-devices answered something else'))
  const [first, fields]: unknown[] = answer
  if (typeof first === 'string') return { kind: 'corrupt', reason: 'the key holds another type' }
  if (typeof first !== 'number' || !Array.isArray(fields)) {
    throw redisError(new Error('read-devices answered something else'))
  }
  return renderDevice(deviceId, fields.map(String), first < 0 ? undefined : first)
}
