import type { Coordinates } from '../records/coordinates.ts'
import type { StoredDeadLetter } from './stored-dead-letter.ts'

/** `to` is inclusive. */
export type OffsetSpan = { readonly partition: number; readonly from: number; readonly to: number }

/** All given conditions must hold; of several values of one condition, one must match. */
export type DeadLetterFilter = {
  readonly reasons: readonly string[]
  readonly devices: readonly string[]
  /** When the dead letter was written, in milliseconds since 1970: at or after `sinceMs`, before `untilMs`. */
  readonly sinceMs: number | undefined
  readonly untilMs: number | undefined
  /** Offsets of the records that the dead letters are about. */
  readonly source: readonly OffsetSpan[]
  /** Offsets of the dead letters themselves. */
  readonly deadLetters: readonly OffsetSpan[]
}

export function matchesFilter(deadLetter: StoredDeadLetter, filter: DeadLetterFilter): boolean {
  const { reasons, devices, sinceMs, untilMs, source, deadLetters } = filter
  return (
    (reasons.length === 0 || reasons.includes(deadLetter.reason)) &&
    (devices.length === 0 || devices.some((device) => device === deadLetter.deviceId)) &&
    (sinceMs === undefined || deadLetter.writtenAtMs >= sinceMs) &&
    (untilMs === undefined || deadLetter.writtenAtMs < untilMs) &&
    (source.length === 0 || source.some((span) => isWithin(deadLetter.source, span))) &&
    (deadLetters.length === 0 || deadLetters.some((span) => isWithin(deadLetter, span)))
  )
}

function isWithin({ partition, offset }: Coordinates, span: OffsetSpan): boolean {
  return partition === span.partition && offset >= span.from && offset <= span.to
}

/**
 * Parses `2` (the whole partition), `2:17` (one offset), `2:17-40`, `2:17-` or `2:-40`.
 * @returns undefined if the text has none of these forms.
 */
export function parseOffsetSpan(text: string): OffsetSpan | undefined {
  const match = /^(\d{1,9})(?::(\d{0,15})(-)?(\d{0,15}))?$/.exec(text)
  if (match === null) return undefined
  const [, partition, first, dash, last = ''] = match
  if (first === undefined) return { partition: Number(partition), from: 0, to: Infinity }
  if (dash === undefined) {
    return first === '' ? undefined : { partition: Number(partition), from: Number(first), to: Number(first) }
  }
  if (first === '' && last === '') return undefined
  const span = {
    partition: Number(partition),
    from: Number(first),
    to: last === '' ? Infinity : Number(last),
  }
  return span.from <= span.to ? span : undefined
}
