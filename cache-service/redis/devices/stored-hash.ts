import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { deviceKey } from '../../../shared/contract/keys.ts'
import { redisError } from '../../../shared/errors.ts'
import type { StoredHash } from '../../core/records/explain.ts'
import { redisReply } from '../reply.ts'
import type { RedisClient } from '../redis-client.ts'

/** The device hash with all its fields, uninterpreted. Rejects with a ServiceError. */
export async function readStoredHash(
  redis: RedisClient,
  deviceId: DeviceId,
  nowMs: number,
): Promise<StoredHash> {
  const key = deviceKey(deviceId)
  try {
    const [fields, ttlMs] = await redisReply(Promise.all([redis.hgetall(key), redis.pttl(key)]))
    if (ttlMs === -2 || Object.keys(fields).length === 0) return { kind: 'absent' }
    return {
      kind: 'hash',
      fields: new Map(Object.entries(fields)),
      expiresAtMs: ttlMs < 0 ? 0 : nowMs + ttlMs,
    }
  } catch (error) {
    if (redisError(error).code !== 'WRONGTYPE') throw error
    // The workers' Redis user does not need the permission for TYPE.
    const type = await redis.type(key).catch(() => 'value of another type')
    return { kind: 'other_type', type }
  }
}
