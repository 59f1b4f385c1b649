import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { FetchedPartition, type PartitionData } from '../../../cache-service/kafka/fetched-partition.ts'
import { decodeRecords } from '../../../cache-service/kafka/record-batch.ts'
import type { RecordToAppend } from '../../simulation/servers/simulated-kafka.ts'
import { eventually } from '../../support/eventually.ts'
import type { Joined } from '../../support/servers/broker-requests.ts'
import { MEMBERS, type MemberName, type Server } from './kafka-servers.ts'

// The same random list of requests is sent to the simulated Kafka and to a broker, and each answer is compared. Where the two
// cannot be the same:
//
// simulated                              broker
// a join answers with the assignment     JoinGroup, and SyncGroup as soon as it is answered
// member ids are numbers                 member ids are random: only whether they are known is compared
// partitions go to members in turn       the same, in another order of the members: each partition has one owner,
//                                        and the numbers of partitions are the same
// the first member leads                 any member may: there is one leader. Only a leader's join begins a
//                                        rebalance, so one that leads only one of the groups does not join again
// the end of a transaction is there      it is there a moment later
// at once
// a fetch lists the aborted              it may list further ones, which are not in it
// transactions in it
//
// Sessions do not expire, and time does not pass: with records of other days, a broker would begin further segments, and a fetch
// ends where a segment does.

type Text = Omit<RecordToAppend, 'key' | 'value'> & Record<'key' | 'value', string | null>
export type Request =
  | { readonly kind: 'produce'; readonly partition: number; readonly records: readonly Text[] }
  | {
      readonly kind: 'transaction'
      readonly partition: number
      readonly records: readonly Text[]
      readonly isCommitted: boolean
    }
  | { readonly kind: 'delete_records'; readonly partition: number; readonly percent: number }
  | { readonly kind: 'join' | 'leave'; readonly member: MemberName }
  | { readonly kind: 'heartbeat'; readonly member: MemberName; readonly generationsAgo: number }
  | {
      readonly kind: 'commit'
      readonly member: MemberName
      readonly generationsAgo: number
      readonly partition: number
      readonly offset: number
    }

type Answer<Value> = { readonly value: Value } | { readonly refusal: string }

async function answer<Value>(asked: Promise<Value>): Promise<Answer<Value>> {
  try {
    return { value: await asked }
  } catch (error) {
    const { type } = error as { readonly type?: string }
    if (type === undefined) throw error
    return { refusal: type }
  }
}

/** What the worker makes of a fetch: the records, and the offset at which it fetches next. */
async function fetched(data: PartitionData, offset: number) {
  const { batches, deleted, highWatermark, isRestart, next, position, unreadable } = new FetchedPartition(
    'topic',
    String(offset),
    data,
  )
  const decoded = await Promise.all(batches.map(decodeRecords))
  return {
    position,
    next,
    isRestart,
    deleted,
    highWatermark,
    unreadable,
    batches: batches.map(({ baseOffset, nextOffset, recordCount }) => [baseOffset, nextOffset, recordCount]),
    records: decoded.flatMap((batch) =>
      batch.records.map((one) => [one.offset, one.timestampMs, one.key, one.value]),
    ),
  }
}

type Joining = { readonly outcome: Promise<Answer<Joined>>; settled: boolean }

/** Sends each request to both servers. */
export class Comparison {
  readonly #simulated: Server
  readonly #real: Server
  readonly #known = new Map<MemberName, { readonly simulated: Joined; readonly real: Joined }>()
  readonly #joined = new Set<MemberName>()
  readonly #joining = new Map<MemberName, { readonly simulated: Joining; readonly real: Joining }>()

  constructor(simulated: Server, real: Server) {
    this.#simulated = simulated
    this.#real = real
  }

  async send(one: Request): Promise<void> {
    switch (one.kind) {
      case 'produce':
        return await this.#same(one, (server) => server.produce(one.partition, one.records.map(toAppend)))
      case 'transaction':
        await this.#same(one, (server) =>
          server.transact(one.partition, one.records.map(toAppend), one.isCommitted),
        )
        return await this.#untilSame((server) => server.bounds())
      case 'delete_records': {
        const { earliest = 0, end = 0 } = (await this.#simulated.bounds())[one.partition] ?? {}
        const offset = earliest + Math.ceil(((end - earliest) * one.percent) / 100)
        return await this.#same(one, (server) => server.deleteBefore(one.partition, offset))
      }
      case 'join':
        if (this.#joining.has(one.member)) return
        return await this.#join(one.member)
      case 'leave':
        await this.#asMember(one, (server, { memberId }) => server.leave(memberId))
        if (!this.#joining.has(one.member)) this.#joined.delete(one.member)
        return await this.#settle()
      case 'heartbeat':
        return await this.#asMember(one, (server, { generation, memberId }) =>
          server.heartbeat(memberId, generation - one.generationsAgo),
        )
      case 'commit':
        return await this.#asMember(one, (server, { generation, memberId }) =>
          server.commit(memberId, generation - one.generationsAgo, one.partition, one.offset),
        )
    }
  }

  async compareOffsets(): Promise<void> {
    await this.#same('bounds', (server) => server.bounds())
    await this.#same('committed offsets', (server) => server.committed())
  }

  /** From every offset, and before and after them. */
  async compareFetches(): Promise<void> {
    for (const [of, { earliest, end }] of (await this.#simulated.bounds()).entries())
      for (let offset = Math.max(0, earliest - 1); offset <= end + 2; offset++)
        for (const maxBytes of [1, 300, 100_000])
          await this.#same({ of, offset, maxBytes }, async (server) =>
            fetched(await server.fetch(of, offset, maxBytes), offset),
          )
  }

  /** Every join is answered when those that have not joined again have left. */
  async leaveAll(): Promise<void> {
    for (const name of MEMBERS) if (this.#joined.has(name)) await this.send({ kind: 'leave', member: name })
    assert.deepEqual([...this.#joining.keys()], [])
    for (const name of MEMBERS) if (this.#joined.has(name)) await this.send({ kind: 'leave', member: name })
  }

  async #same(asked: object | string, ask: (server: Server) => Promise<unknown>): Promise<void> {
    const [simulated, real] = await Promise.all([answer(ask(this.#simulated)), answer(ask(this.#real))])
    assert.deepEqual({ asked, ...simulated }, { asked, ...real })
  }

  /** The broker takes a moment. */
  async #untilSame(ask: (server: Server) => Promise<unknown>): Promise<void> {
    const simulated = await ask(this.#simulated)
    await eventually(async () => assert.deepEqual(simulated, await ask(this.#real)), {
      everyMs: 2,
      timeoutMs: 5_000,
    })
  }

  async #asMember(
    one: Extract<Request, { readonly member: MemberName }>,
    ask: (server: Server, known: Joined) => Promise<unknown>,
  ): Promise<void> {
    const known = this.#known.get(one.member)
    if (known === undefined || this.#joining.has(one.member)) return
    await this.#same(one, (server) => ask(server, server === this.#real ? known.real : known.simulated))
  }

  async #join(name: MemberName): Promise<void> {
    const known = this.#known.get(name)
    if (known?.simulated.isLeader !== known?.real.isLeader) return
    this.#joining.set(name, {
      simulated: joining(this.#simulated.join(known?.simulated.memberId, name)),
      real: joining(this.#real.join(known?.real.memberId, name)),
    })
    await this.#settle()
    await this.#untilSame((server) => server.group())
  }

  /** Joins are answered together. Those that the simulated server has not answered, the broker has not either. */
  async #settle(): Promise<void> {
    await turn()
    const answered = [...this.#joining].filter(([, { simulated }]) => simulated.settled)
    const simulated: Joined[] = []
    const real: Joined[] = []
    for (const [name, join] of answered) {
      this.#joining.delete(name)
      const outcomes = { simulated: await join.simulated.outcome, real: await withinTime(join.real.outcome) }
      if (!('value' in outcomes.simulated) || !('value' in outcomes.real)) {
        assert.deepEqual(outcomes.simulated, outcomes.real)
        this.#joined.delete(name)
        this.#known.delete(name)
        continue
      }
      const now = { simulated: outcomes.simulated.value, real: outcomes.real.value }
      const before = this.#known.get(name)
      this.#joined.add(name)
      this.#known.set(name, now)
      if (now.simulated.generation === before?.simulated.generation) {
        assert.deepEqual(now, before)
        continue
      }
      simulated.push(now.simulated)
      real.push(now.real)
    }
    assert.deepEqual(assigned(simulated), assigned(real))
    for (const join of this.#joining.values()) assert.equal(join.real.settled, false)
  }
}

function toAppend({ key, timestampMs, value }: Text): RecordToAppend {
  return {
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    timestampMs,
  }
}

function joining(join: Promise<Joined>): Joining {
  const outcome = answer(join)
  const state = { outcome, settled: false }
  const settle = () => (state.settled = true)
  outcome.then(settle, settle)
  return state
}

function withinTime<Value>(outcome: Promise<Value>): Promise<Value> {
  return eventually(() => outcome, { describe: 'the answer to a join', timeoutMs: 5_000 })
}

function assigned(members: readonly Joined[]) {
  return {
    generations: members.map(({ generation }) => generation),
    leaders: members.filter(({ isLeader }) => isLeader).length,
    owned: members.map(({ partitions }) => partitions.length).toSorted(),
    partitions: members.flatMap(({ partitions }) => partitions).toSorted(),
  }
}
