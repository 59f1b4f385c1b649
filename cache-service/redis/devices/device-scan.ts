import { isDeviceId, type DeviceId } from '../../../shared/contract/device-id.ts'
import { DEVICE_INDEX_KEY, deviceKey } from '../../../shared/contract/keys.ts'
import { redisError } from '../../../shared/errors.ts'
import { DeviceTable, NO_EVENT_TIME, type TableLimits } from '../../core/devices/device-table.ts'
import { eventTimeUs } from '../../core/event-time.ts'
import { ELSEWHERE, scatter } from '../cluster/scatter.ts'
import { redisReply } from '../reply.ts'
import { createScript } from '../script.ts'
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
  const scanDevices = createScript(new URL('./scan-devices.lua', import.meta.url))

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
        const rows = await scatter(redis, some, deviceKey, async (target, these: readonly DeviceId[]) => {
          const [reply] = await scanDevices(target, [{ keys: these.map(deviceKey), args: [] }])
          return rowsOf(table, these, reply)
        })
        for (const row of rows) {
          if (row === ABSENT) continue
          if (row.type === undefined || !table.add(row.id, row.type, row.updatedUs))
            return { table, isTruncated: true }
        }
        progress(table.length)
      }
      cursor = next
    } while (cursor !== '0')
    return { table, isTruncated: false }
  }
}

type Row = {
  readonly id: DeviceId
  /** undefined: the table has no room for it. */
  readonly type: number | undefined
  readonly updatedUs: number
}

const ABSENT = 'absent'

/** @returns a row for each id, with the number that the table gives to its type. */
function rowsOf(
  table: DeviceTable,
  ids: readonly DeviceId[],
  reply: unknown,
): (Row | typeof ABSENT | typeof ELSEWHERE)[] {
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
  return ids.map((id, i) => {
    const start = i * ROW_CHARACTERS
    const digits = rows.slice(start, start + TYPE_DIGITS)
    if (digits === '    ') return ABSENT
    if (digits === '????') return ELSEWHERE
    const updatedUs = eventTimeUs(rows.slice(start + TYPE_DIGITS, start + ROW_CHARACTERS)) ?? NO_EVENT_TIME
    return { id, type: numbers[Number(digits)], updatedUs }
  })
}
