import { z } from 'zod'
import { mayPublishTo } from '../../core/cache-queue/may-publish-to.ts'
import type { ApiServer } from '../api-server-types.ts'
import { errorReplies, errorSchema, CacheQueueError } from './errors.ts'
import { assertGlob, assertKey, channelParams, patternQuery, restOfPath } from './params.ts'
import { CACHE_QUEUE_TAG, type CacheQueuePorts } from './cache-queue-ports.ts'

const publishedSchema = z.object(
  {
    channel: z
      .string('channel debe ser texto')
      .min(1, 'channel no puede estar vacío')
      .max(1024, 'channel es demasiado largo')
      .refine((name) => name.isWellFormed(), 'channel no es texto válido')
      .optional(),
    message: z.unknown().refine((message) => message !== undefined, 'message es obligatorio'),
  },
  'El cuerpo debe ser un objeto JSON',
)

/** The routes under /api/queue. */
export function registerQueueRoutes(scope: ApiServer, { pubsub, settings }: CacheQueuePorts): void {
  for (const end of ['', '/']) {
    scope.post(
      `/publish${end}`,
      {
        config: { scope: 'write' },
        schema: {
          tags: [CACHE_QUEUE_TAG],
          operationId: 'publishMessage',
          summary: 'Publish a message: text unchanged, anything else as JSON',
          hide: end !== '',
          body: publishedSchema,
          response: {
            200: z.object({ message: z.string(), channel: z.string(), subscribers: z.int() }),
            ...errorReplies,
            403: errorSchema.describe('The channel is reserved for Redis or for this service.'),
          },
        },
      },
      async ({ body }) => {
        const channel = body.channel ?? settings.defaultChannel
        if (!mayPublishTo(channel)) throw new CacheQueueError(403, 'El canal está protegido')
        const subscribers = await pubsub.publish(channel, textOf(body.message))
        return { message: 'Mensaje publicado', channel, subscribers }
      },
    )
    scope.get(
      `/channels${end}`,
      {
        config: { scope: 'read' },
        schema: {
          tags: [CACHE_QUEUE_TAG],
          operationId: 'listChannels',
          summary: 'List the channels that have subscribers',
          hide: end !== '',
          querystring: patternQuery,
          response: {
            200: z.object({
              pattern: z.string(),
              count: z.int(),
              channels: z.array(z.object({ channel: z.string(), subscribers: z.int() })),
              truncated: z
                .literal(true)
                .optional()
                .describe('Present if more channels match than are listed.'),
            }),
            ...errorReplies,
          },
        },
      },
      async ({ query }) => {
        const pattern = assertGlob(query.pattern)
        const { channels, truncated } = await pubsub.channels(pattern)
        return { pattern, count: channels.length, channels, ...(truncated && { truncated }) }
      },
    )
  }

  for (const name of [':channel', '*']) {
    scope.get(
      `/subscribers/${name}`,
      {
        config: { scope: 'read' },
        schema: {
          tags: [CACHE_QUEUE_TAG],
          operationId: 'countSubscribers',
          summary: 'Count the subscribers of a channel',
          hide: name === '*',
          ...(name === '*' ? {} : { params: channelParams }),
          response: { 200: z.object({ channel: z.string(), subscribers: z.int() }), ...errorReplies },
        },
      },
      async (request) => {
        const channel = assertKey(restOfPath(request, 3))
        return { channel, subscribers: await pubsub.subscribers(channel) }
      },
    )
  }
}

/** @throws CacheQueueError (400) if the message is nested too deeply to be serialised. */
function textOf(message: unknown): string {
  try {
    return typeof message === 'string' ? message : JSON.stringify(message)
  } catch {
    throw new CacheQueueError(400, 'message está anidado demasiado profundamente')
  }
}
