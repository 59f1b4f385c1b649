import { z } from 'zod'
import { createEventFilter } from '../../core/events/event-filter.ts'
import {
  parsePosition,
  STREAM_NAMES,
  type EventPosition,
  type StreamName,
} from '../../core/events/event-position.ts'
import type { ApiServer } from '../api-server-types.ts'
import { problemReplies } from '../problem.ts'
import { EVENT_HUB_LIMITS, EventHub, type EventHubLimits, type EventPorts } from './event-hub.ts'

export type { EventPorts } from './event-hub.ts'

const MAX_FILTER_VALUES = 100

/** A parameter that occurs several times is a list, one that occurs once is a text. */
const repeatable = z
  .preprocess(
    (given) => (given === undefined ? undefined : [given].flat()),
    z.array(z.string()).max(MAX_FILTER_VALUES).optional(),
  )
  .transform((given = []) => given.filter((value) => value !== ''))

const querySchema = z.object({
  events: z
    .string()
    .optional()
    .meta({
      description: 'Streams to follow, comma-separated.',
      pattern: '^,*((update|device)(,+|$))*$',
      default: STREAM_NAMES.join(','),
    })
    .transform((text, context): readonly StreamName[] => {
      const names = (text ?? '').split(',').filter((name) => name !== '')
      const known = STREAM_NAMES.filter((name) => names.includes(name))
      if (names.every((name) => known.some((stream) => stream === name))) {
        return known.length === 0 ? STREAM_NAMES : known
      }
      context.addIssue({
        code: 'custom',
        message: `must be ${STREAM_NAMES.join(' or ')}, or both, comma-separated`,
      })
      return z.NEVER
    }),
  device: repeatable.describe(
    'Only hints that name this device, or that have `more`: it may be among the devices that are not named. Repeatable.',
  ),
  update_type: repeatable.describe('Only updates of this type. Repeatable.'),
  last_event_id: z
    .string()
    .optional()
    .describe(
      'Event id to resume after, for clients that cannot send `Last-Event-ID`, which takes precedence.',
    ),
})

/** `GET /api/events`: server-sent events. Closes all streams when the server closes. */
export function registerEventRoutes(
  server: ApiServer,
  ports: EventPorts,
  limits: EventHubLimits = EVENT_HUB_LIMITS,
): void {
  const hub = new EventHub(ports, limits)
  server.addHook('preClose', async () => hub.close())

  server.get(
    '/api/events',
    {
      exposeHeadRoute: false,
      config: { scope: 'read', stream: true },
      schema: {
        operationId: 'followEvents',
        summary: 'Follow updates and device changes',
        description: [
          'Server-sent events. `update`: a key-value was set. `device`: a hint that devices have changed or were',
          'deleted. `reset`: events of these streams may have been missed, so read the state (or the devices)',
          'again. `ping`: sent every 15 seconds once all earlier events have been sent. Every event has an id; sent back as `Last-Event-ID`, it resumes the',
          'stream on any api process, or yields a `reset` if that position is no longer available.',
        ].join(' '),
        tags: ['events'],
        querystring: querySchema,
        response: {
          200: { description: 'The events.', content: { 'text/event-stream': { schema: z.string() } } },
          ...problemReplies('invalid_request', 'too_many_streams'),
        },
      },
    },
    async (request, reply) => {
      const { device, events, last_event_id, update_type } = request.query
      hub.assertRoom()
      const header = request.headers['last-event-id']
      const from = parseResumePosition((Array.isArray(header) ? header[0] : header) ?? last_event_id)
      const filter = createEventFilter(events, device, update_type)
      reply.hijack()
      const { socket } = request.raw
      socket.setTimeout(0)
      socket.setNoDelay(true)
      socket.setKeepAlive(true, 30_000)
      reply.raw.writeHead(200, {
        ...definedHeaders(reply.getHeaders()),
        'content-type': 'text/event-stream',
        'cache-control': 'no-store, no-transform',
        'x-accel-buffering': 'no',
        // The connection ends with the stream: kept alive, it would delay our shutdown.
        connection: 'close',
      })
      hub.serve(reply.raw, { filter, from, isAllowed: request.isStillAllowed ?? (() => true) })
    },
  )
}

/** An unreadable position counts as one that is gone: an error would make the client stop reconnecting. */
function parseResumePosition(text: string | undefined): EventPosition | 'unknown' | undefined {
  return text === undefined || text === '' ? undefined : (parsePosition(text) ?? 'unknown')
}

/** The headers that earlier hooks have set, such as those of CORS. */
function definedHeaders(headers: Record<string, number | string | string[] | undefined>) {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]): [string, number | string | string[]][] =>
      value === undefined ? [] : [[name, value]],
    ),
  )
}
