/** One value per header, or a list if the header is repeated. */
export type RecordHeaders = Readonly<Record<string, HeaderValue | HeaderValue[] | undefined>>
type HeaderValue = Buffer | string | null

/** One Kafka record. `key` and `value` are views of the decoded batch: copy them to keep them longer than the chunk. */
export type SourceRecord = {
  readonly offset: string
  /** Milliseconds since 1970 as text; `-1` if the producer set none. */
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: RecordHeaders
}

/**
 * Record time in milliseconds. Expiry and the limits on event times count from it, so it must never be in the
 * future: a timestamp that is missing or in the future is read as now.
 */
export function recordTimeMs(record: SourceRecord, nowMs: number): number {
  const ms = Number(record.timestamp)
  return ms > 0 && ms <= nowMs ? ms : nowMs
}
