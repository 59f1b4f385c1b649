import { serverDetailsSchema, type ServerDetails } from '../../core/server-details.ts'
import type { ApiServer } from '../api-server-types.ts'

export type RedisPorts = {
  /** Rejects with a ServiceError if Redis fails. */
  readonly readServerDetails: () => Promise<ServerDetails>
}

/** `GET /api/redis`: the state of the Redis server. `/stats` of the cache-queue service has a fixed shape. */
export function registerRedisRoutes(server: ApiServer, { readServerDetails }: RedisPorts): void {
  server.get(
    '/api/redis',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getRedis',
        summary: 'Get the state of the Redis server: memory, clients, lookups, persistence',
        tags: ['redis'],
        response: { 200: serverDetailsSchema },
      },
    },
    async () => await readServerDetails(),
  )
}
