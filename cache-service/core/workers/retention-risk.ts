import { nextToRead, recordsBehind, type Position } from './records-behind.ts'

/** What Kafka deletes of a topic, and when. undefined: it does not delete by that limit. */
export type Retention = { readonly ms: number | undefined; readonly bytes: number | undefined }

/** @param settings of the topic, by name; empty if they may not be read. */
export function retentionOf(settings: ReadonlyMap<string, string>): Retention {
  const isDeleted = (settings.get('cleanup.policy') ?? '').split(',').includes('delete')
  const limit = (name: string) => {
    const value = Number(settings.get(name) ?? NaN)
    return isDeleted && value >= 0 ? value : undefined
  }
  return { ms: limit('retention.ms'), bytes: limit('retention.bytes') }
}

export type UnreadRecords = {
  readonly position: Position
  /** Record time of the first unread record; undefined: not known. */
  readonly firstRecordMs: number | undefined
  /** Records per second that are written to the partition. */
  readonly writtenPerSecond: number
}

/**
 * The time until Kafka may delete the first unread record; undefined: it is not known, or Kafka does not delete it.
 *
 * Kafka deletes whole segments, so that a record may live longer. By size, the first record goes once as many records are
 * written as are kept before it, if the partition has reached its limit: once it has lost records.
 */
export function secondsUntilDeleted(
  { firstRecordMs, position, writtenPerSecond }: UnreadRecords,
  retention: Retention,
  nowMs: number,
): number | undefined {
  if (recordsBehind(position) === 0) return undefined
  const seconds: number[] = []
  if (retention.ms !== undefined && firstRecordMs !== undefined)
    seconds.push(Math.max(0, (firstRecordMs + retention.ms - nowMs) / 1000))
  if (retention.bytes !== undefined && position.earliest > 0 && writtenPerSecond > 0)
    seconds.push((nextToRead(position) - position.earliest) / writtenPerSecond)
  return seconds.length === 0 ? undefined : Math.min(...seconds)
}
