import { eventTimeFromMs, parseEventTime, type EventTime } from '../../core/event-time.ts'
import { usageError } from '../cli-error.ts'

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Parses a duration such as 30m; undefined: the text is none. */
export function parseDuration(text: string): number | undefined {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const unitMs = UNIT_MS[unit]
  return count === undefined || unitMs === undefined ? undefined : Number(count) * unitMs
}

/**
 * Parses a point in time, or a duration before now.
 *
 * @throws CliError (usage)
 */
export function parseTime(option: string, text: string, nowMs: number): EventTime {
  const agoMs = parseDuration(text)
  if (agoMs !== undefined) return eventTimeFromMs(Math.max(0, nowMs - agoMs))
  const time = parseEventTime(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00` : text)
  if (time !== undefined) return time
  throw usageError(
    `${option} ${text} is not a time: use 2025-06-08T18:00:00Z (UTC by default), or 30m, 2h, 7d`,
  )
}
