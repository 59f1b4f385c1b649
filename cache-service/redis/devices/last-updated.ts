import type { RedisClient } from '../redis-client.ts'
import type { DeviceId } from '../../../shared/contract/device-id.ts'
import { deviceKey } from '../../../shared/contract/keys.ts'
import { redisReply } from '../reply.ts'

/** undefined: there is no such device. Rejects with a ServiceError. */
export async function readLastUpdated(redis: RedisClient, deviceId: DeviceId): Promise<string | undefined> {
  return (await redisReply(redis.hget(deviceKey(deviceId), 'last_updated'))) ?? undefined
}
