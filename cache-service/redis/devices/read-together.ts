import type { DeviceId } from '../../../shared/contract/device-id.ts'
import type { AvailableReading, DeviceReader } from '../../core/devices/device-view.ts'

type Waiting = {
  readonly deviceId: DeviceId
  resolve(reading: AvailableReading): void
  reject(error: unknown): void
}

/**
 * Reads the single devices that are asked for in one turn of the event loop by one call of `readMany`. Requests that arrive in a
 * turn are parsed before it runs its immediates.
 */
export function readTogether(readMany: DeviceReader['readMany']): DeviceReader['read'] {
  let waiting: Waiting[] = []

  async function readWaiting(): Promise<void> {
    const batch = waiting
    waiting = []
    try {
      const readings = await readMany(batch.map(({ deviceId }) => deviceId))
      for (const [i, { resolve, reject }] of batch.entries()) {
        const reading = readings[i]
        if (reading === undefined) reject(new Error('a device is missing in the batch that was read'))
        else if (reading.kind === 'unavailable') reject(reading.error)
        else resolve(reading)
      }
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }

  return (deviceId) =>
    new Promise((resolve, reject) => {
      if (waiting.length === 0) setImmediate(() => void readWaiting())
      waiting.push({ deviceId, resolve, reject })
    })
}
