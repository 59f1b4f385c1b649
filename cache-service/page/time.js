const MINUTE = 60
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** A duration that fits a table cell: `12 s`, `3 min`, `5 h`, `2 days`. */
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds))
  if (s < MINUTE) return `${s} s`
  if (s < HOUR) return `${Math.floor(s / MINUTE)} min`
  if (s < DAY) return `${Math.floor(s / HOUR)} h`
  const days = Math.floor(s / DAY)
  return days === 1 ? '1 day' : `${number(days)} days`
}

/** How long ago a time was; a time in the future is `now`. */
export function ago(time, nowMs) {
  const ms = Date.parse(time)
  if (Number.isNaN(ms)) return 'unknown'
  const seconds = (nowMs - ms) / 1000
  return seconds < 1 ? 'now' : `${span(seconds)} ago`
}

/** In the time zone of the browser, to the second. */
export function localTime(time) {
  const ms = Date.parse(time)
  return Number.isNaN(ms) ? time : new Date(ms).toLocaleString(undefined, { timeZoneName: 'short' })
}

export function number(value, digits = 0) {
  return value.toLocaleString('en', { maximumFractionDigits: digits })
}
