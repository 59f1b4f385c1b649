/**
 * One Kafka message, in the shape in which KafkaJS hands it over, so that nothing is copied per record.
 * `value` is a view on the fetched batch: whoever keeps it longer than the chunk must copy it.
 */
export type SourceRecord = {
  readonly offset: string
  /** Milliseconds since 1970, as text; `-1` if the producer set none. */
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: Readonly<Record<string, Buffer | string | (Buffer | string)[] | undefined>>
}

/**
 * Record time, in milliseconds. Expiry and the limits on event times count from it, so it must never be
 * ahead of the present: a timestamp that is missing or in the future is read as now.
 */
export function recordTimeMs(record: SourceRecord, nowMs: number): number {
  const ms = Number(record.timestamp)
  return ms > 0 && ms <= nowMs ? ms : nowMs
}
