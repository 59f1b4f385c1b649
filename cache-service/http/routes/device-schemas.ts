import { z } from 'zod'
import { deviceSchema, MAX_LOOKUP_IDS, MAX_PAGE_SIZE } from '../../../shared/contract/api-schemas.ts'
import { isDeviceId } from '../../../shared/contract/device-id.ts'

const DEFAULT_PAGE_SIZE = 100

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

export const lookupBody = z.object({
  ids: z.array(z.string()).max(MAX_LOOKUP_IDS, `must be at most ${MAX_LOOKUP_IDS} ids`),
})
