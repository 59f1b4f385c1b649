import type { Device } from '../../../shared/contract/api-schemas.ts'
import { usageError } from '../cli-error.ts'
import { textOf } from './device-columns.ts'

export type DeviceFilter = (device: Device) => boolean

/**
 * Parses filters of the form `field=value`, of which all must match. A field is one of the named fields or an
 * extra field. Strings are compared as they are, other values as compact JSON; a list also matches if one of its
 * members does.
 *
 * @throws CliError (usage)
 */
export function parseFilters(texts: readonly string[]): DeviceFilter {
  const conditions = texts.map((text) => {
    const at = text.indexOf('=')
    if (at < 1) throw usageError(`--filter ${JSON.stringify(text)} must have the form field=value`)
    return { field: text.slice(0, at), value: text.slice(at + 1) }
  })
  return (device) => conditions.every(({ field, value }) => matches(fieldOf(device, field), value))
}

function fieldOf(device: Device, field: string): unknown {
  if (field !== 'extra' && Object.hasOwn(device, field)) {
    return Object.entries(device).find(([name]) => name === field)?.[1]
  }
  return Object.hasOwn(device.extra, field) ? device.extra[field] : undefined
}

function matches(found: unknown, wanted: string): boolean {
  if (found === undefined) return false
  if (textOf(found) === wanted) return true
  return Array.isArray(found) && found.some((member) => textOf(member) === wanted)
}
