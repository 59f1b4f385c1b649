import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import { searchSchema, typeCountsSchema } from '../../../shared/contract/api-schemas.ts'
import {
  decodeSearchCursor,
  encodeSearchCursor,
  type DeviceSearcher,
} from '../../core/devices/device-query.ts'
import type { ApiServer } from '../api-server-types.ts'
import { ProblemError, problemReplies } from '../problem.ts'
import { problemOfReading } from '../reading-problem.ts'
import type { ReadingQueue } from '../reading-queue.ts'
import { createSearchSlots, searchEnded, type SearchSlots } from '../search-slots.ts'
import { exportLines } from './device-export.ts'
import { exportQuery, queryOf, searchQuery } from './device-search-schemas.ts'

export type SearchPorts = {
  readonly searcher: DeviceSearcher
  readonly queue: ReadingQueue
  readonly monotonicNow: () => number
}

const tags = ['devices']
/** A search may wait for a scan of all devices, and must not take the place of lookups meanwhile. */
const MAX_SEARCHES = 32
const MAX_EXPORTS = 2
const MEDIA_TYPES = { csv: 'text/csv; charset=utf-8', jsonl: 'application/x-ndjson' } as const

/** `/api/search`: not below `/api/devices/`, where every segment may be the id of a device. */
export function registerSearchRoutes(server: ApiServer, ports: SearchPorts): void {
  const closing = new AbortController()
  server.addHook('preClose', async () => closing.abort(searchEnded('The API is stopping.')))
  const options = {
    closing: closing.signal,
    monotonicNow: ports.monotonicNow,
    stalled: (socket: Socket) => server.closeStalled(socket),
  }
  const searches = createSearchSlots(MAX_SEARCHES, options)
  registerSearch(server, ports, searches)
  registerTypes(server, ports, searches)
  registerExport(server, ports, createSearchSlots(MAX_EXPORTS, options))
}

function registerSearch(server: ApiServer, { queue, searcher }: SearchPorts, slots: SearchSlots): void {
  server.get<{ Querystring: z.output<typeof searchQuery>; Reply: string }>(
    '/api/search/devices',
    {
      config: { scope: 'read' },
      schema: {
        tags,
        operationId: 'searchDevices',
        summary: 'Search the devices',
        description: [
          'Filters, sorts and counts all devices. For this, all devices are read at once, and the result is kept for',
          'some seconds; `as_of` tells when. A page contains the devices as they are now. While the same snapshot is used,',
          'pages neither repeat nor omit a device; later pages continue after the last device of the previous one.',
        ].join(' '),
        querystring: searchQuery,
        response: {
          200: searchSchema,
          ...problemReplies('invalid_request', 'invalid_cursor', 'too_many_searches'),
        },
      },
    },
    async (request, reply) => {
      const { cursor, limit } = request.query
      const query = queryOf(request.query)
      const position = cursor === undefined ? undefined : decodeSearchCursor(cursor, query.sort)
      if (cursor !== undefined && position === undefined) throw new ProblemError('invalid_cursor')
      const slot = slots.take(reply.raw)
      const found = await searcher.find(query, position, slot.signal)
      const offset = position === undefined ? 0 : found.offsetAfter(position)
      const rows = await queue(Number(limit), () => found.read(offset, Number(limit)))
      slot.release()
      const next = found.positionAt(offset + Number(limit))
      const devices = rows.flatMap(({ reading }) => (reading.kind === 'found' ? [reading.json] : []))
      const errors = rows.flatMap(({ deviceId, reading }) =>
        reading.kind === 'corrupt' || reading.kind === 'unavailable'
          ? [[deviceId, problemOfReading(reading)] as const]
          : [],
      )
      const facts = JSON.stringify({
        ...factsOf(found),
        offset,
        next_cursor: next === undefined ? null : encodeSearchCursor(next),
        ...(errors.length > 0 && { errors: Object.fromEntries(errors) }),
      })
      // The devices are JSON text already.
      return await reply
        .type('application/json; charset=utf-8')
        .send(`${facts.slice(0, -1)},"devices":[${devices.join()}]}`)
    },
  )
}

function registerTypes(server: ApiServer, { searcher }: SearchPorts, slots: SearchSlots): void {
  server.get(
    '/api/search/types',
    {
      config: { scope: 'read' },
      schema: {
        tags,
        operationId: 'countDeviceTypes',
        summary: 'Count the devices of each type',
        response: { 200: typeCountsSchema, ...problemReplies('too_many_searches') },
      },
    },
    async (_request, reply) => {
      const slot = slots.take(reply.raw)
      const counts = await searcher.countTypes(slot.signal)
      slot.release()
      return { ...factsOf(counts), types: [...counts.types] }
    },
  )
}

function registerExport(server: ApiServer, { queue, searcher }: SearchPorts, slots: SearchSlots): void {
  server.get(
    '/api/search/devices/export',
    {
      exposeHeadRoute: false,
      config: { scope: 'read', stream: true },
      schema: {
        tags,
        operationId: 'exportDevices',
        summary: 'Export the devices that a search finds',
        description: [
          'All pages of a search as one file. If the connection ends before the last chunk, the file is incomplete.',
          'Corrupt devices are left out. In CSV, an apostrophe precedes cells that a spreadsheet would interpret as a formula.',
        ].join(' '),
        querystring: exportQuery,
        response: {
          200: {
            description: 'The devices.',
            content: {
              'text/csv': { schema: z.string() },
              'application/x-ndjson': { schema: z.string() },
            },
          },
          ...problemReplies('invalid_request', 'too_many_devices', 'too_many_searches', 'redis_unavailable'),
        },
      },
    },
    async (request, reply) => {
      const { column, format } = request.query
      const slot = slots.take(reply.raw)
      const { signal } = slot
      const found = await searcher.find(queryOf(request.query), undefined, signal)
      if (found.isTruncated) throw new ProblemError('too_many_devices')
      const lines = slot.watch(exportLines(found, queue, { format, columns: column }, signal))
      // The signal also ends a stream whose caller has stopped reading.
      return await sendLines(reply, Readable.from(lines, { objectMode: false, signal }), format)
    },
  )
}

/** Apart from the route, whose declared response is text. */
function sendLines(reply: FastifyReply, lines: Readable, format: 'csv' | 'jsonl') {
  return reply
    .type(MEDIA_TYPES[format])
    .header('content-disposition', `attachment; filename="devices.${format}"`)
    .send(lines)
}

function factsOf(found: { readonly total: number; readonly asOfMs: number; readonly isTruncated: boolean }) {
  return { total: found.total, as_of: new Date(found.asOfMs).toISOString(), truncated: found.isTruncated }
}
