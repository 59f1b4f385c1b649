import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { redisError } from '../../../shared/errors.ts'
import type { DeviceCache } from '../../core/devices/device-cache.ts'
import type { DeviceReader, DeviceReading } from '../../core/devices/device-view.ts'
import { readTogether } from './read-together.ts'

export type CachedReaderDependencies = {
  /** On any connection. */
  readonly reader: DeviceReader
  /** On the connection whose reads Redis tracks (read-tracking.ts). Used only while it does. */
  readonly trackedReader: Pick<DeviceReader, 'readMany'>
  readonly cache: DeviceCache
  /** Whether every change is reported to the cache now. */
  readonly isTracking: () => boolean
  readonly telemetry: { lookupsCached(hits: number, misses: number): void }
  readonly monotonicNow: () => number
}

/** Reads single devices and lists of ids from the cache where it may, everything else from Redis. */
export function createCachedReader(dependencies: CachedReaderDependencies): DeviceReader {
  const { cache, isTracking, monotonicNow, reader, telemetry, trackedReader } = dependencies

  async function readMany(deviceIds: readonly DeviceId[]): Promise<DeviceReading[]> {
    if (!isTracking()) return await reader.readMany(deviceIds)
    const nowMs = monotonicNow()
    const readings = deviceIds.map((id): DeviceReading | undefined => {
      const json = cache.get(id, nowMs)
      return json === undefined ? undefined : { kind: 'found', json }
    })
    const absent = deviceIds.filter((_, i) => readings[i] === undefined)
    telemetry.lookupsCached(deviceIds.length - absent.length, absent.length)
    const read = absent.length === 0 ? [] : await readAndStore(absent, nowMs)
    let next = 0
    return readings.map((reading) => reading ?? read[next++] ?? { kind: 'missing' })
  }

  async function readAndStore(ids: readonly DeviceId[], nowMs: number): Promise<DeviceReading[]> {
    const started = cache.begin(ids, nowMs)
    let readings: DeviceReading[] = []
    try {
      readings = await trackedReader.readMany(ids)
      return readings
    } catch (error) {
      // The other connection may be there. After a timeout it would only take as long again.
      if (redisError(error).code === 'CONNECTION') return await reader.readMany(ids)
      throw error
    } finally {
      const mayStore = isTracking()
      cache.finish(started, (i) => {
        const reading = readings[i]
        return mayStore && reading?.kind === 'found' ? reading.json : undefined
      })
    }
  }

  return {
    ...reader,
    async readMany(deviceIds) {
      // Sockets are read before immediates run, so a change that Redis has reported before the request came is known then.
      await new Promise<void>((resolve) => setImmediate(resolve))
      return await readMany(deviceIds)
    },
    // In an immediate as well.
    read: readTogether(readMany),
    async remove(deviceId) {
      try {
        return await reader.remove(deviceId)
      } finally {
        // Redis reports this as well, but perhaps after the caller has asked again.
        cache.forget(deviceId)
      }
    },
  }
}
