import type { ValidatedOutput } from '../../../shared/contract/messages.ts'

/**
 * The content of a device hash without `last_updated`: name, value, name, value, …, ordered by the UTF-8
 * bytes of the names. This order makes contents comparable (order.ts).
 */
export type MetadataFields = readonly string[]

export type ExtraFields = 'all' | readonly string[]

type Metadata = Readonly<Partial<Record<keyof NonNullable<ValidatedOutput['metadata']>, unknown>>>

const KNOWN_FIELDS: ReadonlySet<string> = new Set([
  'datatype_id',
  'datatype_name',
  'datatype_unit',
  'persist',
])
const RESERVED_FIELD = 'last_updated'

/**
 * @param metadata the known fields, validated.
 * @param raw the same object as sent, for the extra fields.
 */
export function metadataFields(metadata: Metadata, raw: unknown, extra: ExtraFields): MetadataFields {
  const fields: string[] = []
  pushField(fields, 'datatype_id', metadata.datatype_id)
  pushField(fields, 'datatype_name', metadata.datatype_name)
  pushField(fields, 'datatype_unit', metadata.datatype_unit)
  pushField(fields, 'persist', metadata.persist ?? true)
  if (extra !== 'all' && extra.length === 0) return fields
  if (typeof raw !== 'object' || raw === null) return fields
  const present = fields.length
  for (const [name, value] of Object.entries(raw)) {
    if (KNOWN_FIELDS.has(name) || name === RESERVED_FIELD || !name.isWellFormed()) continue
    if (extra === 'all' || extra.includes(name)) pushField(fields, name, value)
  }
  return fields.length === present ? fields : sortByName(fields)
}

function pushField(fields: string[], name: string, value: unknown): void {
  const text = fieldText(value)
  if (text !== undefined) fields.push(name, text)
}

/**
 * A string unchanged; a boolean, number, array or object as compact JSON; undefined for what has no value
 * (null, and the Infinity that JSON.parse returns for 1e999), which the hash then omits. Lone surrogates
 * become U+FFFD, as they would on the wire: what is compared must be what is stored.
 */
export function fieldText(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? value : value.toWellFormed()
    case 'boolean':
      return value ? 'true' : 'false'
    case 'number':
      return Number.isFinite(value) ? JSON.stringify(value) : undefined
    case 'object':
      return value === null ? undefined : JSON.stringify(value)
    default:
      return undefined
  }
}

/** Whether a field that is stored holds a number, on any level. */
export function storesNumbers(raw: unknown, extra: ExtraFields): boolean {
  if (typeof raw !== 'object' || raw === null) return false
  return Object.entries(raw).some(
    ([name, value]) =>
      (extra === 'all' || KNOWN_FIELDS.has(name) || extra.includes(name)) && holdsNumber(value),
  )
}

function holdsNumber(value: unknown): boolean {
  if (typeof value === 'number') return true
  return typeof value === 'object' && value !== null && Object.values(value).some(holdsNumber)
}

/** The content of a hash as Redis holds it. */
export function contentOf(hash: ReadonlyMap<string, string>): MetadataFields {
  return sortByName([...hash].filter(([name]) => name !== RESERVED_FIELD).flat())
}

function sortByName(fields: readonly string[]): string[] {
  const pairs: [name: string, value: string][] = []
  for (let i = 0; i < fields.length; i += 2) pairs.push([fields[i] ?? '', fields[i + 1] ?? ''])
  return pairs.toSorted(([a], [b]) => compareUtf8(a, b)).flat()
}

/** Compares UTF-8 bytes, which is code point order; JavaScript's order, by UTF-16 unit, differs above U+FFFF. */
export function compareUtf8(a: string, b: string): number {
  if (a === b) return 0
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
