/**
 * Times that are valid but probably wrong: records count as expired because of them, or old metadata is kept alive. A closed set: it
 * is a metric label.
 */
export const SUSPICIOUS_TIMES = [
  /** A record time of January 1970 that is a date of this century if it is read as seconds. */
  'record_time_in_seconds',
  /** Any other record time before 2000: the clock of the producer is not set. */
  'record_time_before_2000',
  /** The record had expired when it was read, and its time is plausible: an old backlog. */
  'expired',
  /** An event time long before its record time: stored metadata stays as it is, and stays alive. */
  'event_time_late',
  /** An event time so far after its record time that the record time replaces it. */
  'event_time_early',
] as const
export type SuspiciousTime = (typeof SUSPICIOUS_TIMES)[number]

export type TimeRange = { readonly records: number; readonly oldestMs: number; readonly newestMs: number }

/** Of a chunk, or of the records since the last line in the log. */
export type SuspiciousTimes = { readonly [Kind in SuspiciousTime]?: TimeRange }
export type CollectedTimes = { [Kind in SuspiciousTime]?: TimeRange }

const DAY_MS = 86_400_000
const PLAUSIBLE_FROM_MS = Date.UTC(2000, 0, 1)

/** @returns undefined if it is a plausible time in milliseconds. */
export function judgeRecordTime(
  recordMs: number,
  nowMs: number,
): Extract<SuspiciousTime, `record_time_${string}`> | undefined {
  if (recordMs >= PLAUSIBLE_FROM_MS) return undefined
  const fromSecondsMs = recordMs * 1000
  return fromSecondsMs >= PLAUSIBLE_FROM_MS && fromSecondsMs <= nowMs + DAY_MS
    ? 'record_time_in_seconds'
    : 'record_time_before_2000'
}

/** A device that was offline may deliver what it measured within the lifetime of its metadata, or within a day. */
export function isLateEvent(eventMs: number, recordMs: number, metadataTtlMs: number): boolean {
  return eventMs + Math.max(metadataTtlMs, DAY_MS) < recordMs
}

export function addTime(times: CollectedTimes, kind: SuspiciousTime, ms: number): void {
  addRange(times, kind, { records: 1, oldestMs: ms, newestMs: ms })
}

export function addRange(times: CollectedTimes, kind: SuspiciousTime, range: TimeRange): void {
  const { newestMs, oldestMs, records } = range
  const before = times[kind] ?? { ...range, records: 0 }
  times[kind] = {
    records: before.records + records,
    oldestMs: Math.min(before.oldestMs, oldestMs),
    newestMs: Math.max(before.newestMs, newestMs),
  }
}

export function* rangesOf(times: SuspiciousTimes): Generator<[kind: SuspiciousTime, range: TimeRange]> {
  for (const kind of SUSPICIOUS_TIMES) {
    const range = times[kind]
    if (range !== undefined) yield [kind, range]
  }
}
