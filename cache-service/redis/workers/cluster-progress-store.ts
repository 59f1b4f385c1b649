import type { Cluster } from 'ioredis'
import { progressCopyKey } from '../../../shared/contract/keys.ts'
import { redisError } from '../../../shared/errors.ts'
import type { StoredProgress } from '../../core/workers/progress.ts'
import {
  claimOf,
  combinedProgress,
  slotsOfCopies,
  type CopyHolder,
  type CopyView,
  type KnownCopy,
  type ProgressCopy,
} from '../../core/workers/progress-copies.ts'
import { Turns } from '../../lifecycle/turns.ts'
import { SlotTable, tagOf } from '../cluster/slots.ts'
import { redisReplies, redisReply } from '../reply.ts'
import { createScript, createScriptRunner, scriptTarget } from '../script.ts'
import { holdersOf } from './copy-holders.ts'
import { afterUnanswered, atLeast, copyOf, lowest, newsIn, type Look, type Memory } from './copy-memory.ts'
import { offsetText, parseOffset, progressFields } from './progress-fields.ts'
import { progressHasChanged, type ProgressStore } from './progress-store.ts'

const NO_COPY: ProgressCopy = {
  next: undefined,
  claim: undefined,
  rebuildUntil: undefined,
  isRebuildRequested: false,
}
/** Writes that may come in between. */
const MAX_LOOKS = 3

/** The progress as copies on all masters of a Cluster (core/workers/progress-copies.ts). */
export function createClusterProgressStore(cluster: Cluster, group: string, topic: string): ProgressStore {
  const table = SlotTable.of(cluster)
  const advanceCopy = createScript(new URL('./advance-copy.lua', import.meta.url))
  const setProgress = createScriptRunner(cluster, new URL('./set-progress.lua', import.meta.url))
  const keyAt = (slot: number) => progressCopyKey(tagOf(slot), group, topic)
  const memories = new Map<number, Memory>()
  const turns = new Turns<number>()

  /** If this process writes the copies meanwhile because the owners have changed, what was read does not fit what it knows: again. */
  async function look(partitions: readonly number[], looks = 1): Promise<Map<number, Look>> {
    const { owners } = table
    const holders = holdersOf(owners)
    const before = new Map(memories)
    const slots = new Set(partitions.flatMap((one) => [...slotsOfCopies(holders, before.get(one)?.copies)]))
    const found = new Map<number, Map<number, ProgressCopy>>()
    const reads = [...slots].map(async (slot) =>
      found.set(slot, await readCopies(cluster, keyAt(slot), partitions)),
    )
    await redisReply(Promise.all(reads))
    const viewOf = (partition: number): Look => {
      const memory = before.get(partition)
      return {
        owners,
        holders,
        memory,
        ownerOf: (slot) => owners.ownerOf(slot),
        copyAt: (slot) => found.get(slot)?.get(partition) ?? NO_COPY,
        known: memory?.copies,
        found: memory?.found,
        giversOf(master) {
          const owned = owners.slotsByMaster.get(master) ?? []
          return new Set(memory === undefined ? [] : owned.map((slot) => memory.owners.ownerOf(slot)))
        },
      }
    }
    const views = new Map(partitions.map((partition) => [partition, viewOf(partition)]))
    const written = partitions.filter((partition) => memories.get(partition) !== before.get(partition))
    if (written.length === 0) return views
    if (looks === MAX_LOOKS) throw progressHasChanged()
    return new Map([...views, ...(await look(written, looks + 1))])
  }

  async function lookAt(partition: number): Promise<Look> {
    const view = (await look([partition])).get(partition)
    if (view === undefined) throw progressHasChanged()
    return view
  }

  /**
   * Sends them on all masters at once. `beforeOf` returns undefined: that master gets none.
   * @returns what has been written, the masters of which this is not known, and the failure of one of them.
   */
  async function writeCopies(
    partition: number,
    holders: readonly CopyHolder[],
    beforeOf: (holder: CopyHolder) => Pick<ProgressCopy, 'next' | 'claim'> | undefined,
    nextOf: (holder: CopyHolder) => number,
  ) {
    const written = new Map<string, KnownCopy>()
    const writes = holders.map(async (holder) => {
      const before = beforeOf(holder)
      if (before === undefined) return
      const after = nextOf(holder)
      if (await writeCopy(partition, holder, before, after)) written.set(holder.master, copyOf(holder, after))
    })
    const outcomes = await Promise.allSettled(writes)
    const failed = outcomes.find((one) => one.status === 'rejected')
    const unanswered = holders.filter((_, i) => outcomes[i]?.status === 'rejected')
    return { written, unanswered, failed }
  }

  /**
   * Makes every master's copy claim all of its slots. Resolves with false if another worker has written one, or its slot has moved,
   * meanwhile. Never written without that condition: a command that is sent again may also be executed late.
   */
  async function write(
    partition: number,
    view: Look,
    nextOf: (holder: CopyHolder) => number,
  ): Promise<boolean> {
    const copyOfNow = ({ slot }: CopyHolder) => view.copyAt(slot)
    const { failed, unanswered, written } = await writeCopies(partition, view.holders, copyOfNow, nextOf)
    if (written.size < view.holders.length) {
      // Those that were written are not of an earlier time, whatever the next look finds. Where it is not known whether they were,
      // there must still be the copy that was found, or the new one.
      const memory = memories.get(partition)
      if (memory !== undefined) memories.set(partition, afterUnanswered(memory, view, written, unanswered))
      if (failed !== undefined) throw failed.reason
      return false
    }
    await carryMark(partition, view)
    memories.set(partition, { owners: view.owners, copies: written })
    await removeStrays(partition, view)
    return true
  }

  /** @returns undefined if the stored offset equals `expected`, and all copies are written; else what is stored instead. */
  async function writeIfStored(
    partition: number,
    expected: number | undefined,
    nextsOf: (view: Look) => (holder: CopyHolder) => number,
  ): Promise<StoredProgress | undefined> {
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      const view = await lookAt(partition)
      const progress = combinedProgress(view)
      if (progress.next !== expected) return progress
      if (await write(partition, view, nextsOf(view))) return undefined
    }
    throw progressHasChanged()
  }

  /**
   * On the connection by which the master gets its data. A redirection could lead to a replica that has taken its place, and lacks
   * what the master still acknowledges.
   */
  async function writeCopy(
    partition: number,
    holder: CopyHolder,
    before: Pick<ProgressCopy, 'next' | 'claim'>,
    next: number,
  ): Promise<boolean> {
    const expected = [offsetText(before.next), before.claim ?? '']
    const args = [progressFields.next(partition), ...expected, offsetText(next), claimOf(holder)]
    const invocations = [{ keys: [keyAt(holder.slot)], args }]
    try {
      const redis = table.connectionTo(holder.master)
      const [reply] = await advanceCopy({ kind: 'server', redis }, invocations)
      return reply === 1
    } catch (error) {
      const { code } = redisError(error)
      if (code === 'MOVED') return false
      if (code !== 'ASK') throw error
      // The copy is already where its slot is moving to.
      const [reply] = await advanceCopy(scriptTarget(cluster), invocations)
      return reply === 1
    }
  }

  /** The mark of a rebuild that lasts goes to the copies that are new. */
  async function carryMark(partition: number, view: Look): Promise<void> {
    const { rebuildUntil } = combinedProgress(view)
    if (rebuildUntil === undefined) return
    const unmarked = view.holders.filter(({ slot }) => view.copyAt(slot).rebuildUntil !== rebuildUntil)
    const args = [progressFields.rebuildUntil(partition), offsetText(rebuildUntil)]
    await setProgress(unmarked.map(({ slot }) => ({ keys: [keyAt(slot)], args })))
  }

  /** Copies where none belongs any more would one day be found, and be taken for a loss. */
  async function removeStrays(partition: number, { holders, known }: CopyView): Promise<void> {
    const strays = slotsOfCopies([], known)
    for (const { slot } of holders) strays.delete(slot)
    const names = Object.values(progressFields).map((field) => field(partition))
    await redisReplies([...strays].map((slot) => cluster.hdel(keyAt(slot), ...names)))
  }

  async function advanceKnown(partition: number, { copies, owners }: Memory, next: number): Promise<boolean> {
    const holders = holdersOf(owners)
    const knownOf = ({ master }: CopyHolder) => copies.get(master)
    const nextOf = (holder: CopyHolder) => Math.max(knownOf(holder)?.next ?? next, next)
    const { failed, written } = await writeCopies(partition, holders, knownOf, nextOf)
    memories.set(partition, { owners, copies: new Map([...copies, ...written]) })
    if (failed !== undefined) throw failed.reason
    return written.size === holders.length
  }

  /** What is stored. What is news in it becomes what later copies are compared with. */
  async function learn(partition: number, view: Look): Promise<StoredProgress> {
    const progress = combinedProgress(view)
    if (newsIn(view, progress) === undefined) return progress
    return await turns.take(partition, async () => {
      const isCurrent = memories.get(partition) === view.memory
      const current = isCurrent ? view : await lookAt(partition)
      const found = combinedProgress(current)
      const news = newsIn(current, found)
      if (news?.kind === 'advanced') memories.set(partition, news.memory)
      if (news?.kind === 'moved') await write(partition, current, atLeast(news.next, current))
      return found
    })
  }

  /** In every copy. The request for a rebuild is removed. */
  async function setFields(partition: number, fields: readonly string[]): Promise<void> {
    const args = [...fields, progressFields.requested(partition), '']
    await setProgress(holdersOf(table.owners).map(({ slot }) => ({ keys: [keyAt(slot)], args })))
  }

  return {
    async load(partitions) {
      if (partitions.length === 0) return new Map()
      const views = [...(await look(partitions))]
      return new Map(
        await Promise.all(views.map(async ([one, view]) => [one, await learn(one, view)] as const)),
      )
    },
    async peek(partitions) {
      if (partitions.length === 0) return new Map()
      const views = [...(await look(partitions))]
      return new Map(views.map(([one, view]) => [one, combinedProgress({ ...view, known: undefined })]))
    },
    advance: (partition, expected, next) =>
      turns.take(partition, async () => {
        const memory = memories.get(partition)
        const isUnchanged = memory?.owners === table.owners
        if (isUnchanged && lowest(memory) === expected && (await advanceKnown(partition, memory, next)))
          return undefined
        const instead = await writeIfStored(partition, expected, (view) => atLeast(next, view))
        return instead && { next: instead.next }
      }),
    step: () => undefined,
    overwrite: (partition, expected, next) =>
      turns.take(partition, async () => {
        const instead = await writeIfStored(partition, expected, () => () => next)
        if (instead !== undefined) throw progressHasChanged()
        await setFields(partition, [])
      }),
    markRebuild: (partition, until) =>
      setFields(partition, [progressFields.rebuildUntil(partition), offsetText(until)]),
  }
}

async function readCopies(
  cluster: Cluster,
  key: string,
  partitions: readonly number[],
): Promise<Map<number, ProgressCopy>> {
  const { claim, next, rebuildUntil, requested } = progressFields
  const fields = partitions.flatMap((one) => [next(one), claim(one), rebuildUntil(one), requested(one)])
  const values = await cluster.hmget(key, ...fields)
  return new Map(
    partitions.map((partition, i) => [
      partition,
      {
        next: parseOffset(values[4 * i]),
        claim: values[4 * i + 1] ?? undefined,
        rebuildUntil: parseOffset(values[4 * i + 2]),
        isRebuildRequested: typeof values[4 * i + 3] === 'string',
      },
    ]),
  )
}

/** The keys of the copies. Throws a ServiceError if a slot has no owner. */
export function progressCopyKeys(cluster: Cluster, group: string, topic: string): string[] {
  return holdersOf(SlotTable.of(cluster).owners).map(({ slot }) => progressCopyKey(tagOf(slot), group, topic))
}
