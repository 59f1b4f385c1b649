import { z } from 'zod'

/** The responses of the API. The server describes itself by these schemas; api-types.ts has the types without zod. */

export { MAX_LOOKUP_IDS, MAX_PAGE_SIZE, type ApiProblem, type Device } from './api-types.ts'

export const deviceSchema = z
  .object({
    device_id: z.string().describe('1 to 256 bytes of UTF-8 without control characters.'),
    datatype_id: z.string().nullable(),
    datatype_name: z.string().nullable(),
    datatype_unit: z
      .union([z.string(), z.array(z.unknown())])
      .nullable()
      .describe('A list if the stored text is a JSON list; otherwise the text.'),
    persist: z.unknown().describe('Usually a boolean or a list of booleans.'),
    last_updated: z.string().nullable().describe('Event time: ISO 8601, UTC, six fraction digits.'),
    extra: z.record(z.string(), z.string()).describe('Further fields, unparsed.'),
    ttl: z.int().nullable().describe('Seconds until the device expires; null: never.'),
  })
  .meta({ id: 'Device' })

export const selectedDeviceSchema = deviceSchema
  .partial()
  .required({ device_id: true })
  .meta({ id: 'SelectedDevice', description: 'With `fields`: these only.' })

export const problemSchema = z
  .looseObject({
    type: z.string().describe('Problem type, such as not_found. Programs should switch on it.'),
    title: z.string().describe('The type in words, for people.'),
    status: z.int().describe('The HTTP status.'),
    detail: z.string().optional().describe('What happened this time, for people.'),
  })
  .meta({ id: 'Problem', description: 'RFC 9457' })

const problemsById = z
  .record(z.string(), problemSchema)
  .describe(
    'By id: the problems of invalid ids (lookup only), of corrupt devices, and of devices that a failed master of a Redis Cluster hides.',
  )

export const pageSchema = z.object({
  devices: z.array(deviceSchema),
  next_cursor: z.string().nullable().describe('null: this is the last page. Any page may be short or empty.'),
  errors: problemsById.optional(),
})

const searchFacts = {
  total: z.int().describe('Number of devices, on all pages together.'),
  as_of: z
    .string()
    .describe('When the devices were read. A search may use what was read for an earlier one.'),
  truncated: z
    .boolean()
    .describe(
      'true: the cache holds more than `API_SEARCH_MAX_DEVICES` devices, and further ones may match.',
    ),
}

export const searchSchema = z.object({
  ...searchFacts,
  offset: z.int().describe('Number of devices on the pages before this one.'),
  devices: z
    .array(deviceSchema)
    .describe('As they are now. Devices that have expired since `as_of` are left out.'),
  next_cursor: z.string().nullable().describe('null: this is the last page.'),
  errors: problemsById.optional(),
})

export const typeCountsSchema = z.object({
  ...searchFacts,
  types: z
    .array(
      z.object({
        ...deviceSchema.pick({ datatype_id: true, datatype_name: true }).shape,
        datatype_unit: z.string().nullable().describe('A list as its JSON text.'),
        devices: z.int(),
      }),
    )
    .describe('The most frequent 1,000.'),
})

export const lookupSchema = z.object({
  found: z.record(z.string(), deviceSchema).describe('By id.'),
  missing: z.array(z.string()).describe('The ids without a device.'),
  errors: problemsById,
  complete: z
    .boolean()
    .describe(
      'false: a rebuild is in progress, so missing devices may still appear; or ids are under `errors` as `redis_unavailable`.',
    ),
})

export const stateSchema = z.object({
  state: z.record(z.string(), z.unknown()).describe('By type, usually `{updated, valid, values}`.'),
  last_event_id: z
    .string()
    .describe('Pass it to `GET /api/events?last_event_id=` to follow all later events.'),
})

/** The data of the `device`, `update` and `reset` events of `GET /api/events`. */
export const deviceEventSchema = z.object({
  change: z.enum(['changed', 'deleted']),
  device_ids: z.array(z.string()),
  more: z.int().describe('Number of further devices, which are not named.'),
})
export const updateEventSchema = z.object({
  type: z.string(),
  updated: z.unknown(),
  valid: z.unknown(),
  values: z.unknown().optional().describe('Absent if they are too large for an event.'),
  too_large: z.literal(true).optional().describe('Read the values with `GET /api/state/{type}`.'),
})
export const resetEventSchema = z.object({
  streams: z.array(z.string()).describe('`update`, `device`, or both.'),
  reason: z.string().describe('For people.'),
})
