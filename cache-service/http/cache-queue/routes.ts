import { z } from 'zod'
import { serverStatsSchema } from '../../core/server-stats.ts'
import type { ApiServer } from '../api-server-types.ts'
import { registerCacheKeysRoutes } from './cache-keys.ts'
import { registerCacheValueRoutes } from './cache-values.ts'
import { registerQueueRoutes } from './queue.ts'
import { answerErrorsInSpanish, answerUnknownMethods, errorReplies } from './errors.ts'
import { CACHE_QUEUE_TAG, type CacheQueuePorts } from './cache-queue-ports.ts'

const healthSchema = z.object({
  service: z.literal('redis_service'),
  status: z.enum(['healthy', 'unhealthy']),
  port: z.int(),
  redis: z.enum(['connected', 'disconnected']),
})

/**
 * The older cache-and-queue HTTP service of the platform: `/health`, `/stats`, `/api/cache/…` and `/api/queue/…`, each
 * with and without a trailing slash. Its callers depend on its exact paths, shapes and Spanish messages.
 */
export function registerCacheQueueRoutes(server: ApiServer, ports: CacheQueuePorts): void {
  server.register(async (scope: ApiServer) => {
    answerErrorsInSpanish(scope, ports.telemetry)
    registerServerRoutes(scope, ports)
  })
  server.register(
    async (scope: ApiServer) => {
      answerErrorsInSpanish(scope, ports.telemetry)
      answerUnknownMethods(scope, methodsOfCachePath)
      registerCacheValueRoutes(scope, ports)
      registerCacheKeysRoutes(scope, ports)
    },
    { prefix: '/api/cache' },
  )
  server.register(
    async (scope: ApiServer) => {
      answerErrorsInSpanish(scope, ports.telemetry)
      answerUnknownMethods(scope, methodsOfQueuePath)
      registerQueueRoutes(scope, ports)
    },
    { prefix: '/api/queue' },
  )
}

function registerServerRoutes(scope: ApiServer, { stats, settings }: CacheQueuePorts): void {
  const answers = shared(() =>
    stats.readAnyKey().then(
      () => true,
      () => false,
    ),
  )
  for (const end of ['', '/']) {
    scope.get(
      `/health${end}`,
      {
        config: { scope: 'public', probe: true },
        schema: {
          tags: [CACHE_QUEUE_TAG],
          operationId: 'getCacheQueueHealth',
          summary: 'Check whether Redis answers a read',
          hide: end !== '',
          response: { 200: healthSchema, 503: healthSchema },
        },
      },
      async (_request, reply) => {
        const service = { service: 'redis_service', port: settings.port } as const
        if (await answers()) return { ...service, status: 'healthy', redis: 'connected' } as const
        return await reply.code(503).send({ ...service, status: 'unhealthy', redis: 'disconnected' })
      },
    )
    scope.get(
      `/stats${end}`,
      {
        config: { scope: 'read' },
        schema: {
          tags: [CACHE_QUEUE_TAG],
          operationId: 'getRedisStats',
          summary: 'Get Redis statistics',
          hide: end !== '',
          response: { 200: serverStatsSchema, 503: errorReplies[503] },
        },
      },
      async () => await stats.read(),
    )
  }
}

/** Calls that come while one is in progress share its result: probes are not limited, and Redis may not answer. */
function shared<Result>(call: () => Promise<Result>): () => Promise<Result> {
  let inProgress: Promise<Result> | undefined
  return () => {
    inProgress ??= call().finally(() => (inProgress = undefined))
    return inProgress
  }
}

/** @param path without a trailing slash. */
function methodsOfCachePath(path: string): string {
  if (path === '/api/cache' || path === '/api/cache/flush') return 'POST'
  if (path.startsWith('/api/cache/pattern/')) return 'DELETE'
  if (/^\/api\/cache\/(keys$|exists\/)/.test(path)) return 'GET, HEAD'
  return 'GET, HEAD, DELETE'
}

function methodsOfQueuePath(path: string): string | undefined {
  if (path === '/api/queue/publish') return 'POST'
  return /^\/api\/queue\/(channels$|subscribers\/.)/.test(path) ? 'GET, HEAD' : undefined
}
