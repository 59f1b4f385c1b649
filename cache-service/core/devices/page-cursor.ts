import { z } from 'zod'
import { isDeviceId } from '../../../shared/contract/device-id.ts'
import type { PagePosition } from './device-view.ts'

export const FIRST_PAGE: PagePosition = { cursor: '0' }

const cursorSchema = z.tuple([z.string().regex(/^\d{1,20}$/), z.string().refine(isDeviceId).optional()])

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
    return { cursor, above }
  } catch {
    return undefined
  }
}
