/**
 * An event time, normalised to UTC with six fractional digits: `2025-06-08T18:27:17.476623+00:00`. The text has
 * a fixed width, so that string order is chronological order, in JavaScript and in Lua.
 *
 * `Date.parse` is unsuitable: it reads naive strings in the process's time zone and drops microseconds.
 */
export type EventTime = {
  readonly text: string
  /** Milliseconds since 1970; the remaining microseconds are truncated. */
  readonly ms: number
}

const SHAPE =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?)?$/
const LAST_INSTANT_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999)
const ZERO = 48

/**
 * @param text ISO 8601: naive (read as UTC), with `Z` or with an offset; `T` or a space as the separator; 0–9
 *   fractional digits, of which six are kept.
 * @returns undefined if it is not a valid time, or outside the years 1970–9999.
 */
export function parseEventTime(text: string): EventTime | undefined {
  return parseNaiveMicroseconds(text) ?? parseAnyShape(text)
}

export function eventTimeFromMs(ms: number): EventTime {
  return { text: `${new Date(ms).toISOString().slice(0, 23)}000+00:00`, ms }
}

/** The inverse of eventTimeUs. */
export function eventTimeFromUs(us: number): EventTime {
  const ms = Math.floor(us / 1000)
  const micros = String(us - ms * 1000).padStart(3, '0')
  return { text: `${new Date(ms).toISOString().slice(0, 23)}${micros}+00:00`, ms }
}

/**
 * Microseconds since 1970 of a stored event time.
 *
 * @returns undefined if the text has another shape. Beyond the year 2255, the last digits are rounded.
 */
export function eventTimeUs(text: string): number | undefined {
  if (text.length !== 32 || !text.endsWith('+00:00')) return undefined
  const time = parseNaiveMicroseconds(text.slice(0, 26))
  return time === undefined ? undefined : time.ms * 1000 + digits(text, 23, 26)
}

/** The minute that was read last, `2025-06-08T18:27`: most times begin with that of the one before. */
let knownMinute = { text: '1970-01-01T00:00', ms: 0 }

/** The usual output of Python's `isoformat()`, `2025-06-08T18:27:17.476623`, parsed without a regular expression. */
function parseNaiveMicroseconds(text: string): EventTime | undefined {
  if (text.length !== 26 || text.charCodeAt(16) !== 58 || text.charCodeAt(19) !== 46) return undefined
  const second = digits(text, 17, 19)
  const micros = digits(text, 20, 26)
  if (Number.isNaN(second + micros) || second > 59) return undefined
  if (!text.startsWith(knownMinute.text)) {
    const ms = parseMinute(text)
    if (ms === undefined) return undefined
    knownMinute = { text: text.slice(0, 16), ms }
  }
  return { text: `${text}+00:00`, ms: knownMinute.ms + second * 1000 + Math.floor(micros / 1000) }
}

function parseMinute(text: string): number | undefined {
  if (text.charCodeAt(10) !== 84 || text.charCodeAt(13) !== 58) return undefined
  if (text.charCodeAt(4) !== 45 || text.charCodeAt(7) !== 45) return undefined
  const year = digits(text, 0, 4)
  const month = digits(text, 5, 7)
  const day = digits(text, 8, 10)
  const hour = digits(text, 11, 13)
  const minute = digits(text, 14, 16)
  if (Number.isNaN(year + month + day + hour + minute)) return undefined
  if (year < 1970 || hour > 23 || minute > 59 || !isDate(year, month, day)) return undefined
  return Date.UTC(year, month - 1, day, hour, minute)
}

function parseAnyShape(text: string): EventTime | undefined {
  const match = SHAPE.exec(text)
  if (match === null) return undefined
  const [, years, months, days, hours, minutes, seconds, fraction = '', , sign, offsetHours, offsetMinutes] =
    match
  const [year, month, day] = [Number(years), Number(months), Number(days)]
  const [hour, minute, second] = [Number(hours), Number(minutes), Number(seconds)]
  if (!isDate(year, month, day) || hour > 23 || minute > 59 || second > 59) return undefined
  let offsetMs = 0
  if (sign !== undefined) {
    const [h, m] = [Number(offsetHours), Number(offsetMinutes ?? '0')]
    if (h > 23 || m > 59) return undefined
    offsetMs = (sign === '+' ? 1 : -1) * (h * 60 + m) * 60_000
  }
  const micros = fraction.padEnd(6, '0').slice(0, 6)
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day) // Date.UTC would read the years 0–99 as 1900–1999
  date.setUTCHours(hour, minute, second, Number(micros.slice(0, 3)))
  const ms = date.getTime() - offsetMs
  if (ms < 0 || ms > LAST_INSTANT_MS) return undefined
  return { text: `${new Date(ms).toISOString().slice(0, 19)}.${micros}+00:00`, ms }
}

/** The value of the digits, or NaN if one of them is not a digit. */
function digits(text: string, from: number, to: number): number {
  let value = 0
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - ZERO
    if (digit < 0 || digit > 9) return Number.NaN
    value = value * 10 + digit
  }
  return value
}

function isDate(year: number, month: number, day: number): boolean {
  return month >= 1 && month <= 12 && day >= 1 && (day <= 28 || day <= daysInMonth(year, month))
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}
