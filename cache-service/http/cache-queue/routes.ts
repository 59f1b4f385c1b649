import { z } from 'zod'
import { serverStatsSchema } from '../../core/server-stats.ts'
import type { ApiServer } from '../api-server-types.ts'
import { registerCacheKeysRoutes } from './cache-keys.ts'
import { registerCacheValueRoutes } from './cache-values.ts'
import { registerQueueRoutes } from './queue.ts'
import { answerErrorsInSpanish, answerUnknownMethods, errorReplies } from './errors.ts'
import { TAG, type CacheQueuePorts } from './ports.ts'

export type { CacheQueuePorts } from './ports.ts'

const healthSchema = z.object({
  service: z.literal('redis_service'),
  status: z.enum(['healthy', 'unhealthy']),
  port: z.number(),
  redis: z.enum(['connected', 'disconnected']),
})

/**
 * The platform's Redis Service, whose callers know its paths, shapes and Spanish messages by heart: `/health`,
 * `/stats`, `/api/cache/…`, `/api/queue/…`, each with and without a slash at its end.
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
  for (const end of ['', '/']) {
    scope.get(
      `/health${end}`,
      {
        config: { scope: 'public', probe: true },
        schema: {
          tags: [TAG],
          summary: 'Does Redis answer?',
          hide: end !== '',
          response: { 200: healthSchema, 503: healthSchema },
        },
      },
      async (_request, reply) => {
        const answers = await stats.ping().then(
          () => true,
          () => false,
        )
        const service = { service: 'redis_service', port: settings.port } as const
        if (answers) return { ...service, status: 'healthy', redis: 'connected' } as const
        return await reply.code(503).send({ ...service, status: 'unhealthy', redis: 'disconnected' })
      },
    )
    scope.get(
      `/stats${end}`,
      {
        config: { scope: 'read' },
        schema: {
          tags: [TAG],
          summary: 'What Redis says of itself',
          hide: end !== '',
          response: { 200: serverStatsSchema, 503: errorReplies[503] },
        },
      },
      async () => await stats.read(),
    )
  }
}

/** Of paths without the slash at their end. */
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
