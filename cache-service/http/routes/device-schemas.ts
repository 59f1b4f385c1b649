import { z } from 'zod'
import { deviceSchema, MAX_LOOKUP_IDS, MAX_PAGE_SIZE } from '../../../shared/contract/api-schemas.ts'
import { isDeviceId } from '../../../shared/contract/device-id.ts'

const DEFAULT_PAGE_SIZE = 100

const DEVICE_FIELDS = deviceSchema.keyof().options

export const deviceIdParams = z.object({
  id: z
    .string()
    .refine(isDeviceId, 'must be 1 to 256 bytes of UTF-8 without control characters')
    .meta({ description: 'Device id, percent-encoded.' }),
})

export const fieldsQuery = z.object({
  fields: z
    .string()
    .optional()
    .describe(`Comma-separated fields to return: ${DEVICE_FIELDS.join(', ')}. device_id is always included.`)
    .refine(
      (text) =>
        text === undefined || text.split(',').every((name) => DEVICE_FIELDS.some((field) => field === name)),
      `must be a comma-separated list of ${DEVICE_FIELDS.join(', ')}`,
    ),
})

export const pageQuery = z.object({
  cursor: z.string().max(1024).optional().describe('`next_cursor` of the previous page.'),
  limit: z
    .string()
    .regex(/^\d{1,4}$/, `must be a whole number from 1 to ${MAX_PAGE_SIZE}`)
    .default(String(DEFAULT_PAGE_SIZE))
    .refine(
      (text) => Number(text) >= 1 && Number(text) <= MAX_PAGE_SIZE,
      `must be a whole number from 1 to ${MAX_PAGE_SIZE}`,
    )
    .describe(`Maximum number of devices in the page: 1 to ${MAX_PAGE_SIZE}.`),
  match: z
    .string()
    .max(256)
    .refine((text) => text.isWellFormed(), 'must be well-formed UTF-8')
    .default('')
    .describe('Prefix of the device ids, taken literally.'),
})

export const lookupBody = z.object({
  ids: z.array(z.string()).max(MAX_LOOKUP_IDS, `must have at most ${MAX_LOOKUP_IDS} ids`),
})
