import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import { REDIS_ERROR_CODES } from '../../shared/errors.ts'

export type ProcessMetrics = ReturnType<typeof createProcessMetrics>

/** What a process counts once, whatever roles it plays. Each role registers its own beside it. */
export function createProcessMetrics(version: string, nodeVersion: string, role: string) {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry }) // process_… and nodejs_…, by their usual names
  new Gauge({
    name: 'cache_service_build_info',
    help: 'Always 1.',
    labelNames: ['version', 'node_version', 'role'],
    registers,
  }).set({ version, node_version: nodeVersion, role }, 1)
  const redisUp = new Gauge({
    name: 'cache_service_redis_up',
    help: '1 if Redis did what it was last asked for, else 0: a worker writes, an api reads.',
    registers,
  })
  redisUp.remove() // prom-client starts it at 0, which would be a claim
  const redisErrors = new Counter({
    name: 'cache_service_redis_errors_total',
    help: 'Errors of Redis, by code.',
    labelNames: ['code'],
    registers,
  })
  for (const code of REDIS_ERROR_CODES) redisErrors.inc({ code }, 0)
  const redisReconnects = new Counter({
    name: 'cache_service_redis_reconnects_total',
    help: 'Connections to Redis made after the first.',
    registers,
  })
  let isClaimed = false
  return {
    registry,
    redisErrors,
    redisReconnects,
    /**
     * For the role that tells whether Redis works: the first that asks. Others of the same process may find
     * that it answers their reads while it takes no write, and would contradict it.
     */
    claimRedisUp(): (isUp: boolean) => void {
      if (isClaimed) return () => undefined
      isClaimed = true
      return (isUp) => redisUp.set(isUp ? 1 : 0)
    },
  }
}
