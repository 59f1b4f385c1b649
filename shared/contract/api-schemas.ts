import { z } from 'zod'

/** What the API answers: the server describes itself by these, and the client (client.ts) checks by them. */

export const MAX_PAGE_SIZE = 1000
export const MAX_LOOKUP_IDS = 1000

export const deviceSchema = z
  .object({
    device_id: z.string(),
    datatype_id: z.string().nullable(),
    datatype_name: z.string().nullable(),
    datatype_unit: z.union([z.string(), z.array(z.unknown())]).nullable(),
    persist: z.unknown().describe('As a rule a boolean, or a list of booleans.'),
    last_updated: z.string().nullable().describe('ISO 8601, UTC, six fraction digits.'),
    extra: z.record(z.string(), z.string()).describe('Further fields, as they are stored.'),
    ttl: z.int().nullable().describe('Seconds until it is forgotten; null: never.'),
  })
  .meta({ id: 'Device' })

type DeviceFields = z.output<typeof deviceSchema>

/** The newest metadata of a device. Shared between those who ask for it, hence not to be changed. */
export type Device = Readonly<Omit<DeviceFields, 'extra' | 'datatype_unit'>> & {
  readonly datatype_unit: string | readonly unknown[] | null
  readonly extra: Readonly<Record<string, string>>
}

export const problemSchema = z
  .looseObject({
    type: z.string().describe('What programs switch on, such as not_found.'),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457' })

/** An answer that is not the one asked for. */
export type ApiProblem = Readonly<z.output<typeof problemSchema>>

const corruptDevices = z
  .record(z.string(), problemSchema)
  .describe('By id: what is wrong with a device that others have damaged.')

export const pageSchema = z.object({
  devices: z.array(deviceSchema),
  next_cursor: z.string().nullable().describe('null: this is the last page. A page may be short, or empty.'),
  errors: corruptDevices.optional(),
})

export const lookupSchema = z.object({
  found: z.record(z.string(), deviceSchema),
  missing: z.array(z.string()),
  errors: corruptDevices,
  complete: z.boolean().describe('false: the cache is being filled, and what is missing may yet come.'),
})

export const stateSchema = z.object({
  state: z.record(z.string(), z.unknown()).describe('By type: as a rule `{updated, valid, values}`.'),
  last_event_id: z.string().describe('`GET /api/events?last_event_id=` goes on from here.'),
})

/** Data of the events of `GET /api/events`, by the event's name. */
export const deviceEventSchema = z.object({
  change: z.enum(['changed', 'deleted']),
  device_ids: z.array(z.string()),
  more: z.int(),
})
export const updateEventSchema = z.object({
  type: z.string(),
  updated: z.unknown(),
  valid: z.unknown(),
  values: z.unknown().optional(),
  too_large: z.literal(true).optional(),
})
export const resetEventSchema = z.object({ streams: z.array(z.string()), reason: z.string() })
