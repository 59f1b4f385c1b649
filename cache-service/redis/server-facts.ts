import type { Redis } from 'ioredis'
import type { RedisFacts } from '../core/doctor.ts'
import { infoField, serverProduct } from '../core/info-field.ts'
import { redisReply } from './reply.ts'

/** Rejects with a ServiceError if INFO fails. */
export async function readRedisFacts(redis: Redis, now: () => number): Promise<RedisFacts> {
  const info = await redisReply(redis.info())
  const text = (name: string) => infoField(info, name)
  // The user may lack permission for these.
  const save = await redis.config('GET', 'save').then(configValue, () => undefined)
  const askedMs = now()
  const time = await redis.time().catch(() => undefined)
  const tookMs = now() - askedMs
  const bytes = (name: string) => {
    const value = text(name)
    return value === undefined ? undefined : Number(value)
  }
  const { product, version } = serverProduct(info)
  return {
    version,
    isValkey: product === 'valkey',
    isReplica: text('role') === 'slave',
    isCluster: text('cluster_enabled') === '1',
    maxMemoryBytes: bytes('maxmemory'),
    usedMemoryBytes: bytes('used_memory'),
    evictionPolicy: text('maxmemory_policy'),
    hasAppendOnlyFile: text('aof_enabled') === '1',
    hasFailedToSave: ['rdb_last_bgsave_status', 'aof_last_write_status'].some((name) => text(name) === 'err'),
    save,
    clockAheadMs: time === undefined ? undefined : redisTimeMs(time) - (askedMs + tookMs / 2),
  }
}

function redisTimeMs([seconds, micros]: readonly (number | string)[]): number {
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
}

/** @param answer of CONFIG GET. */
export function configValue(answer: unknown): string | undefined {
  return Array.isArray(answer) && answer.length > 1 ? String(answer[1]) : undefined
}
