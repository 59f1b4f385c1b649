import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import { REDIS_ERROR_CODES } from '../../shared/errors.ts'

export type ProcessMetrics = ReturnType<typeof createProcessMetrics>

/** Metrics that exist once per process, whatever its roles. Each role adds its own to the registry. */
export function createProcessMetrics(version: string, nodeVersion: string, role: string) {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry }) // process_… and nodejs_…, under their usual names
  new Gauge({
    name: 'cache_service_build_info',
    help: 'Build information in the labels; the value is always 1.',
    labelNames: ['version', 'node_version', 'role'],
    registers,
  }).set({ version, node_version: nodeVersion, role }, 1)
  const redisUp = new Gauge({
    name: 'cache_service_redis_up',
    help: '0 from a failure of Redis until the next probe succeeds (a write for workers, a read for the api), else 1.',
    registers,
  })
  redisUp.remove() // prom-client starts it at 0, which would claim that Redis is down
  const redisErrors = new Counter({
    name: 'cache_service_redis_errors_total',
    help: 'Redis errors by code.',
    labelNames: ['code'],
    registers,
  })
  for (const code of REDIS_ERROR_CODES) redisErrors.inc({ code }, 0)
  const redisReconnects = new Counter({
    name: 'cache_service_redis_reconnects_total',
    help: 'Reconnections to Redis.',
    registers,
  })
  let isClaimed = false
  return {
    registry,
    redisErrors,
    redisReconnects,
    /**
     * Only the first role that claims `redis_up` sets it. Another role in the same process could contradict it: reads
     * may succeed while writes fail.
     */
    claimRedisUp(): (isUp: boolean) => void {
      if (isClaimed) return () => undefined
      isClaimed = true
      return (isUp) => redisUp.set(isUp ? 1 : 0)
    },
  }
}
