import type { DeviceReading } from '../core/devices/device-view.ts'
import { redisUnavailableDetail } from './hooks/error-replies.ts'
import { createProblem, type Problem } from './problem.ts'

/** Why a device of a list can't be shown. */
export function problemOfReading(
  reading: Extract<DeviceReading, { kind: 'corrupt' | 'unavailable' }>,
): Problem {
  return reading.kind === 'corrupt'
    ? createProblem('corrupt_device', reading.reason)
    : createProblem('redis_unavailable', redisUnavailableDetail(reading.error))
}
