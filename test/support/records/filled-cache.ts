import type { Redis } from 'ioredis'
import { progressKey } from '../../../shared/contract/keys.ts'

/** Progress of a worker with the default topic and group: the cache has been filled, so that a missing device is unknown. */
export async function markFilled(redis: Pick<Redis, 'hset'>): Promise<void> {
  await redis.hset(progressKey('cache_service_group', 'iot_validated_data'), '0', '0')
}
