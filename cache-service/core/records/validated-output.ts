import type { ValidatedOutput } from '../../../shared/contract/messages.ts'

/**
 * Accepts exactly what `validatedOutputSchema` accepts, in a fraction of the time and without allocating anything: every
 * record passes through here. Only what it refuses is shown to the schema, which then names the fields. A property test
 * compares the two.
 */
export function isValidatedOutput(json: object): json is ValidatedOutput {
  const { request_id, timestamp, device_id, metadata } = json as Partial<Record<string, unknown>>
  return (
    typeof device_id === 'string' &&
    isNullish(request_id, isString) &&
    isNullish(timestamp, isString) &&
    isNullish(metadata, isMetadata)
  )
}

function isMetadata(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const { datatype_id, datatype_name, datatype_unit, persist } = value as Partial<Record<string, unknown>>
  return (
    isNullish(datatype_id, isText) &&
    isNullish(datatype_name, isText) &&
    (isNullish(datatype_unit, isText) || Array.isArray(datatype_unit)) &&
    (isNullish(persist, isBoolean) || (Array.isArray(persist) && persist.every(isBoolean)))
  )
}

/** Absent, null, or as the predicate says. */
function isNullish(value: unknown, or: (value: unknown) => boolean): boolean {
  return value === undefined || value === null || or(value)
}

function isString(value: unknown): boolean {
  return typeof value === 'string'
}

/** A number is accepted in place of a string. `1e999` is parsed as Infinity, which has no value. */
function isText(value: unknown): boolean {
  return typeof value === 'string' || Number.isFinite(value)
}

function isBoolean(value: unknown): boolean {
  return typeof value === 'boolean'
}
