import { z } from 'zod'
import { isDeviceId } from '../../shared/device-id.ts'
import { problemSchema } from './problem-schema.ts'

export const MAX_PAGE_SIZE = 1000
export const MAX_LOOKUP_IDS = 1000
const DEFAULT_PAGE_SIZE = 100

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

export const DEVICE_FIELDS = deviceSchema.keyof().options

export const deviceIdParams = z.object({
  id: z
    .string()
    .refine(isDeviceId, 'must be 1 to 256 bytes of UTF-8 without control characters')
    .meta({ description: 'Percent-encoded.' }),
})

export const fieldsQuery = z.object({
  fields: z
    .string()
    .optional()
    .describe(`Only these, with commas: ${DEVICE_FIELDS.join(', ')}. device_id always comes.`)
    .refine(
      (text) =>
        text === undefined || text.split(',').every((name) => DEVICE_FIELDS.some((field) => field === name)),
      `must be of ${DEVICE_FIELDS.join(', ')}`,
    ),
})

export const pageQuery = z.object({
  cursor: z.string().max(1024).optional().describe('`next_cursor` of the page before.'),
  limit: z
    .string()
    .regex(/^\d{1,4}$/, `must be a whole number from 1 to ${MAX_PAGE_SIZE}`)
    .default(String(DEFAULT_PAGE_SIZE))
    .refine(
      (text) => Number(text) >= 1 && Number(text) <= MAX_PAGE_SIZE,
      `must be a whole number from 1 to ${MAX_PAGE_SIZE}`,
    )
    .describe(`1 to ${MAX_PAGE_SIZE}`),
  match: z
    .string()
    .max(256)
    .refine((text) => text.isWellFormed(), 'must be well-formed')
    .default('')
    .describe('What the ids begin with, literally.'),
})

const corruptDevices = z
  .record(z.string(), problemSchema)
  .describe('By id: what is wrong with a device that others have damaged.')

export const pageSchema = z.object({
  devices: z.array(deviceSchema),
  next_cursor: z.string().nullable().describe('null: this is the last page. A page may be short, or empty.'),
  errors: corruptDevices.optional(),
})

export const lookupBody = z.object({
  ids: z.array(z.string()).max(MAX_LOOKUP_IDS, `must be at most ${MAX_LOOKUP_IDS} ids`),
})

export const lookupSchema = z.object({
  found: z.record(z.string(), deviceSchema),
  missing: z.array(z.string()),
  errors: corruptDevices,
  complete: z.boolean().describe('false: the cache is being filled, and what is missing may yet come.'),
})
