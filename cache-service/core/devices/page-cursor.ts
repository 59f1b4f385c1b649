import { z } from 'zod'
import { isDeviceId } from '../../../shared/contract/device-id.ts'
import type { PagePosition } from './device-view.ts'

export const FIRST_PAGE: PagePosition = { cursor: '0' }

/** Redis' own cursors are 64 bits wide; it answers anything else with an error. */
const MAX_SCAN_CURSOR = 2n ** 64n - 1n

const scanCursor = z
  .string()
  .regex(/^\d{1,20}$/)
  .refine((digits) => BigInt(digits) <= MAX_SCAN_CURSOR)
const cursorSchema = z.tuple([scanCursor, z.string().refine(isDeviceId).optional()])

/** Opaque to callers: its content may change with any release. */
export function encodeCursor({ cursor, above }: PagePosition): string {
  const text = JSON.stringify(above === undefined ? [cursor] : [cursor, above])
  return Buffer.from(text).toString('base64url')
}

/** undefined: the text is not a cursor of this API. */
export function decodeCursor(text: string): PagePosition | undefined {
  try {
    const parsed = cursorSchema.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString()))
    if (!parsed.success) return undefined
    const [cursor, above] = parsed.data
    const position = { cursor, above }
    // Base64 is decoded leniently: other texts yield the same bytes.
    return encodeCursor(position) === text ? position : undefined
  } catch {
    return undefined
  }
}
