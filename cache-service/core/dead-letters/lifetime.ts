const DAY_MS = 86_400_000
/** Kafka's default for both settings, for a topic whose settings we are not allowed to read. */
const DEFAULT_MS = 7 * DAY_MS

/**
 * The maximum time for which a dead letter that is now in the topic stays readable; undefined: without limit.
 *
 * Kafka deletes whole segments, each only when its newest message is older than `retention.ms`. The oldest message
 * of a segment may be up to `segment.ms` older than the newest.
 *
 * @param settings the error topic's settings, by name.
 */
export function deadLetterLifetimeMs(settings: ReadonlyMap<string, string>): number | undefined {
  const retentionMs = Number(settings.get('retention.ms') ?? DEFAULT_MS)
  const segmentMs = Number(settings.get('segment.ms') ?? DEFAULT_MS)
  const isDeleted = (settings.get('cleanup.policy') ?? 'delete').includes('delete')
  // One more day, because the cleaner runs with a delay and clocks differ.
  return isDeleted && retentionMs >= 0 ? retentionMs + segmentMs + DAY_MS : undefined
}
