import type { Redis } from 'ioredis'
import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { redisError } from '../../../shared/errors.ts'
import { deviceKey } from '../../../shared/contract/keys.ts'
import type { PresentHash } from '../../core/records/explain.ts'

/** A device hash as it is, field by field. Rejects with a ServiceError. */
export async function readStoredHash(redis: Redis, deviceId: DeviceId, nowMs: number): Promise<PresentHash> {
  const key = deviceKey(deviceId)
  try {
    const [fields, ttlMs] = await Promise.all([redis.hgetall(key), redis.pttl(key)])
    if (ttlMs === -2 || Object.keys(fields).length === 0) return { kind: 'absent' }
    return {
      kind: 'hash',
      fields: new Map(Object.entries(fields)),
      expiresAtMs: ttlMs < 0 ? 0 : nowMs + ttlMs,
    }
  } catch (error) {
    const failure = redisError(error)
    if (failure.code !== 'WRONGTYPE') throw failure
    // The workers' user may not ask for it, and needn't.
    const type = await redis.type(key).catch(() => 'value of another type')
    return { kind: 'other_type', type }
  }
}
