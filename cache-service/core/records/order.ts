import { compareUtf8, type MetadataFields } from './metadata-fields.ts'

/** What the order compares: an update of a device, or what Redis stores for it. */
export type DeviceState = { readonly lastUpdated: string; readonly fields: MetadataFields }

/**
 * The total order of states (a last-writer-wins register): the later event time is greater; at equal event
 * times the greater canonical content, which is `name\0value\0` for each name in byte order. Different contents
 * can have the same canonical bytes (a value that contains a NUL can look like a further field); these are
 * compared field by field. redis/devices/apply-updates.lua implements the same order; a property test compares
 * the two.
 *
 * @returns negative, zero or positive, as `a` is less than, equal to or greater than `b`.
 */
export function compareStates(a: DeviceState, b: DeviceState): number {
  if (a.lastUpdated !== b.lastUpdated) return a.lastUpdated < b.lastUpdated ? -1 : 1
  return compareContents(a.fields, b.fields)
}

function compareContents(a: MetadataFields, b: MetadataFields): number {
  if (a.length === b.length && a.every((text, i) => text === b[i])) return 0
  const byCanonicalBytes = compareUtf8(canonical(a), canonical(b))
  if (byCanonicalBytes !== 0) return byCanonicalBytes
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const byText = compareUtf8(a[i] ?? '', b[i] ?? '')
    if (byText !== 0) return byText
  }
  return a.length - b.length
}

function canonical(fields: MetadataFields): string {
  return fields.map((text) => `${text}\0`).join('')
}
