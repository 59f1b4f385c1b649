/** One value per header, or a list if the header is repeated. */
export type RecordHeaders = Readonly<Record<string, HeaderValue | HeaderValue[] | undefined>>
type HeaderValue = Buffer | string | null

/**
 * One Kafka record. `key` and `value` are views of the decoded batch: copy them to keep them longer than the chunk. They may be
 * getters, which spreading the record loses.
 */
export type SourceRecord = {
  readonly offset: number
  /** Milliseconds since 1970; -1 if the producer set none. */
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: RecordHeaders
}

/**
 * Record time in milliseconds. Expiry and the limits on event times count from it, so it must never be in the
 * future: a timestamp that is missing or in the future is read as now.
 */
export function recordTimeMs({ timestampMs }: SourceRecord, nowMs: number): number {
  return timestampMs > 0 && timestampMs <= nowMs ? timestampMs : nowMs
}
