import { isDeviceId } from '../../../shared/contract/device-id.ts'
import { DEVICE_INDEX_KEY, deviceKey } from '../../../shared/contract/keys.ts'
import { redisError } from '../../../shared/errors.ts'
import { DeviceTable, NO_EVENT_TIME, type TableLimits } from '../../core/devices/device-table.ts'
import { eventTimeUs } from '../../core/event-time.ts'
import { redisReply } from '../reply.ts'
import { createScriptRunner } from '../script.ts'
import type { RedisClient } from '../redis-client.ts'

/** A running script blocks every other client of Redis: 5 to 10 µs per device. */
const KEYS_PER_CALL = 128
const SCAN_COUNT = 1_000
const TYPE_DIGITS = 4
const ROW_CHARACTERS = 36

export type DeviceScan = {
  readonly table: DeviceTable
  /** The table became full before the scan was complete. */
  readonly isTruncated: boolean
}

export type DeviceScanOptions = {
  readonly limits: TableLimits
  readonly signal: AbortSignal
  /** @param devices the number of devices read so far. */
  readonly progress: (devices: number) => void
}

/**
 * Returns a function that reads all devices, one call after another, so that other clients of Redis are served in between.
 * It rejects with a ServiceError, or with the reason of the signal. A device may occur twice in the table.
 */
export function createDeviceScan(redis: RedisClient) {
  const scanDevices = createScriptRunner(redis, new URL('./scan-devices.lua', import.meta.url))

  return async function scan({ limits, progress, signal }: DeviceScanOptions): Promise<DeviceScan> {
    const table = new DeviceTable(limits)
    let cursor = '0'
    do {
      signal.throwIfAborted()
      const [next, found] = await redisReply(redis.sscan(DEVICE_INDEX_KEY, cursor, 'COUNT', SCAN_COUNT))
      const ids = found.filter(isDeviceId)
      for (let from = 0; from < ids.length; from += KEYS_PER_CALL) {
        signal.throwIfAborted()
        const some = ids.slice(from, from + KEYS_PER_CALL)
        const [reply] = await scanDevices([{ keys: some.map(deviceKey), args: [] }])
        if (!addRows(table, some, reply)) return { table, isTruncated: true }
        progress(table.length)
      }
      cursor = next
    } while (cursor !== '0')
    return { table, isTruncated: false }
  }
}

/** @returns false if the table is full. */
function addRows(table: DeviceTable, ids: readonly string[], reply: unknown): boolean {
  const [types, rows]: unknown[] = Array.isArray(reply) ? reply : []
  if (!Array.isArray(types) || typeof rows !== 'string' || rows.length !== ids.length * ROW_CHARACTERS) {
    throw redisError(new Error('scan-devices.lua returned an unexpected reply'))
  }
  const texts = types.map((text) => (text === '' ? null : String(text).slice(1)))
  const numbers: (number | undefined)[] = []
  for (let i = 0; i < texts.length; i += 3) {
    numbers.push(
      table.numberOf({ id: texts[i] ?? null, name: texts[i + 1] ?? null, unit: texts[i + 2] ?? null }),
    )
  }
  for (const [i, id] of ids.entries()) {
    const start = i * ROW_CHARACTERS
    const digits = rows.slice(start, start + TYPE_DIGITS)
    if (digits === '    ') continue
    const type = numbers[Number(digits)]
    const updatedUs = eventTimeUs(rows.slice(start + TYPE_DIGITS, start + ROW_CHARACTERS)) ?? NO_EVENT_TIME
    if (type === undefined || !table.add(id, type, updatedUs)) return false
  }
  return true
}
