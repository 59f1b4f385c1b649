/** A member of the consumer group, as far as Kafka reports it. */
export type GroupMember = {
  readonly clientId: string
  readonly host: string
  /** What it subscribes to; undefined: Kafka does not report it, or it can't be read. */
  readonly topics: readonly string[] | undefined
  /** The partitions that are assigned to it, by topic. */
  readonly partitions: ReadonlyMap<string, readonly number[]>
  /**
   * - `worker`: it says that it is a worker of this service.
   * - `other_program`: it uses a protocol that no worker uses.
   * - `unidentified`: a worker of an older release, or a program that uses the same library.
   */
  readonly kind: 'worker' | 'other_program' | 'unidentified'
}

export type ConsumerGroup = {
  /** As Kafka names it, such as `Stable` or `Empty`. */
  readonly state: string
  /** Topics and partitions of the members are known: while a classic group rebalances, they are not. */
  readonly isSettled: boolean
  readonly members: readonly GroupMember[]
}

/** A member with which a worker must not share its group, because one of both would leave partitions unread. */
export type ForeignMember = Pick<GroupMember, 'clientId' | 'host'> & {
  readonly kind: 'other_program' | 'other_topic'
  readonly topics: readonly string[]
}

/** Accuses only for what is known: a member of the same topic may be a worker of another release. */
export function foreignMembers({ members }: ConsumerGroup, topic: string): ForeignMember[] {
  return members.flatMap(({ clientId, host, kind, topics }): ForeignMember[] => {
    if (kind === 'other_program') return [{ kind, clientId, host, topics: topics ?? [] }]
    const isOfThisTopic = topics === undefined || (topics.length === 1 && topics[0] === topic)
    return isOfThisTopic ? [] : [{ kind: 'other_topic', clientId, host, topics }]
  })
}

const MAX_NAMED_MEMBERS = 5

/** One line that names each of them once. */
export function describeMembers(members: readonly ForeignMember[]): string {
  const descriptions = [...new Set(members.map(describeMember))]
  const others = descriptions.length - MAX_NAMED_MEMBERS
  const named = descriptions.slice(0, MAX_NAMED_MEMBERS).join('; ')
  return others > 0 ? `${named}; and ${others} more` : named
}

function describeMember({ clientId, host, kind, topics }: ForeignMember): string {
  const reads = topics.length === 0 ? 'which reads no topic yet' : `which reads ${topics.join(', ')}`
  const what = kind === 'other_program' ? ', another program' : ''
  return `${clientId} at ${host}${what}, ${reads}`
}
