import swagger from '@fastify/swagger'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import type { ApiServer } from '../api-server-types.ts'
import { OPENAPI_STYLE, openApiPage } from './openapi-page.ts'
import { anyProblemReply } from '../problem.ts'
import { CACHE_QUEUE_TAG } from '../cache-queue/cache-queue-ports.ts'
import { errorSchema } from '../cache-queue/errors.ts'

export type OpenApiFacts = { readonly version: string; readonly needsTokens: boolean }

/** Describes the routes that are added after this call. */
export async function describeRoutes(
  server: ApiServer,
  { version, needsTokens }: OpenApiFacts,
): Promise<void> {
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'iot-device-cache',
        description: 'The newest metadata of every IoT device. Errors are problem documents (RFC 9457).',
        version,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      tags: [
        {
          name: CACHE_QUEUE_TAG,
          description:
            'The older cache-queue service of the platform. Its errors are `{"error": …}` in Spanish.',
        },
      ],
      ...(needsTokens && {
        components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      }),
    },
    transformObject: jsonSchemaTransformObject,
    transform: (route) => {
      const { scope } = route.route.config ?? {}
      const security = needsTokens && scope !== 'public' ? { security: [{ token: [] }] } : {}
      const { response = {}, ...schema } = route.schema ?? { hide: true }
      const otherReplies = isOfCacheQueue(schema) ? spanishReply : anyProblemReply
      return jsonSchemaTransform({
        ...route,
        schema: { ...schema, ...security, response: { default: otherReplies, ...Object(response) } },
      })
    },
  })
}

/** The errors of the cache-queue service have a shape of their own. */
const spanishReply = {
  description: 'Any other error.',
  content: { 'application/json': { schema: errorSchema } },
}

function isOfCacheQueue({ tags }: { readonly tags?: readonly string[] }): boolean {
  return tags?.includes(CACHE_QUEUE_TAG) === true
}

export function registerOpenApiRoutes(server: ApiServer): void {
  let document: string | undefined
  let page: string | undefined
  const config = { scope: 'public' } as const
  const schema = { hide: true }
  server.get('/openapi.json', { config, schema }, async (_request, reply) => {
    document ??= JSON.stringify(server.swagger())
    return await reply.type('application/json; charset=utf-8').send(document)
  })
  server.get('/docs', { config, schema }, async (_request, reply) => {
    page ??= openApiPage(server.swagger())
    return await reply.type('text/html; charset=utf-8').send(page)
  })
  server.get('/docs.css', { config, schema }, async (_request, reply) =>
    reply.type('text/css; charset=utf-8').send(OPENAPI_STYLE),
  )
}
