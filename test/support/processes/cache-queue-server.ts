import type { Redis } from 'ioredis'
import { isProtectedKey } from '../../../cache-service/core/protected-keys.ts'
import { createApiServer } from '../../../cache-service/http/api-server.ts'
import { registerCacheQueueRoutes } from '../../../cache-service/http/cache-queue/routes.ts'
import { LoopMonitor } from '../../../cache-service/lifecycle/loops.ts'
import { createCacheValues } from '../../../cache-service/redis/cache-queue/cache-values.ts'
import { createPubsubAdmin } from '../../../cache-service/redis/cache-queue/pubsub-admin.ts'
import { createServerStatsReader } from '../../../cache-service/redis/server-stats.ts'
import { createLogger } from '../../../cache-service/telemetry/logger.ts'

export type Answer = { status: number; body: unknown; headers: Headers }

export type CacheQueueServer = {
  url: string
  get(path: string): Promise<Answer>
  send(method: string, path: string, body?: unknown): Promise<Answer>
  /** Sends the text unchanged as the body. */
  sendText(method: string, path: string, text: string, contentType?: string): Promise<Answer>
  close(): Promise<void>
}

/** Only the routes of the cache-queue service, in the service's real HTTP server, on a free port. */
export async function openCacheQueueServer(
  redis: Redis,
  protectedPrefixes: readonly string[] = [],
): Promise<CacheQueueServer> {
  const telemetry = {
    requestDone: () => undefined,
    requestFailed: () => undefined,
    connectionClosed: () => undefined,
  }
  const server = await createApiServer({
    version: '0.0.0-test',
    log: createLogger('fatal', { write: () => undefined }),
    monitor: new LoopMonitor(() => Date.now()),
    checks: [],
    access: { kind: 'hosts', allowed: [] },
    limits: { maxConcurrentRequests: 100, maxConnections: 1000, requestsPerMinute: 0 },
    trustedProxies: [],
    basePath: '',
    corsOrigins: [],
    telemetry,
    monotonicNow: () => performance.now(),
  })
  const isProtected = (key: string) => isProtectedKey(key, protectedPrefixes)
  registerCacheQueueRoutes(server, {
    cache: createCacheValues(redis, isProtected),
    pubsub: createPubsubAdmin(redis),
    stats: createServerStatsReader(redis),
    telemetry,
    isProtectedKey: isProtected,
    settings: { port: 5011, defaultTtlS: 3600, defaultChannel: 'inventarios_updates' },
  })
  const url = await server.listen({ host: '127.0.0.1', port: 0 })

  async function request(path: string, init: RequestInit): Promise<Answer> {
    const reply = await fetch(url + path, init)
    const text = await reply.text()
    return { status: reply.status, body: text === '' ? undefined : JSON.parse(text), headers: reply.headers }
  }
  const sendText = (method: string, path: string, text: string, contentType = 'application/json') =>
    request(path, { method, headers: { 'content-type': contentType }, body: text })
  return {
    url,
    get: (path) => request(path, {}),
    send: (method, path, body) =>
      body === undefined ? request(path, { method }) : sendText(method, path, JSON.stringify(body)),
    sendText,
    close: () => server.close(),
  }
}
