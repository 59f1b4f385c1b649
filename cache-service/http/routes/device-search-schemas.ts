import { z } from 'zod'
import { SORT_FIELDS } from '../../../shared/contract/api-types.ts'
import { parseSort, type DeviceQuery, type DeviceSort } from '../../core/devices/device-query.ts'
import { eventTimeUs, parseEventTime } from '../../core/event-time.ts'
import { pageQuery } from './device-schemas.ts'

const MAX_TEXT = 1024
const MAX_SILENT_S = 1_000_000_000
const MAX_COLUMNS = 100

/** `extra`: all extra fields as one JSON object. */
export const EXPORT_FIELDS = [
  'device_id',
  'datatype_name',
  'datatype_id',
  'datatype_unit',
  'persist',
  'last_updated',
  'ttl',
  'extra',
] as const

export type ExportColumn = (typeof EXPORT_FIELDS)[number] | `extra.${string}`

const text = z.string().max(MAX_TEXT).optional()

const time = z
  .string()
  .optional()
  .transform((given, context): number | undefined => {
    const parsed = given === undefined ? undefined : parseEventTime(given)
    if (given === undefined || parsed !== undefined) return parsed && eventTimeUs(parsed.text)
    context.addIssue({ code: 'custom', message: 'must be a time such as 2025-06-08T18:00:00Z' })
    return z.NEVER
  })

const sort = z
  .string()
  .default('device_id')
  .transform((given, context): DeviceSort => {
    const parsed = parseSort(given)
    if (parsed !== undefined) return parsed
    context.addIssue({
      code: 'custom',
      message: `must be ${SORT_FIELDS.join(', ')}, or one of them after "-"`,
    })
    return z.NEVER
  })

const conditions = z.object({
  match: pageQuery.shape.match,
  contains: z.string().max(256).default('').describe('Part of the device ids, in upper or lower case.'),
  type: text.describe('`datatype_name` or `datatype_id`. Empty: devices with neither.'),
  unit: text.describe('`datatype_unit`, or a member of it if it is a list. Empty: devices without a unit.'),
  silent_for: z
    .string()
    .regex(/^\d{1,10}$/, 'must be a whole number of seconds')
    .refine((given) => Number(given) <= MAX_SILENT_S, `must be at most ${MAX_SILENT_S}`)
    .optional()
    .describe(
      'Only devices whose `last_updated` is at least this many seconds before the search, or absent.',
    ),
  updated_before: time.describe('Only devices whose `last_updated` is before this time, or absent.'),
  updated_after: time.describe('Only devices whose `last_updated` is after this time.'),
  sort: sort.describe(
    `\`${SORT_FIELDS.join('`, `')}\`; with \`-\` before it in descending order. Devices without a type name are sorted by the type id. Equal values are sorted by id.`,
  ),
})

export const searchQuery = conditions.extend({
  cursor: z
    .string()
    .max(4096)
    .optional()
    .describe('`next_cursor` of the previous page, with the same conditions and the same order.'),
  limit: pageQuery.shape.limit,
})

const column = z.string().refine(isExportColumn, `must be ${EXPORT_FIELDS.join(', ')} or extra.NAME`)

export const exportQuery = conditions.extend({
  format: z
    .enum(['csv', 'jsonl'])
    .default('csv')
    .describe('`csv`, or `jsonl`: a device as JSON in each line.'),
  column: z
    .union([column.transform((one) => [one]), z.array(column).max(MAX_COLUMNS)])
    .default([...EXPORT_FIELDS])
    .describe(
      `Column of the CSV: ${EXPORT_FIELDS.join(', ')} (all extra fields as JSON), or \`extra.NAME\` for one extra field. Repeatable.`,
    ),
})

function isExportColumn(given: string): given is ExportColumn {
  return EXPORT_FIELDS.some((field) => field === given) || /^extra\../.test(given)
}

export function queryOf(given: z.output<typeof conditions>): DeviceQuery {
  return {
    prefix: given.match,
    contains: given.contains,
    type: given.type,
    unit: given.unit,
    silentForS: given.silent_for === undefined ? undefined : Number(given.silent_for),
    updatedBeforeUs: given.updated_before,
    updatedAfterUs: given.updated_after,
    sort: given.sort,
  }
}
