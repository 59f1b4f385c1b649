import { recordTimeMs } from '../../core/records/source-record.ts'
import {
  describeMembers,
  foreignMembers,
  type ConsumerGroup,
  type GroupMember,
} from '../../core/workers/consumer-group.ts'
import type { LagReport, PartitionLagReport, TopicLagReport } from '../../core/workers/lag-report.ts'
import {
  addSample,
  judgeLag,
  type LagWindow,
  type Ownership,
  type WindowLimits,
} from '../../core/workers/lag-state.ts'
import { deletedUnread, nextToRead, recordsBehind, type Position } from '../../core/workers/records-behind.ts'
import { secondsUntilDeleted, type Retention } from '../../core/workers/retention-risk.ts'
import type { GroupLagReader, GroupReading } from '../../kafka/group-lag-reader.ts'
import type { Clocks } from '../../lifecycle/clocks.ts'

export type GroupLagMeterDependencies = Clocks & {
  readonly groupId: string
  /** The topic of our workers, if this is their group. */
  readonly workerTopic: string | undefined
  readonly reader: Pick<GroupLagReader, 'read' | 'recordAt'>
  readonly limits: WindowLimits
}

/** What is remembered of a partition between two measurements. */
type Followed = {
  readonly window: LagWindow
  /** The offset of the first unread record, and its record time: it stays the same while the group does not read. */
  readonly first: { readonly offset: number; readonly recordMs: number | undefined }
}

const MAX_MEMBERS = 100
const NOTHING_KNOWN =
  'the group has neither members nor committed offsets: check its name in LAG_GROUPS, or wait until it has read something'

/** Measures the lag of one consumer group, whatever program it is of, and follows it over a window of time. */
export class GroupLagMeter {
  readonly #dependencies: GroupLagMeterDependencies
  /** By topic and partition. */
  #followed = new Map<string, Followed>()

  constructor(dependencies: GroupLagMeterDependencies) {
    this.#dependencies = dependencies
  }

  get groupId(): string {
    return this.#dependencies.groupId
  }

  /** Rejects with a ServiceError. */
  async measure(): Promise<LagReport> {
    const { groupId, now, reader, workerTopic } = this.#dependencies
    const reading = await reader.read(groupId, workerTopic === undefined ? [] : [workerTopic])
    const { group } = reading
    const followed = new Map<string, Followed>()
    const topics: TopicLagReport[] = []
    for (const [topic, found] of reading.topics) {
      const partitions: PartitionLagReport[] = []
      if (found.kind === 'read') {
        const owners = ownersOf(group, topic)
        const sorted = [...found.positions].toSorted(([a], [b]) => a - b)
        for (const [partition, position] of sorted) {
          const at = { topic, partition, owner: owners.get(partition), position, retention: found.retention }
          const { next, report } = await this.#measurePartition(group, at)
          followed.set(nameOf(topic, partition), next)
          partitions.push(report)
        }
      }
      topics.push({ topic, problem: found.kind === 'refused' ? found.error.message : null, partitions })
    }
    this.#followed = followed
    const foreign = workerTopic === undefined ? [] : foreignMembers(group, workerTopic)
    return {
      group: groupId,
      measured_at: new Date(now()).toISOString(),
      problem: problemOf(reading),
      group_state: group.state,
      members: group.members.slice(0, MAX_MEMBERS).map(memberReport),
      members_total: group.members.length,
      shared_with: foreign.map((member) => describeMembers([member])),
      records: topics.reduce((sum, { partitions }) => sum + totalOf(partitions), 0),
      topics,
    }
  }

  /** A measurement has failed: what is reported instead. */
  unmeasured(problem: string): LagReport {
    const { groupId, now } = this.#dependencies
    return {
      ...{ group: groupId, measured_at: new Date(now()).toISOString(), problem, group_state: null },
      ...{ members: [], members_total: 0, shared_with: [], records: 0, topics: [] },
    }
  }

  async #measurePartition(
    group: ConsumerGroup,
    { owner, partition, position, retention, topic }: MeasuredPartition,
  ): Promise<{ readonly next: Followed; readonly report: PartitionLagReport }> {
    const { limits, monotonicNow, now } = this.#dependencies
    const before = this.#followed.get(nameOf(topic, partition))
    const sample = { atMs: monotonicNow(), position, ownership: this.#ownershipOf(group, owner, topic) }
    const window = addSample(before?.window ?? [], sample, limits)
    const first = await this.#firstUnread(topic, partition, position, before)
    const records = position === undefined ? null : recordsBehind(position)
    const untilDeleted =
      position &&
      secondsUntilDeleted(
        { position, firstRecordMs: first.recordMs, writtenPerSecond: writtenPerSecond(window) },
        retention,
        now(),
      )
    const age = first.recordMs === undefined ? null : Math.max(0, now() - first.recordMs) / 1000
    return {
      next: { window, first },
      report: {
        partition,
        state: judgeLag(window, limits),
        committed: position?.committed ?? null,
        earliest: position?.earliest ?? null,
        end: position?.end ?? null,
        records,
        seconds: records === 0 ? 0 : age,
        owner: owner === undefined ? null : `${owner.clientId} at ${owner.host}`,
        deleted_unread: position === undefined ? 0 : deletedUnread(position),
        seconds_until_deleted: untilDeleted ?? null,
      },
    }
  }

  async #firstUnread(
    topic: string,
    partition: number,
    position: Position | undefined,
    before: Followed | undefined,
  ): Promise<Followed['first']> {
    if (position === undefined || recordsBehind(position) === 0) return { offset: -1, recordMs: undefined }
    const offset = nextToRead(position)
    if (before?.first.offset === offset && before.first.recordMs !== undefined) return before.first
    const record = await this.#dependencies.reader.recordAt(topic, partition, offset)
    return { offset, recordMs: record && recordTimeMs(record, this.#dependencies.now()) }
  }

  #ownershipOf(group: ConsumerGroup, owner: GroupMember | undefined, topic: string): Ownership {
    if (!group.isSettled) return 'unknown'
    if (owner === undefined) return 'none'
    const { workerTopic } = this.#dependencies
    const isForeign =
      workerTopic === topic && foreignMembers({ ...group, members: [owner] }, topic).length > 0
    return isForeign || owner.topics?.includes(topic) === false ? 'other' : 'reader'
  }
}

type MeasuredPartition = {
  readonly topic: string
  readonly partition: number
  readonly owner: GroupMember | undefined
  readonly position: Position | undefined
  readonly retention: Retention
}

function nameOf(topic: string, partition: number): string {
  return `${topic} ${partition}`
}

function ownersOf({ members }: ConsumerGroup, topic: string): ReadonlyMap<number, GroupMember> {
  return new Map(
    members.flatMap((member) =>
      (member.partitions.get(topic) ?? []).map((partition) => [partition, member] as const),
    ),
  )
}

function problemOf({ group, topics }: GroupReading): string | null {
  const hasCommitted = [...topics.values()].some(
    (topic) =>
      topic.kind === 'read' && [...topic.positions.values()].some((at) => at?.committed !== undefined),
  )
  return hasCommitted || group.members.length > 0 ? null : NOTHING_KNOWN
}

function memberReport({ clientId, host, partitions, topics }: GroupMember): LagReport['members'][number] {
  const owned = [...partitions.values()].reduce((sum, numbers) => sum + numbers.length, 0)
  return { client_id: clientId, host, topics: topics === undefined ? null : [...topics], partitions: owned }
}

function writtenPerSecond(window: LagWindow): number {
  const [first, last] = [window[0], window.at(-1)]
  const seconds = ((last?.atMs ?? 0) - (first?.atMs ?? 0)) / 1000
  return seconds === 0 ? 0 : ((last?.position?.end ?? 0) - (first?.position?.end ?? 0)) / seconds
}

function totalOf(partitions: readonly PartitionLagReport[]): number {
  return partitions.reduce((sum, { records }) => sum + (records ?? 0), 0)
}
