import swagger from '@fastify/swagger'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiServer } from '../api-server-types.ts'
import { OPENAPI_STYLE, openApiPage } from './openapi-page.ts'
import { problemReply } from '../problem-schema.ts'

export type OpenApiFacts = { readonly version: string; readonly asksForTokens: boolean }

/** Of the routes that are added after it. */
export async function describeRoutes(
  server: ApiServer,
  { version, asksForTokens }: OpenApiFacts,
): Promise<void> {
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'iot-device-cache',
        description: 'Device metadata, always the newest.',
        version,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      ...(asksForTokens && {
        components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      }),
    },
    transformObject: jsonSchemaTransformObject,
    transform: (route) => {
      const { scope } = route.route.config ?? {}
      const security = asksForTokens && scope !== 'public' ? { security: [{ token: [] }] } : {}
      const { response = {}, ...schema } = route.schema ?? { hide: true }
      const everythingElse = isOfCacheQueue(schema) ? spanishReply : problemReply('Anything else.')
      return jsonSchemaTransform({
        ...route,
        schema: { ...schema, ...security, response: { default: everythingElse, ...Object(response) } },
      })
    },
  })
}

/** The errors of the Redis Service have a shape of their own. */
const spanishReply = {
  description: 'Anything else.',
  content: { 'application/json': { schema: z.looseObject({ error: z.string() }) } },
}

function isOfCacheQueue({ tags }: { readonly tags?: readonly string[] }): boolean {
  return tags?.includes('Redis Service') === true
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
