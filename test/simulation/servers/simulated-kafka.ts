import { encodeBatch, type RecordToEncode } from '../../support/records/record-batch-encoder.ts'
import type { SeededRandom } from '../../simulator/seeded-random.ts'
import type { Owner, Scheduler } from '../scheduler.ts'

// One topic and one consumer group, as far as a consumer of KafkaJS sees them.
// test/integration/simulation/kafka.test.ts compares it with a broker, except compaction, and all that takes time: sessions, waits, faults.

type Batch = {
  readonly baseOffset: number
  readonly nextOffset: number
  readonly bytes: Buffer
  readonly records: readonly LogRecord[]
  readonly kind: 'plain' | 'transactional' | 'marker'
  readonly producerId: number
}
export type LogRecord = {
  readonly offset: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly timestampMs: number
}
export type RecordToAppend = Omit<LogRecord, 'offset'>

export type FetchReply =
  | {
      readonly kind: 'data'
      readonly messages: Buffer
      readonly highWatermark: number
      readonly abortedTransactions: readonly { readonly producerId: string; readonly firstOffset: string }[]
    }
  | { readonly kind: 'out_of_range' }

/** The log of one partition. */
export class PartitionLog {
  #batches: Batch[] = []
  #aborted: { readonly producerId: number; readonly firstOffset: number; readonly marker: number }[] = []
  earliest = 0
  end = 0
  #transactions = 0

  /** Appends one batch. @returns the offset of its first record. */
  append(records: readonly RecordToAppend[]): number {
    return this.#append(records, 'plain', -1)
  }

  /** Appends a batch of a transaction that is aborted, or committed, at once. Two producers take turns. */
  appendTransaction(records: readonly RecordToAppend[], isCommitted: boolean): number {
    const producerId = 1 + (this.#transactions++ % 2)
    const first = this.#append(records, 'transactional', producerId)
    const marker = this.end
    const key = Buffer.from([0, 0, 0, isCommitted ? 1 : 0])
    this.#append([{ key, value: Buffer.alloc(6), timestampMs: 0 }], 'marker', producerId)
    if (!isCommitted) this.#aborted.push({ producerId, firstOffset: first, marker })
    return first
  }

  /** Keeps only the last record of each key in all batches but the last, as the log cleaner does. */
  compact(): void {
    const last = new Map<string, number>()
    const aborted = new Set(this.#aborted.map(({ firstOffset }) => firstOffset))
    for (const { baseOffset, records } of this.#batches.filter((batch) => batch.kind !== 'marker'))
      for (const { key, offset } of aborted.has(baseOffset) ? [] : records)
        if (key !== null) last.set(key.toString('latin1'), offset)
    this.#batches = this.#batches.flatMap((batch, i) => {
      if (batch.kind !== 'plain' || i === this.#batches.length - 1) return [batch]
      const kept = batch.records.filter(
        ({ key, offset }) => key === null || last.get(key.toString('latin1')) === offset,
      )
      if (kept.length === batch.records.length) return [batch]
      // An emptied batch stays where its producer's sequence must be remembered.
      if (kept.length === 0 && batch.baseOffset % 2 === 0) return []
      return [this.#encode(kept, 'plain', batch.producerId, batch.baseOffset, batch.nextOffset)]
    })
  }

  /** Retention, or DeleteRecords: batches go as a whole, and the beginning of the log need not be that of a batch. */
  deleteBefore(offset: number): void {
    this.earliest = Math.max(this.earliest, Math.min(offset, this.end))
    this.#batches = this.#batches.filter(({ nextOffset }) => nextOffset > this.earliest)
    this.#aborted = this.#aborted.filter(({ marker }) => marker >= this.earliest)
  }

  holds(offset: number): boolean {
    return this.#batches.some(({ records }) => records.some((record) => record.offset === offset))
  }

  fetch(offset: number, maxBytes: number): FetchReply {
    if (offset < this.earliest || offset > this.end) return { kind: 'out_of_range' }
    const found: Batch[] = []
    let bytes = 0
    for (const batch of this.#batches) {
      if (batch.nextOffset <= offset) continue
      if (found.length > 0 && bytes + batch.bytes.length > maxBytes) break
      found.push(batch)
      bytes += batch.bytes.length
    }
    const upTo = found.at(-1)?.nextOffset ?? offset
    return {
      kind: 'data',
      messages: Buffer.concat(found.map((batch) => batch.bytes)),
      highWatermark: this.end,
      abortedTransactions: this.#aborted
        .filter(({ firstOffset, marker }) => marker >= offset && firstOffset < upTo)
        .map(({ firstOffset, producerId }) => ({
          firstOffset: String(firstOffset),
          producerId: String(producerId),
        })),
    }
  }

  #append(records: readonly RecordToAppend[], kind: Batch['kind'], producerId: number): number {
    const baseOffset = this.end
    const numbered = records.map((record, i) => ({ ...record, offset: baseOffset + i }))
    this.end += records.length
    this.#batches.push(this.#encode(numbered, kind, producerId, baseOffset, this.end))
    return baseOffset
  }

  #encode(
    records: readonly LogRecord[],
    kind: Batch['kind'],
    producerId: number,
    baseOffset: number,
    nextOffset: number,
  ): Batch {
    const baseMs = records[0]?.timestampMs ?? 0
    const bytes = encodeBatch({
      baseOffset,
      baseMs,
      producerId,
      isTransactional: kind !== 'plain',
      isControl: kind === 'marker',
      lastOffsetDelta: nextOffset - baseOffset - 1,
      records: records.map(({ key, offset, timestampMs, value }): RecordToEncode => ({
        key,
        value,
        offsetDelta: offset - baseOffset,
        timestampDelta: timestampMs - baseMs,
      })),
    })
    return { baseOffset, nextOffset, bytes, records, kind, producerId }
  }
}

/** The error that KafkaJS makes of an error code. */
export function protocolError(type: string): Error {
  return Object.assign(new Error(type), { name: 'KafkaJSProtocolError', type, retriable: false })
}

function connectionError(): Error {
  return Object.assign(new Error('Connection error: simulated'), {
    name: 'KafkaJSConnectionError',
    code: 'ECONNREFUSED',
    retriable: true,
  })
}

type Member = {
  lastSeenMs: number
  /** Waits for the others to join as well. */
  joining: ((assignment: Assignment | Error) => void) | undefined
}
export type Assignment = {
  readonly memberId: string
  readonly generation: number
  readonly partitions: readonly number[]
  readonly isLeader: boolean
  /** How many there were when they were assigned. */
  readonly knownPartitions: number
}

const LONGEST_REBALANCE_MS = 3_000
const SLOWEST_REQUEST_MS = 6

/** `life`: of the topic from which the offset is. */
type Commit = { readonly partition: number; readonly offset: number; readonly life: number }

export class SimulatedKafka {
  /** None: the topic does not exist. */
  readonly partitions: PartitionLog[]
  readonly committed = new Map<number, number>()
  readonly #livesOfCommits = new Map<number, number>()
  /** How often the topic was created again. */
  life = 0
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  readonly #sessionMs: number
  readonly #members = new Map<string, Member>()
  #generation = 0
  readonly #assignments = new Map<string, Assignment>()
  #state: 'stable' | 'preparing' = 'stable'
  #memberIds = 0
  #cancelRebalance: () => void = () => undefined
  readonly #waiting = new Set<() => void>()
  /** Requests fail, and clients are disconnected, until then. */
  downUntilMs = 0
  /** Commits are answered with an error until then. */
  commitsRefusedUntilMs = 0
  /** Another broker is becoming the group's coordinator until then. */
  coordinatorMovesUntilMs = 0
  /** Called when a consumer reads from an offset of an earlier topic, which it mistakes for one of this topic. */
  misread: (partition: number, offset: number) => void = () => undefined
  violated: (invariant: string) => void = () => undefined
  /** Called with each commit that is accepted. */
  committing: (commit: Commit) => void = () => undefined

  constructor(partitions: number, sessionMs: number, scheduler: Scheduler, random: SeededRandom) {
    this.partitions = Array.from({ length: partitions }, () => new PartitionLog())
    this.#sessionMs = sessionMs
    this.#scheduler = scheduler
    this.#random = random
  }

  get isDown(): boolean {
    return this.#scheduler.nowMs < this.downUntilMs
  }

  /** A request and its reply, each with a delay. Either may be lost when the broker goes down. */
  async request<T>(answer: () => T | Promise<T>): Promise<T> {
    // An answer that waits for others is given in an event of one of them.
    const { owner } = this.#scheduler
    await this.#delay(owner)
    if (this.isDown) throw connectionError()
    const reply = await answer()
    await this.#delay(owner)
    if (this.isDown) throw connectionError()
    return reply
  }

  /** The process that waits goes on only if it is not frozen or killed. */
  #delay(owner: Owner): Promise<void> {
    return new Promise((resolve) =>
      this.#scheduler.after(this.#random.fraction() * SLOWEST_REQUEST_MS, resolve, owner),
    )
  }

  /** What the group has committed goes with it. */
  deleteTopic(): void {
    this.partitions.length = 0
    this.committed.clear()
    this.#livesOfCommits.clear()
    this.life++
    this.appended()
  }

  createTopic(partitions: number): void {
    for (let i = 0; i < partitions; i++) this.partitions.push(new PartitionLog())
  }

  assertTopic(): void {
    if (this.partitions.length === 0) throw protocolError('UNKNOWN_TOPIC_OR_PARTITION')
  }

  lifeOfCommit(partition: number): number {
    return this.#livesOfCommits.get(partition) ?? this.life
  }

  /** Ends the wait of fetches for more. */
  appended(): void {
    for (const wake of [...this.#waiting]) wake()
  }

  /** Resolves when something was appended, at the latest after `ms`. */
  async nextAppend(ms: number): Promise<void> {
    const { owner } = this.#scheduler
    await new Promise<void>((resolve) => {
      const wake = () => {
        cancel()
        this.#waiting.delete(wake)
        this.#scheduler.after(0, resolve, owner)
      }
      const cancel = this.#scheduler.after(ms, wake, null)
      this.#waiting.add(wake)
    })
  }

  // ---- the group's coordinator

  get members(): number {
    return this.#members.size
  }

  get isRebalancing(): boolean {
    return this.#state === 'preparing'
  }

  async join(memberId: string | undefined): Promise<Assignment> {
    this.#assertCoordinator()
    this.#expireMembers()
    if (memberId !== undefined && !this.#members.has(memberId)) throw protocolError('UNKNOWN_MEMBER_ID')
    const present = this.#assignments.get(memberId ?? '')
    // Only the leader, which assigns, starts a rebalance by joining again.
    if (this.#state === 'stable' && present !== undefined && !present.isLeader) return present
    const id = memberId ?? `member-${++this.#memberIds}`
    const { promise, resolve } = Promise.withResolvers<Assignment | Error>()
    this.#members.set(id, { lastSeenMs: this.#scheduler.nowMs, joining: resolve })
    this.#prepare()
    this.#completeIfAllJoined()
    const outcome = await promise
    if (outcome instanceof Error) throw outcome
    return outcome
  }

  leave(memberId: string): void {
    if (!this.#members.delete(memberId)) throw protocolError('UNKNOWN_MEMBER_ID')
    this.#prepare()
    this.#completeIfAllJoined()
  }

  heartbeat(memberId: string, generation: number): void {
    this.#assertCoordinator()
    this.#expireMembers()
    const member = this.#members.get(memberId)
    if (member === undefined) throw protocolError('UNKNOWN_MEMBER_ID')
    member.lastSeenMs = this.#scheduler.nowMs
    if (generation !== this.#generation) throw protocolError('ILLEGAL_GENERATION')
    if (this.#state === 'preparing') throw protocolError('REBALANCE_IN_PROGRESS')
  }

  commit(memberId: string, generation: number, commits: readonly Commit[]): void {
    this.#assertCoordinator()
    this.#expireMembers()
    if (commits.some(({ partition }) => this.partitions[partition] === undefined))
      throw protocolError('UNKNOWN_TOPIC_OR_PARTITION')
    if (this.#scheduler.nowMs < this.commitsRefusedUntilMs)
      throw protocolError('COORDINATOR_LOAD_IN_PROGRESS')
    if (!this.#members.has(memberId)) throw protocolError('UNKNOWN_MEMBER_ID')
    if (generation !== this.#generation) throw protocolError('ILLEGAL_GENERATION')
    const owned = this.#assignments.get(memberId)?.partitions ?? []
    for (const commit of commits) {
      if (!owned.includes(commit.partition))
        this.violated(`partition ${commit.partition} was committed by a worker that does not own it`)
      this.committing(commit)
      this.committed.set(commit.partition, commit.offset)
      this.#livesOfCommits.set(commit.partition, commit.life)
    }
  }

  #assertCoordinator(): void {
    if (this.#scheduler.nowMs < this.coordinatorMovesUntilMs) throw protocolError('NOT_COORDINATOR_FOR_GROUP')
  }

  #prepare(): void {
    if (this.#state === 'preparing') return
    this.#state = 'preparing'
    this.#cancelRebalance = this.#scheduler.after(
      LONGEST_REBALANCE_MS,
      () => {
        for (const [id, { joining }] of this.#members) if (joining === undefined) this.#members.delete(id)
        this.#completeIfAllJoined()
      },
      null,
    )
  }

  #completeIfAllJoined(): void {
    const members = [...this.#members]
    if (members.some(([, { joining }]) => joining === undefined)) return
    this.#cancelRebalance()
    this.#state = 'stable'
    this.#generation++
    this.#assignments.clear()
    for (const [i, [memberId, member]] of members.entries()) {
      const assignment: Assignment = {
        memberId,
        generation: this.#generation,
        partitions: [...this.partitions.keys()].filter((partition) => partition % members.length === i),
        isLeader: i === 0,
        knownPartitions: this.partitions.length,
      }
      this.#assignments.set(memberId, assignment)
      member.joining?.(assignment)
      member.joining = undefined
      member.lastSeenMs = this.#scheduler.nowMs
    }
  }

  #expireMembers(): void {
    let hasExpired = false
    for (const [id, { joining, lastSeenMs }] of this.#members) {
      if (joining !== undefined || this.#scheduler.nowMs - lastSeenMs <= this.#sessionMs) continue
      this.#members.delete(id)
      hasExpired = true
    }
    if (!hasExpired) return
    this.#prepare()
    this.#completeIfAllJoined()
  }
}
