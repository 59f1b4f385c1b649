import { createLagReporter, type LagReporter } from '../../../cache-service/redis/workers/lag-reports.ts'
import {
  createWorkerReporter,
  type WorkerReporter,
} from '../../../cache-service/redis/workers/worker-reports.ts'
import type { RedisClient } from '../../../cache-service/redis/redis-client.ts'

/** A worker repeats its report before the last one expires. One that is written once must outlive the slowest test. */
const TTL_MS = 3_600_000

export const lastingWorkerReporter = (redis: RedisClient, id: string): WorkerReporter =>
  createWorkerReporter(redis, id, () => Date.now(), TTL_MS)

export const lastingLagReporter = (redis: RedisClient): LagReporter =>
  createLagReporter(redis, TTL_MS, () => Date.now())
