/** A Python `float`: written as `1.0`, where an `int` is written as `1`. */
export class PythonFloat {
  readonly value: number
  constructor(value: number) {
    this.value = value
  }
}

/** What `json.dumps` accepts; a plain `number` is an `int`. */
export type PythonValue = null | boolean | number | string | PythonFloat | readonly PythonValue[] | PythonDict
export type PythonDict = {
  readonly [key: string]: PythonValue
}

const PLAIN = /^[ !#-[\]-~]*$/
const NOT_ASCII = /[\u007f-\uffff]/g

/** The text of Python's `json.dumps(value)` with its default arguments. */
export function pythonJsonDumps(value: PythonValue): string {
  if (typeof value === 'string') return dumpString(value)
  if (value === null || typeof value !== 'object') return String(value)
  if (value instanceof PythonFloat) return dumpFloat(value.value)
  if (isList(value)) return `[${value.map(pythonJsonDumps).join(', ')}]`
  let text = ''
  for (const key of Object.keys(value)) {
    text += `${text === '' ? '' : ', '}${dumpString(key)}: ${pythonJsonDumps(value[key] ?? null)}`
  }
  return `{${text}}`
}

function isList(value: readonly PythonValue[] | PythonDict): value is readonly PythonValue[] {
  return Array.isArray(value)
}

function dumpString(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`
  return JSON.stringify(text).replace(
    NOT_ASCII,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

// Python's repr has the shortest digits that round-trip, as in JavaScript, but an exponent below 1e-4 and from 1e16, at
// least two digits in the exponent, and `.0` for whole numbers.
function dumpFloat(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (Object.is(value, -0)) return '-0.0'
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2')
  }
  return Number.isInteger(value) ? `${value}.0` : String(value)
}

const MICROS_PER_SECOND = 1_000_000

/**
 * The text of Python's `datetime.isoformat()`: no fraction for a whole second, otherwise six digits; naive UTC if
 * `offsetMinutes` is null, otherwise local time with its offset.
 */
export function pythonIsoFormat(epochMicros: number, offsetMinutes: number | null = null): string {
  const localMicros = epochMicros + (offsetMinutes ?? 0) * 60 * MICROS_PER_SECOND
  const micros = localMicros % MICROS_PER_SECOND
  const seconds = isoSeconds(localMicros)
  const text = micros === 0 ? seconds : `${seconds}.${sixDigits(micros)}`
  return offsetMinutes === null ? text : text + offsetText(offsetMinutes)
}

/** The same moment as the cache stores it: UTC, always with six digits. */
export function lastUpdatedText(epochMicros: number): string {
  return `${isoSeconds(epochMicros)}.${sixDigits(epochMicros % MICROS_PER_SECOND)}+00:00`
}

function isoSeconds(epochMicros: number): string {
  return new Date(Math.floor(epochMicros / 1000)).toISOString().slice(0, 19)
}

function sixDigits(micros: number): string {
  return String(micros).padStart(6, '0')
}

function offsetText(offsetMinutes: number): string {
  const size = Math.abs(offsetMinutes)
  const hours = String(Math.floor(size / 60)).padStart(2, '0')
  return `${offsetMinutes < 0 ? '-' : '+'}${hours}:${String(size % 60).padStart(2, '0')}`
}
