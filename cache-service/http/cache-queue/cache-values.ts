import { parseJson } from '../../../shared/json.ts'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { ApiServer } from '../api-server-types.ts'
import { errorReplies, errorSchema, OTHER_TYPE, CacheQueueError } from './errors.ts'
import { assertKey, keyParams, restOfPath } from './params.ts'
import { CACHE_QUEUE_TAG, type CacheQueuePorts } from './cache-queue-ports.ts'

const TTL_MAX_S = 3_153_600_000

/** `60.0` is an integer, too: JSON has only one kind of number, and some programs write it like this. */
const ttl = z.preprocess(
  (given) => (JSON.isRawJSON(given) ? Number(given.rawJSON) : given),
  z
    .int('ttl debe ser un número entero')
    .min(1, 'ttl debe ser al menos 1')
    .max(TTL_MAX_S, 'ttl excede el máximo')
    .nullish(),
)
const storedSchema = z.object(
  {
    key: z.string('key es obligatorio y debe ser texto'),
    value: z.unknown().refine((value) => value !== undefined, 'value es obligatorio'),
    ttl: ttl.optional().describe('Seconds. Absent: CACHE_DEFAULT_TTL. null: the value never expires.'),
  },
  'El cuerpo debe ser un objeto JSON',
)

const forbidden = { 403: errorSchema.describe('The key belongs to the platform.') }
const absent = { 404: errorSchema.extend({ key: z.string() }).describe('The key does not exist.') }

/** The routes under /api/cache for single keys. A key may contain slashes, so each route also exists as a wildcard. */
export function registerCacheValueRoutes(
  scope: ApiServer,
  { cache, isProtectedKey, settings }: CacheQueuePorts,
): void {
  function assertUsable(key: string): string {
    if (isProtectedKey(assertKey(key))) throw new CacheQueueError(403, 'La clave está protegida')
    return key
  }
  const keyOf = (request: FastifyRequest, segments: number) => assertUsable(restOfPath(request, segments))

  scope.post(
    '/',
    {
      config: { scope: 'write' },
      schema: {
        tags: [CACHE_QUEUE_TAG],
        operationId: 'storeCacheValue',
        summary: 'Store a value',
        body: storedSchema,
        response: {
          200: z.object({ message: z.string(), key: z.string(), ttl: z.int().nullable() }),
          ...errorReplies,
          ...forbidden,
        },
      },
    },
    async ({ body }) => {
      const key = assertUsable(body.key)
      const ttlS = body.ttl === undefined ? settings.defaultTtlS : body.ttl
      await cache.set(key, jsonOf(body.value), ttlS)
      return { message: 'Valor guardado en cache', key, ttl: ttlS }
    },
  )

  for (const name of [':key', '*']) {
    const params = name === '*' ? {} : { params: keyParams }
    scope.get(
      `/exists/${name}`,
      {
        config: { scope: 'read' },
        schema: {
          tags: [CACHE_QUEUE_TAG],
          operationId: 'cacheKeyExists',
          summary: 'Check whether a key exists',
          hide: name === '*',
          ...params,
          response: {
            200: z.object({ key: z.string(), exists: z.boolean() }),
            ...errorReplies,
            ...forbidden,
          },
        },
      },
      async (request) => {
        const key = keyOf(request, 3)
        return { key, exists: await cache.exists(key) }
      },
    )
    scope.get(
      `/${name}`,
      {
        config: { scope: 'read' },
        schema: {
          tags: [CACHE_QUEUE_TAG],
          operationId: 'getCacheValue',
          summary: 'Get a value',
          hide: name === '*',
          ...params,
          response: {
            200: z.object({
              key: z.string(),
              value: z.unknown().describe('The stored value if it is JSON; otherwise its text.'),
              ttl: z.int().nullable().describe('Seconds. null: the value never expires.'),
            }),
            ...errorReplies,
            ...forbidden,
            ...absent,
            409: errorSchema.describe('The key holds a Redis type other than string.'),
          },
        },
      },
      async (request, reply) => {
        const key = keyOf(request, 2)
        const value = await cache.get(key)
        if (value.kind === 'absent') throw new CacheQueueError(404, 'Clave no encontrada', { key })
        if (value.kind === 'other_type') throw new CacheQueueError(409, OTHER_TYPE)
        const parsed = parseJson(value.text)
        const json = parsed !== undefined ? value.text : JSON.stringify(value.text)
        // The stored text is sent unchanged, so that numbers beyond 2^53 keep their digits.
        const text = `{"key":${JSON.stringify(key)},"value":${json},"ttl":${value.ttlS}}`
        return await reply
          .type('application/json; charset=utf-8')
          .serializer(() => text)
          .send({ key, value: parsed !== undefined ? parsed : value.text, ttl: value.ttlS })
      },
    )
    scope.delete(
      `/${name}`,
      {
        config: { scope: 'write' },
        schema: {
          tags: [CACHE_QUEUE_TAG],
          operationId: 'deleteCacheValue',
          summary: 'Delete a value',
          hide: name === '*',
          ...params,
          response: {
            200: z.object({ message: z.string(), key: z.string() }),
            ...errorReplies,
            ...forbidden,
            ...absent,
          },
        },
      },
      async (request) => {
        const key = keyOf(request, 2)
        if (!(await cache.delete(key))) throw new CacheQueueError(404, 'Clave no encontrada', { key })
        return { message: 'Clave eliminada', key }
      },
    )
  }
}

/** @throws CacheQueueError (400) if the value is nested too deeply to be serialised. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch {
    throw new CacheQueueError(400, 'value está anidado demasiado profundamente')
  }
}
