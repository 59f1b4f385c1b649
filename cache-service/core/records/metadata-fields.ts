import type { ValidatedOutput } from '../../../shared/contract/messages.ts'

/**
 * The content of a device hash without `last_updated`: name, value, name, value, …, ordered by the UTF-8
 * bytes of the names. This order makes contents comparable (order.ts).
 */
export type MetadataFields = readonly string[]

export type ExtraFields = 'all' | readonly string[]

/** As JSON holds it: the known fields, and any others. */
export type Metadata = Readonly<Partial<Record<keyof NonNullable<ValidatedOutput['metadata']>, unknown>>>

const KNOWN_NAMES = ['datatype_id', 'datatype_name', 'datatype_unit', 'persist'] as const
const KNOWN_FIELDS: ReadonlySet<string> = new Set(KNOWN_NAMES)
const RESERVED_FIELD = 'last_updated'

/** Objects are looped over with `for…in`, which unlike Object.entries allocates nothing; JSON has no inherited fields. */
export function metadataFields(metadata: Metadata, extra: ExtraFields): MetadataFields {
  const fields: string[] = []
  pushField(fields, 'datatype_id', metadata.datatype_id)
  pushField(fields, 'datatype_name', metadata.datatype_name)
  pushField(fields, 'datatype_unit', metadata.datatype_unit)
  pushField(fields, 'persist', metadata.persist ?? true)
  if (extra !== 'all' && extra.length === 0) return fields
  const known = fields.length
  for (const name in metadata) {
    if (KNOWN_FIELDS.has(name) || name === RESERVED_FIELD || !name.isWellFormed()) continue
    if (isWanted(name, extra)) pushField(fields, name, valueOf(metadata, name))
  }
  return fields.length === known ? fields : sortByName(fields)
}

function isWanted(name: string, extra: ExtraFields): boolean {
  return extra === 'all' || extra.includes(name)
}

function valueOf(json: object, name: string): unknown {
  return (json as Readonly<Record<string, unknown>>)[name]
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
export function storesNumbers(metadata: Metadata, extra: ExtraFields): boolean {
  if (KNOWN_NAMES.some((name) => holdsNumber(metadata[name]))) return true
  if (extra !== 'all' && extra.length === 0) return false
  for (const name in metadata) {
    if (isWanted(name, extra) && holdsNumber(valueOf(metadata, name))) return true
  }
  return false
}

function holdsNumber(value: unknown): boolean {
  if (typeof value === 'number') return true
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some(holdsNumber)
  for (const name in value) if (holdsNumber(valueOf(value, name))) return true
  return false
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

const SURROGATE_OR_ABOVE = /[\ud800-\uffff]/

/** Compares UTF-8 bytes, which is code point order; JavaScript's order, by UTF-16 unit, differs above U+FFFF. */
export function compareUtf8(a: string, b: string): number {
  if (a === b) return 0
  if (!SURROGATE_OR_ABOVE.test(a) && !SURROGATE_OR_ABOVE.test(b)) return a < b ? -1 : 1
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
