const MINUTE = 60
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
/** Clocks of servers may differ by this much; a time further in the future is worth showing. */
const TOLERANCE_S = 5

/** A duration that fits a table cell: `12 s`, `3 min`, `5 h`, `2 days`. */
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds))
  if (s < MINUTE) return `${s} s`
  if (s < HOUR) return `${Math.floor(s / MINUTE)} min`
  if (s < DAY) return `${Math.floor(s / HOUR)} h`
  const days = Math.floor(s / DAY)
  return days === 1 ? '1 day' : `${number(days)} days`
}

/** How long ago a time was, or how far it is in the future. */
export function ago(time, nowMs) {
  const ms = Date.parse(time)
  if (Number.isNaN(ms)) return 'unknown'
  const seconds = (nowMs - ms) / 1000
  if (seconds < -TOLERANCE_S) return `in ${span(-seconds)}`
  return seconds < 1 ? 'now' : `${span(seconds)} ago`
}

/** In the time zone of the browser, to the second. */
export function localTime(time) {
  const ms = Date.parse(time)
  return Number.isNaN(ms)
    ? time
    : new Date(ms).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'long', hourCycle: 'h23' })
}

/** The time of the day, in the time zone of the browser; with the date if it was not within the last 12 hours. */
export function clockTime(ms, nowMs) {
  const time = new Date(ms).toLocaleTimeString([], { hourCycle: 'h23' })
  return nowMs - ms < 12 * HOUR * 1000
    ? time
    : `${new Date(ms).toLocaleDateString(undefined, { dateStyle: 'medium' })}, ${time}`
}

export function number(value, digits = 0) {
  return value.toLocaleString('en', { maximumFractionDigits: digits })
}

/** `1 record`, `2,000 records`. */
export function count(value, noun) {
  return `${number(value)} ${value === 1 ? noun : `${noun}s`}`
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** `640 B`, `1.5 MiB`. */
export function byteSize(bytes) {
  const power = Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  return `${number(bytes / 1024 ** power, power === 0 ? 0 : 1)} ${BYTE_UNITS[power]}`
}
