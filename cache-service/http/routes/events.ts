import { z } from 'zod'
import { createEventFilter } from '../../core/events/event-frames.ts'
import {
  parsePosition,
  STREAM_NAMES,
  type EventPosition,
  type StreamName,
} from '../../core/events/event-position.ts'
import type { ApiServer } from '../api-server-types.ts'
import { EVENT_HUB_LIMITS, EventHub, type EventHubLimits, type EventPorts } from './event-hub.ts'

export type { EventPorts } from './event-hub.ts'

const MAX_FILTER_VALUES = 100
const RECONNECT_MS = 2_000

const several = z
  .union([z.string(), z.array(z.string()).max(MAX_FILTER_VALUES)])
  .optional()
  .transform((given) => (given === undefined ? [] : [given].flat()).filter((value) => value !== ''))

const querySchema = z.object({
  events: z
    .string()
    .optional()
    .describe('`update`, `device`, or both with a comma (which is also what nothing means).')
    .transform((text, context): readonly StreamName[] => {
      const names = (text ?? '').split(',').filter((name) => name !== '')
      const known = STREAM_NAMES.filter((name) => names.includes(name))
      if (names.every((name) => known.some((stream) => stream === name))) {
        return known.length === 0 ? STREAM_NAMES : known
      }
      context.addIssue({
        code: 'custom',
        message: `must be ${STREAM_NAMES.join(' or ')}, or both with a comma`,
      })
      return z.NEVER
    }),
  device: several.describe('Only hints about this device; may be repeated.'),
  update_type: several.describe('Only updates of this type; may be repeated.'),
  last_event_id: z.string().optional().describe('Where to go on, for who can not send `Last-Event-ID`.'),
})

/**
 * `GET /api/events`: server-sent events. Ends all streams when the server closes.
 */
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
        summary: 'Follow updates and device changes',
        description: [
          'Server-sent events. `update`: a key-value was set. `device`: hints that devices have changed or were',
          'deleted. `reset`: something may have been missed in these streams, read the state (or the devices)',
          'anew. `ping`: every 15 seconds. Each has an id: with it as `Last-Event-ID` the stream goes on where',
          'it was, at any api, or begins with a `reset` if that place is gone.',
        ].join(' '),
        tags: ['events'],
        querystring: querySchema,
        response: {
          200: { description: 'The events.', content: { 'text/event-stream': { schema: z.string() } } },
        },
      },
    },
    async (request, reply) => {
      const { device, events, last_event_id, update_type } = request.query
      hub.assertRoom()
      const header = request.headers['last-event-id']
      const place = parsePlace((Array.isArray(header) ? header[0] : header) ?? last_event_id)
      const filter = createEventFilter(events, device, update_type)
      reply.hijack()
      const { socket } = request.raw
      socket.setTimeout(0)
      socket.setNoDelay(true)
      socket.setKeepAlive(true, 30_000)
      reply.raw.writeHead(200, {
        ...definedHeaders(reply.getHeaders()),
        'Content-Type': 'text/event-stream',
        'Cache-Control': 'no-store, no-transform',
        'X-Accel-Buffering': 'no',
        // The end of the stream is the end of the connection: kept alive, it would hold up our shutdown.
        Connection: 'close',
      })
      reply.raw.write(`retry: ${RECONNECT_MS}\n\n`)
      await hub.serve(reply.raw, filter, place)
    },
  )
}

/** A place that we can't read is one that is gone: an error would end the client's attempts for good. */
function parsePlace(text: string | undefined): EventPosition | 'unknown' | undefined {
  return text === undefined || text === '' ? undefined : (parsePosition(text) ?? 'unknown')
}

/** What the hooks before us have set, such as CORS. */
function definedHeaders(headers: Record<string, number | string | string[] | undefined>) {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]): [string, number | string | string[]][] =>
      value === undefined ? [] : [[name, value]],
    ),
  )
}
