import { z } from 'zod'
import { RedisDeserializationError, RedisSerializationError } from './errors.ts'

/** Python's own parser gives up at about 1,000 levels, and so does Redis's. */
const MAX_DEPTH = 500

/**
 * The value as JSON, or an error: nothing is left out or changed in silence, as JSON.stringify would. A Date
 * becomes ISO 8601 in UTC; an object with a `toJSON` what that returns; undefined, NaN, ±Infinity, BigInt,
 * functions, symbols, cycles and objects that are no plain data (Map, Set, class instances) are refused.
 *
 * @param schema writes the value as it says, backwards (`z.encode`): enumName and isoDate, see redis-codecs.ts.
 * @throws RedisSerializationError that says where in the value, and why.
 */
export function encodeStoredJson(value: unknown, schema?: z.ZodType): string {
  try {
    return write(schema === undefined ? value : z.encode(schema, value), '$', [])
  } catch (error) {
    if (error instanceof RedisSerializationError) throw error
    const why = error instanceof z.ZodError ? z.prettifyError(error) : String(error)
    throw new RedisSerializationError(`the value can't be written: ${why}`, { cause: error })
  }
}

/**
 * @param key only for the message.
 * @throws RedisDeserializationError; `cause` is the SyntaxError or the ZodError.
 */
export function decodeStoredJson<Schema extends z.ZodType>(
  text: string,
  schema: Schema,
  key: string,
): z.output<Schema> {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw new RedisDeserializationError(`${key} holds no JSON`, { cause })
  }
  const result = schema.safeParse(parsed)
  if (result.success) return result.data
  const why = z.prettifyError(result.error)
  throw new RedisDeserializationError(`${key} holds something else: ${why}`, { cause: result.error })
}

/** @throws RedisSerializationError for a lone surrogate: UTF-8 has no form for it. */
export function assertWellFormed(text: string): void {
  if (!text.isWellFormed()) throw new RedisSerializationError('a text with half a surrogate pair in it')
}

/** @param ancestors the objects around it, outermost first. */
function write(value: unknown, path: string, ancestors: readonly object[]): string {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return JSON.stringify(value)
    case 'number':
      if (!Number.isFinite(value)) return refuse(path, `${value} has no form in JSON`)
      return Object.is(value, -0) ? '-0' : JSON.stringify(value)
    case 'undefined':
      return refuse(path, 'undefined has no form in JSON: leave it out, or store null')
    case 'object':
      return value === null ? 'null' : writeObject(value, path, ancestors)
    case 'bigint':
    case 'function':
    case 'symbol':
      return refuse(path, `a ${typeof value} has no form in JSON`)
  }
}

function writeObject(value: object, path: string, ancestors: readonly object[]): string {
  if (ancestors.includes(value)) return refuse(path, 'it contains itself')
  if (ancestors.length === MAX_DEPTH) return refuse('$…', `nested deeper than ${MAX_DEPTH}`)
  const inside = [...ancestors, value]
  if (Array.isArray(value)) {
    // Not map: it skips holes.
    return `[${Array.from(value, (item, index) => write(item, `${path}[${index}]`, inside)).join(',')}]`
  }
  if (value instanceof Date && Number.isNaN(value.getTime())) return refuse(path, 'an invalid Date')
  if ('toJSON' in value && typeof value.toJSON === 'function') return write(value.toJSON(''), path, inside)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    return refuse(path, `a ${value.constructor.name} is no plain data: convert it, or give it a toJSON()`)
  }
  const fields = Object.entries(value).map(
    ([name, field]) => `${JSON.stringify(name)}:${write(field, `${path}.${name}`, inside)}`,
  )
  return `{${fields.join(',')}}`
}

function refuse(path: string, why: string): never {
  throw new RedisSerializationError(`the value can't be written: ${path}: ${why}`)
}
