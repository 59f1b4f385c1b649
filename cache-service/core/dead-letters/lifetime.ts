const DAY_MS = 86_400_000
/** Kafka's own defaults, for a topic whose settings we may not know. */
const USUAL_MS = 7 * DAY_MS

/**
 * How long a dead letter that is in the topic now can be read at most; undefined: for ever.
 *
 * Kafka deletes whole segments, and each only when its youngest dead letter is older than `retention.ms`. The oldest one
 * of it may have been written as long as `segment.ms` before that.
 *
 * @param settings of the error topic, by name.
 */
export function deadLetterLifetimeMs(settings: ReadonlyMap<string, string>): number | undefined {
  const retentionMs = Number(settings.get('retention.ms') ?? USUAL_MS)
  const segmentMs = Number(settings.get('segment.ms') ?? USUAL_MS)
  const isDeleted = (settings.get('cleanup.policy') ?? 'delete').includes('delete')
  // A day for the cleaner, and for the clocks.
  return isDeleted && retentionMs >= 0 ? retentionMs + segmentMs + DAY_MS : undefined
}
