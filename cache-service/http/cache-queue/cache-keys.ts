import { z } from 'zod'
import type { ApiServer } from '../api-server-types.ts'
import { errorReplies } from './errors.ts'
import { assertGlob, patternParams, patternQuery, restOfPath } from './params.ts'
import { CACHE_QUEUE_TAG, type CacheQueuePorts } from './cache-queue-ports.ts'

/** The routes under /api/cache that concern many keys at once. */
export function registerCacheKeysRoutes(scope: ApiServer, { cache }: CacheQueuePorts): void {
  for (const end of ['', '/']) {
    scope.get(
      `/keys${end}`,
      {
        config: { scope: 'read' },
        schema: {
          tags: [CACHE_QUEUE_TAG],
          operationId: 'listCacheKeys',
          summary: 'List the keys that match a pattern',
          hide: end !== '',
          querystring: patternQuery,
          response: {
            200: z.object({
              pattern: z.string(),
              count: z.int(),
              keys: z.array(z.string()),
              truncated: z
                .literal(true)
                .optional()
                .describe(
                  'Present if more keys match than are listed, or if a master of a Redis Cluster does not answer.',
                ),
            }),
            ...errorReplies,
          },
        },
      },
      async ({ query }) => {
        const pattern = assertGlob(query.pattern)
        const { keys, truncated } = await cache.list(pattern)
        return { pattern, count: keys.length, keys, ...(truncated && { truncated }) }
      },
    )
    scope.post(
      `/flush${end}`,
      {
        config: { scope: 'admin' },
        schema: {
          tags: [CACHE_QUEUE_TAG],
          operationId: 'flushCache',
          summary: 'Delete all values; platform keys are kept',
          hide: end !== '',
          body: z.object(
            { confirm: z.literal(true, 'Se requiere {"confirm": true}') },
            'Se requiere {"confirm": true}',
          ),
          response: { 200: z.object({ message: z.string(), deleted_count: z.int() }), ...errorReplies },
        },
      },
      async () => ({ message: 'Cache limpiado', deleted_count: await cache.deleteMatching('*') }),
    )
  }

  for (const name of [':pattern', '*']) {
    scope.delete(
      `/pattern/${name}`,
      {
        config: { scope: 'admin' },
        schema: {
          tags: [CACHE_QUEUE_TAG],
          operationId: 'deleteCacheValues',
          summary: 'Delete the values whose keys match a pattern; platform keys are kept',
          hide: name === '*',
          ...(name === '*' ? {} : { params: patternParams }),
          response: {
            200: z.object({ message: z.string(), pattern: z.string(), deleted_count: z.int() }),
            ...errorReplies,
          },
        },
      },
      async (request) => {
        const pattern = assertGlob(restOfPath(request, 3))
        return { message: 'Claves eliminadas', pattern, deleted_count: await cache.deleteMatching(pattern) }
      },
    )
  }
}
