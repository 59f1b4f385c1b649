import { z } from 'zod'
import { RedisDeserializationError, RedisSerializationError } from './errors.ts'

/** The parsers of Python and of Redis give up at about 1,000 levels. */
const MAX_DEPTH = 500

/**
 * Converts a value to JSON. Unlike JSON.stringify, it never omits or changes anything silently: it throws for
 * undefined, NaN, ±Infinity, BigInt, functions, symbols, cycles and objects that are not plain data (Map, Set, class
 * instances). A Date becomes ISO 8601 in UTC, and an object with a `toJSON` method becomes what the method returns.
 *
 * @param schema encodes the value first (`z.encode`), for codecs such as enumName and isoDate (codecs.ts).
 * @throws RedisSerializationError with the path within the value and the reason.
 */
export function serialize(value: unknown, schema?: z.ZodType): string {
  try {
    return jsonOf(schema === undefined ? value : z.encode(schema, value), '$', [])
  } catch (error) {
    if (error instanceof RedisSerializationError) throw error
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error)
    throw new RedisSerializationError(`Cannot serialize the value: ${reason}`, { cause: error })
  }
}

/**
 * Parses JSON and validates it.
 *
 * @param key for the error message.
 * @throws RedisDeserializationError; its `cause` is the SyntaxError or the ZodError.
 */
export function deserialize<Schema extends z.ZodType>(
  text: string,
  schema: Schema,
  key: string,
): z.output<Schema> {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw new RedisDeserializationError(`${key} does not hold JSON`, { cause })
  }
  const result = schema.safeParse(parsed)
  if (result.success) return result.data
  const reason = z.prettifyError(result.error)
  throw new RedisDeserializationError(`${key} does not match the schema: ${reason}`, { cause: result.error })
}

/** @throws RedisSerializationError for a lone surrogate, which UTF-8 cannot represent. */
export function assertWellFormed(text: string): void {
  if (!text.isWellFormed())
    throw new RedisSerializationError('The text contains a lone surrogate, which UTF-8 cannot represent')
}

/** @param ancestors the enclosing objects, outermost first. */
function jsonOf(value: unknown, path: string, ancestors: readonly object[]): string {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return JSON.stringify(value)
    case 'number':
      if (!Number.isFinite(value)) return fail(path, `JSON cannot represent ${value}`)
      return Object.is(value, -0) ? '-0' : JSON.stringify(value)
    case 'undefined':
      return fail(path, 'JSON cannot represent undefined; omit the field, or store null')
    case 'object':
      return value === null ? 'null' : jsonOfObject(value, path, ancestors)
    case 'bigint':
    case 'function':
    case 'symbol':
      return fail(path, `JSON cannot represent a ${typeof value}`)
  }
}

function jsonOfObject(value: object, path: string, ancestors: readonly object[]): string {
  if (ancestors.includes(value)) return fail(path, 'the object contains itself')
  if (ancestors.length === MAX_DEPTH) return fail('$…', `nested deeper than ${MAX_DEPTH} levels`)
  const inside = [...ancestors, value]
  if (Array.isArray(value)) {
    // Array.from instead of map, which skips holes.
    return `[${Array.from(value, (item, index) => jsonOf(item, `${path}[${index}]`, inside)).join(',')}]`
  }
  if (value instanceof Date && Number.isNaN(value.getTime())) return fail(path, 'invalid Date')
  if ('toJSON' in value && typeof value.toJSON === 'function') return jsonOf(value.toJSON(''), path, inside)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    return fail(path, `a ${value.constructor.name} is not plain data; convert it, or give it a toJSON method`)
  }
  const fields = Object.entries(value).map(
    ([name, field]) => `${JSON.stringify(name)}:${jsonOf(field, `${path}.${name}`, inside)}`,
  )
  return `{${fields.join(',')}}`
}

function fail(path: string, reason: string): never {
  throw new RedisSerializationError(`Cannot serialize the value: ${path}: ${reason}`)
}
