/** A position in a partition, and what Kafka holds of it. */
export type Position = {
  /** The next offset to read; undefined: none yet. */
  readonly committed: number | undefined
  readonly earliest: number
  readonly end: number
}

/** The first offset that is still to be read: Kafka may have deleted records after the committed one. */
export function nextToRead({ committed, earliest }: Omit<Position, 'end'>): number {
  return Math.max(committed ?? earliest, earliest)
}

/** The lag: offsets from the next to read to the end of the partition. */
export function recordsBehind(position: Position): number {
  return Math.max(0, position.end - nextToRead(position))
}

/** Offsets that Kafka has deleted before they were read. A group that has committed nothing begins at what is there. */
export function deletedUnread({ committed, earliest }: Omit<Position, 'end'>): number {
  return Math.max(0, earliest - (committed ?? earliest))
}
