/**
 * One Kafka message, in the shape that KafkaJS delivers, so that nothing is copied per record. `value` is a
 * view of the fetched batch: copy it to keep it longer than the chunk.
 */
export type SourceRecord = {
  readonly offset: string
  /** Milliseconds since 1970 as text; `-1` if the producer set none. */
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: Readonly<Record<string, Buffer | string | (Buffer | string)[] | undefined>>
}

/**
 * Record time in milliseconds. Expiry and the limits on event times count from it, so it must never be in the
 * future: a timestamp that is missing or in the future is read as now.
 */
export function recordTimeMs(record: SourceRecord, nowMs: number): number {
  const ms = Number(record.timestamp)
  return ms > 0 && ms <= nowMs ? ms : nowMs
}
