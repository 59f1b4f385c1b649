import { z } from 'zod'
import { deviceSchema, MAX_LOOKUP_IDS, MAX_PAGE_SIZE } from '../../../shared/contract/api-schemas.ts'
import { DEVICE_ID_MAX_BYTES, isDeviceId } from '../../../shared/contract/device-id.ts'

const DEFAULT_PAGE_SIZE = 100

const DEVICE_FIELDS = deviceSchema.keyof().options
const anyField = `(${DEVICE_FIELDS.join('|')})`

export const deviceIdParams = z.object({
  id: z
    .string()
    .refine(isDeviceId, 'must be 1 to 256 bytes of UTF-8 without control characters')
    .meta({
      description: `Device id: 1 to ${DEVICE_ID_MAX_BYTES} bytes of UTF-8 without control characters. Percent-encoded in the path, \`/\` included.`,
      minLength: 1,
      maxLength: DEVICE_ID_MAX_BYTES,
      pattern: String.raw`^[^\u0000-\u001f\u007f-\u009f]+$`,
    }),
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
    )
    .meta({ pattern: `^${anyField}(,${anyField})*$` }),
})

export const pageQuery = z.object({
  cursor: z.string().max(1024).optional().describe('`next_cursor` of the previous page.'),
  limit: z
    .string()
    .default(String(DEFAULT_PAGE_SIZE))
    .refine(
      (text) => /^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= MAX_PAGE_SIZE,
      `must be a whole number from 1 to ${MAX_PAGE_SIZE}`,
    )
    .meta({
      description: 'Maximum number of devices in the page.',
      type: 'integer',
      minimum: 1,
      maximum: MAX_PAGE_SIZE,
      default: DEFAULT_PAGE_SIZE,
    }),
  match: z
    .string()
    .max(256)
    .refine((text) => text.isWellFormed(), 'must be well-formed UTF-8')
    .default('')
    .describe('Prefix of the device ids, taken literally.'),
})

export const lookupBody = z.object({
  ids: z
    .array(z.string())
    .max(MAX_LOOKUP_IDS, `must have at most ${MAX_LOOKUP_IDS} ids`)
    .describe('Duplicates count once. An invalid id is reported in `errors`.'),
})
