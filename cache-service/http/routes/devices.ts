import type { FastifyReply } from 'fastify'
import { hash } from 'node:crypto'
import { z } from 'zod'
import {
  deviceSchema,
  lookupSchema,
  pageSchema,
  selectedDeviceSchema,
} from '../../../shared/contract/api-schemas.ts'
import { isDeviceId, type DeviceId } from '../../../shared/contract/device-id.ts'
import { ServiceError } from '../../../shared/errors.ts'
import { hashTextOf, type DeviceReader, type DeviceReading } from '../../core/devices/device-view.ts'
import { decodeCursor, encodeCursor, FIRST_PAGE } from '../../core/devices/page-cursor.ts'
import type { LookupLabel } from '../../telemetry/api-metrics.ts'
import type { ApiServer } from '../api-server-types.ts'
import { deviceIdParams, fieldsQuery, lookupBody, pageQuery } from './device-schemas.ts'
import { createProblem, ProblemError, problemReplies, type Problem } from '../problem.ts'
import { problemOfReading } from '../reading-problem.ts'
import type { ReadingQueue } from '../reading-queue.ts'

export type DevicePorts = {
  readonly devices: DeviceReader
  readonly queue: ReadingQueue
  /** Whether a rebuild of the cache is in progress: a missing device may then still appear. */
  isRebuilding(): Promise<boolean>
  readonly telemetry: { lookedUp(result: LookupLabel, count: number): void }
}

const JSON_TYPE = 'application/json; charset=utf-8'
const tags = ['devices']

/**
 * `/api/devices`. Devices arrive from Redis as JSON text (redis/devices/read-devices.lua) and are passed on unparsed:
 * parsing and serialising them here would halve the throughput.
 */
export function registerDeviceRoutes(server: ApiServer, ports: DevicePorts): void {
  registerPage(server, ports)
  registerSingle(server, ports)
  registerHash(server, ports)
  registerLookup(server, ports)
  registerDelete(server, ports)
}

function registerPage(server: ApiServer, { devices, queue }: DevicePorts): void {
  for (const url of ['/api/devices', '/api/devices/']) {
    server.get<{ Querystring: z.output<typeof pageQuery>; Reply: string }>(
      url,
      {
        config: { scope: 'read' },
        schema: {
          tags,
          operationId: 'listDevices',
          summary: 'List devices, page by page',
          hide: url.endsWith('/'),
          querystring: pageQuery,
          response: { 200: pageSchema, ...problemReplies('invalid_request', 'invalid_cursor') },
        },
      },
      async (request, reply) => {
        const { cursor, limit, match } = request.query
        const position = cursor === undefined ? FIRST_PAGE : decodeCursor(cursor)
        if (position === undefined) throw new ProblemError('invalid_cursor')
        const page = await queue(Number(limit), () => devices.page(position, Number(limit), match))
        const found: string[] = []
        const errors: [DeviceId, Problem][] = []
        for (const { deviceId, reading } of page.devices) {
          if (reading.kind === 'found') found.push(reading.json)
          // An id without a hash belongs to a device that has expired; the sweeper will remove it from the index.
          else if (reading.kind !== 'missing') errors.push([deviceId, problemOfReading(reading)])
        }
        const next = page.next === undefined ? null : encodeCursor(page.next)
        const errorsText =
          errors.length === 0 ? '' : `,"errors":${JSON.stringify(Object.fromEntries(errors))}`
        return await reply
          .type(JSON_TYPE)
          .send(`{"devices":[${found.join()}],"next_cursor":${JSON.stringify(next)}${errorsText}}`)
      },
    )
  }
}

function registerSingle(server: ApiServer, { devices, isRebuilding, telemetry }: DevicePorts): void {
  server.get<{
    Params: { id: DeviceId }
    Querystring: z.output<typeof fieldsQuery>
    Reply: string
  }>(
    '/api/devices/:id',
    {
      config: { scope: 'read' },
      schema: {
        tags,
        operationId: 'getDevice',
        summary: 'Get a device',
        description: 'The ETag covers everything except `ttl`; If-None-Match is supported.',
        params: deviceIdParams,
        querystring: fieldsQuery,
        response: {
          200: z.union([deviceSchema, selectedDeviceSchema]),
          304: z.null().describe('Not modified.'),
          ...problemReplies('invalid_request', 'not_found', 'corrupt_device', 'cache_rebuilding'),
        },
      },
    },
    async (request, reply) => {
      const reading = await devices.read(request.params.id)
      telemetry.lookedUp(reading.kind, 1)
      if (reading.kind === 'missing') throw await missingProblem(isRebuilding)
      if (reading.kind === 'corrupt') throw new ProblemError('corrupt_device', { detail: reading.reason })
      const etag = `W/"${hash('sha1', hashTextOf(reading.json), 'base64url')}"`
      reply.header('etag', etag)
      if (matchesEtag(request.headers['if-none-match'], etag)) return await sendNotModified(reply)
      const { fields } = request.query
      return await reply
        .type(JSON_TYPE)
        .send(fields === undefined ? reading.json : selectFields(reading.json, fields))
    },
  )
}

function registerHash(server: ApiServer, { devices, isRebuilding }: DevicePorts): void {
  server.get<{ Params: { id: DeviceId } }>(
    '/api/devices/:id/hash',
    {
      config: { scope: 'read' },
      schema: {
        tags,
        operationId: 'getDeviceHash',
        summary: 'Get the raw Redis hash of a device',
        description: 'For troubleshooting: shows what a corrupt device holds, or what another program wrote.',
        params: deviceIdParams,
        response: {
          200: z.record(z.string(), z.string()),
          ...problemReplies('invalid_request', 'not_found', 'corrupt_device', 'cache_rebuilding'),
        },
      },
    },
    async (request, reply) => {
      const fields = await devices.readHash(request.params.id).catch((error: unknown) => {
        if (error instanceof ServiceError && error.code === 'WRONGTYPE')
          throw new ProblemError('corrupt_device', { detail: 'The key does not hold a hash.' })
        throw error
      })
      if (fields === undefined) throw await missingProblem(isRebuilding)
      return await reply.send(fields)
    },
  )
}

function registerLookup(server: ApiServer, { devices, isRebuilding, queue, telemetry }: DevicePorts): void {
  server.post<{ Body: z.output<typeof lookupBody>; Reply: string }>(
    '/api/devices/lookup',
    {
      config: { scope: 'read' },
      schema: {
        tags,
        operationId: 'lookUpDevices',
        summary: 'Look up many devices at once',
        body: lookupBody,
        response: { 200: lookupSchema, ...problemReplies('invalid_request') },
      },
    },
    async (request, reply) => {
      const errors: [string, Problem][] = []
      const ids: DeviceId[] = []
      for (const id of new Set(request.body.ids)) {
        if (isDeviceId(id)) ids.push(id)
        else errors.push([id, createProblem('invalid_device_id')])
      }
      telemetry.lookedUp('invalid', errors.length)
      const readings = await queue(ids.length, () => devices.readMany(ids))
      const { found, missing, unavailable } = sortReadings(ids, readings, errors, telemetry)
      const doubt = missing.length === 0 ? undefined : await doubtOfMissing(isRebuilding)
      const isUnknown = doubt instanceof ServiceError
      telemetry.lookedUp(isUnknown ? 'unavailable' : 'missing', missing.length)
      if (isUnknown) {
        const problem = problemOfReading({ kind: 'unavailable', error: doubt })
        for (const id of missing.splice(0)) errors.push([id, problem])
      }
      const isComplete = doubt === undefined && unavailable === 0
      const errorsText = errors.length === 0 ? '{}' : JSON.stringify(Object.fromEntries(errors))
      return await reply
        .type(JSON_TYPE)
        .send(
          `{"found":{${found}},"missing":${JSON.stringify(missing)},"errors":${errorsText},"complete":${isComplete}}`,
        )
    },
  )
}

function registerDelete(server: ApiServer, { devices, isRebuilding }: DevicePorts): void {
  server.delete<{ Params: { id: DeviceId }; Reply: undefined }>(
    '/api/devices/:id',
    {
      config: { scope: 'write' },
      schema: {
        tags,
        operationId: 'deleteDevice',
        summary: 'Delete a device; its next record brings it back',
        params: deviceIdParams,
        response: {
          204: z.null().describe('Deleted.'),
          ...problemReplies('invalid_request', 'not_found', 'cache_rebuilding'),
        },
      },
    },
    async (request, reply) => {
      if (!(await devices.remove(request.params.id))) throw await missingProblem(isRebuilding)
      return await reply.code(204).send()
    },
  )
}

function sortReadings(
  ids: readonly DeviceId[],
  readings: readonly DeviceReading[],
  errors: [string, Problem][],
  telemetry: DevicePorts['telemetry'],
) {
  const missing: DeviceId[] = []
  let found = ''
  const counts = { corrupt: 0, unavailable: 0 }
  for (const [i, id] of ids.entries()) {
    const reading = readings[i]
    if (reading?.kind === 'found') {
      found += `${found === '' ? '' : ','}${JSON.stringify(id)}:${reading.json}`
    } else if (reading?.kind === 'corrupt' || reading?.kind === 'unavailable') {
      counts[reading.kind]++
      errors.push([id, problemOfReading(reading)])
    } else {
      missing.push(id)
    }
  }
  telemetry.lookedUp('corrupt', counts.corrupt)
  telemetry.lookedUp('unavailable', counts.unavailable)
  telemetry.lookedUp('found', ids.length - missing.length - counts.corrupt - counts.unavailable)
  return { found, missing, unavailable: counts.unavailable }
}

/** Why devices that Redis does not hold may still exist, if they may: a rebuild, or a failure that hides whether there is one. */
async function doubtOfMissing(
  isRebuilding: () => Promise<boolean>,
): Promise<'rebuilding' | ServiceError | undefined> {
  try {
    return (await isRebuilding()) ? 'rebuilding' : undefined
  } catch (error) {
    if (error instanceof ServiceError) return error
    throw error
  }
}

async function missingProblem(isRebuilding: () => Promise<boolean>): Promise<ProblemError> {
  if (await isRebuilding()) return new ProblemError('cache_rebuilding')
  return new ProblemError('not_found', { detail: 'There is no such device.' })
}

function selectFields(json: string, fields: string): string {
  const view = deviceSchema.safeParse(JSON.parse(json))
  if (!view.success) throw new Error('a device does not match our own schema', { cause: view.error })
  const wanted = new Set(['device_id', ...fields.split(',')])
  return JSON.stringify(Object.fromEntries(Object.entries(view.data).filter(([name]) => wanted.has(name))))
}

/** Apart from the route, whose declared responses have no empty one. */
function sendNotModified(reply: FastifyReply) {
  return reply.code(304).send()
}

/** If-None-Match, by weak comparison (RFC 9110, 13.1.2). */
function matchesEtag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.split(',').some((given) => given.trim().replace(/^W\//, '') === etag.replace(/^W\//, ''))
}
