/** Why a partition stays unread. */
export const UNREAD_REASONS = ['no_owner', 'other_member', 'no_leader', 'stuck'] as const
export type UnreadReason = (typeof UNREAD_REASONS)[number]

/** A partition that has, or may have, more records than its position says, and no worker that is known to be reading them. */
export type UnreadCandidate = {
  readonly partition: number
  /** Everything before this offset is in Redis. */
  readonly position: number
  /** Offsets from the position to the end of the partition; for `no_leader`, 0: it cannot be measured. */
  readonly records: number
  readonly reason: UnreadReason
  /** For `other_member`: the client id and host of the member that owns it. */
  readonly owner: string | undefined
}

/** A candidate, and since when its position has been the same. */
export type Standstill = { readonly position: number; readonly sinceMs: number }

/**
 * How long a position may stay the same. A partition changes hands, or an added one is picked up, within seconds. At one
 * that a worker of this release owns and fetches, the fetches and writes must have had their chance.
 */
const GRACE_MS: Readonly<Record<UnreadReason, number>> = {
  no_owner: 15_000,
  other_member: 15_000,
  no_leader: 15_000,
  stuck: 30_000,
}

/** @param standstills by partition, as the last call returned them. */
export function followStandstills(
  standstills: ReadonlyMap<number, Standstill>,
  candidates: readonly UnreadCandidate[],
  nowMs: number,
): { readonly standstills: ReadonlyMap<number, Standstill>; readonly unread: readonly UnreadCandidate[] } {
  const followed = candidates.map((candidate) => {
    const before = standstills.get(candidate.partition)
    const isSame = before?.position === candidate.position
    const sinceMs = isSame ? before.sinceMs : nowMs
    return { candidate, sinceMs }
  })
  return {
    standstills: new Map(
      followed.map(({ candidate: { partition, position }, sinceMs }) => [partition, { position, sinceMs }]),
    ),
    unread: followed.flatMap(({ candidate, sinceMs }) =>
      nowMs - sinceMs >= GRACE_MS[candidate.reason] ? [candidate] : [],
    ),
  }
}

type UnreadText = `unread: partition ${string}`

/** One line for each reason and owner. */
export function describeUnread(unread: readonly UnreadCandidate[]): UnreadText[] {
  const alike = Map.groupBy(unread, ({ owner, reason }) => `${reason} ${owner ?? ''}`)
  return [...alike.values()].map((partitions): UnreadText => {
    const numbers = partitions.map(({ partition }) => partition).toSorted((a, b) => a - b)
    const records = partitions.reduce((sum, one) => sum + one.records, 0)
    const which: UnreadText = `unread: partition ${numbers.join(', ')} (${records} ${records === 1 ? 'record' : 'records'})`
    const [{ owner = 'another member', reason } = { reason: 'no_owner' as const }] = partitions
    switch (reason) {
      case 'no_owner':
        return `${which} has no owner in the consumer group`
      case 'other_member':
        return `${which} belongs to ${owner}, and its records do not reach this Redis`
      case 'no_leader':
        return `unread: partition ${numbers.join(', ')} has no leader: Kafka has no broker in service that holds it`
      case 'stuck':
        return `${which} is being fetched but makes no progress. Possible causes: an open transaction, or a batch that can't be read`
    }
  })
}
