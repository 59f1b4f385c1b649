import {
  describeMembers,
  foreignMembers,
  type ConsumerGroup,
  type ForeignMember,
} from '../../core/workers/consumer-group.ts'
import { nextToRead, recordsBehind } from '../../core/workers/records-behind.ts'
import {
  describeUnread,
  followStandstills,
  type Standstill,
  type UnreadCandidate,
} from '../../core/workers/unread-partitions.ts'
import type { WorkerConsumer } from '../../kafka/worker-consumer.ts'
import type { GroupPositions } from '../../kafka/partition-offsets.ts'
import { createLoop, type LoopMonitor } from '../../lifecycle/loops.ts'
import type { Service } from '../../lifecycle/service.ts'
import type { ProgressStore } from '../../redis/workers/progress-store.ts'
import type { WorkerTelemetry } from '../../telemetry/worker-telemetry.ts'
import type { NotReadyReason } from '../../lifecycle/readiness.ts'

const WATCH_INTERVAL_MS = 5_000
/** Nothing is known of the time between two checks that are further apart. */
const LONGEST_GAP_MS = 12_000

export type GroupWatchDependencies = {
  readonly topic: string
  readonly groupId: string
  readonly readGroup: () => Promise<ConsumerGroup>
  readonly readPositions: () => Promise<GroupPositions>
  readonly progress: Pick<ProgressStore, 'peek'>
  readonly isRedisReady: () => boolean
  readonly consumer: Pick<WorkerConsumer, 'isJoined' | 'partitions'>
  /** Partition → what is durable (undefined: nothing yet), of the lanes that have nothing to do. */
  readonly idleLanes: () => ReadonlyMap<number, number | undefined>
  readonly telemetry: Pick<
    WorkerTelemetry,
    'groupShared' | 'unreadPartitions' | 'foreignMembersUnknown' | 'unreadPartitionsUnknown' | 'loopFailed'
  >
  readonly monitor: LoopMonitor
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

/**
 * Watches what no worker sees in its own partitions: members of the consumer group that are not workers of this topic, and
 * partitions whose records reach Redis by no worker. A worker of this topic that owns a partition reports on it itself. For
 * every other partition the progress in Redis decides, because another program may commit offsets as well.
 */
export class GroupWatch {
  readonly #dependencies: GroupWatchDependencies
  #foreign: readonly ForeignMember[] = []
  #standstills: ReadonlyMap<number, Standstill> = new Map()
  #unread: readonly UnreadCandidate[] = []
  #lastCheckMs = 0

  constructor(dependencies: GroupWatchDependencies) {
    this.#dependencies = dependencies
  }

  get unread(): readonly UnreadCandidate[] {
    return this.#unread
  }

  notReadyReasons(): NotReadyReason[] {
    const reasons: NotReadyReason[] = describeUnread(this.#unread)
    if (this.#foreign.length > 0) {
      reasons.unshift(
        `shared group: ${this.#dependencies.groupId} is also used by ${describeMembers(this.#foreign)}; partitions that are assigned to them are not read: set a KAFKA_CONSUMER_GROUP_ID that only the workers of this topic use`,
      )
    }
    return reasons
  }

  /** Checks without waiting for the next turn of the service. */
  checkNow(): void {
    this.#check().catch((error: unknown) => this.#failed(error))
  }

  service(): Service {
    return createLoop({
      name: 'group',
      everyMs: WATCH_INTERVAL_MS,
      monitor: this.#dependencies.monitor,
      turn: () => this.#check(),
      failed: (error) => this.#failed(error),
    })
  }

  async #check(): Promise<void> {
    const { consumer, isRedisReady, readGroup, telemetry, topic } = this.#dependencies
    const group = await readGroup()
    // While the group rebalances, its members show neither topics nor partitions.
    if (!group.isSettled) return
    this.#foreign = foreignMembers(group, topic)
    telemetry.groupShared(this.#foreign.length, describeMembers(this.#foreign))
    if (!consumer.isJoined) {
      this.#forgetUnread()
      return
    }
    if (!isRedisReady()) return
    const candidates = await this.#candidates(group)
    const nowMs = this.#dependencies.now()
    const before =
      nowMs - this.#lastCheckMs > LONGEST_GAP_MS ? new Map<number, Standstill>() : this.#standstills
    this.#lastCheckMs = nowMs
    const { standstills, unread } = followStandstills(before, candidates, nowMs)
    this.#standstills = standstills
    this.#unread = unread
    telemetry.unreadPartitions(unread)
  }

  async #candidates(group: ConsumerGroup): Promise<UnreadCandidate[]> {
    const { consumer, idleLanes, progress, readPositions, topic } = this.#dependencies
    const positions = await readPositions()
    const idle = idleLanes()
    const owned = new Set(consumer.partitions)
    const stored = await progress.peek([...positions.keys()].filter((partition) => !owned.has(partition)))
    const owners = new Map(
      group.members.flatMap((member) =>
        (member.partitions.get(topic) ?? []).map((partition) => [partition, member] as const),
      ),
    )
    return [...positions].flatMap(([partition, kafka]): UnreadCandidate[] => {
      if (kafka === undefined)
        return [{ partition, position: 0, records: 0, reason: 'no_leader', owner: undefined }]
      const { committed, earliest, end } = kafka
      const behind = (next: number | undefined) => {
        const from = { committed: next, earliest, end }
        return { partition, position: nextToRead(from), records: recordsBehind(from) }
      }
      if (owned.has(partition)) {
        if (!idle.has(partition)) return []
        const candidate = behind(idle.get(partition) ?? committed)
        return candidate.records > 0 ? [{ ...candidate, reason: 'stuck', owner: undefined }] : []
      }
      const owner = owners.get(partition)
      if (owner?.kind === 'worker' && owner.topics?.includes(topic) === true) return []
      const candidate = behind(stored.get(partition)?.next)
      if (candidate.records === 0) return []
      return owner === undefined
        ? [{ ...candidate, reason: 'no_owner', owner: undefined }]
        : [{ ...candidate, reason: 'other_member', owner: `${owner.clientId} at ${owner.host}` }]
    })
  }

  /** While the worker is not in the group, nothing is checked, and what was found before may no longer be true. */
  #forgetUnread(): void {
    this.#standstills = new Map()
    this.#unread = []
    this.#dependencies.telemetry.unreadPartitionsUnknown()
  }

  #failed(error: unknown): void {
    const { consumer, telemetry } = this.#dependencies
    telemetry.loopFailed('group', error)
    if (consumer.isJoined) return
    this.#forgetUnread()
    this.#foreign = []
    telemetry.foreignMembersUnknown()
  }
}
