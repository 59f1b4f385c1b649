import type { StoredProgress } from './progress.ts'

/**
 * In a Redis Cluster, each master carries a copy of the progress in a slot of its own, because what one master holds says
 * nothing about the others. A copy claims that the keys of certain slots hold everything before its offset: of those that its
 * master owned when the copy was written. It names the master, because it may come along with slots to another one.
 *
 * A slot that moves takes its keys along, also a copy that is in it. So a master can be without a copy, or own slots that its copy
 * does not claim, although nothing is lost; and a master that was wiped, or replaced by an empty or lagging replica, looks the
 * same. What tells them apart is what this process has seen before:
 *
 * has this process written the master's copy?
 *   yes, and it is where it was      It must be as it was written. Otherwise it is of an earlier time: lost.
 *   yes, but its slot moved away     The copy that left with the slot tells what the master held then.
 *   perhaps: no reply has arrived    What it had before must be there, or what was to be written: otherwise lost.
 *   no, the master is new            It got its slots from masters that are still there: it holds what they hold. From one that is
 *                                    gone: it has replaced that one, and a copy that does not claim all of its slots is of a
 *                                    time before it got the others: lost.
 *   nothing yet: it has just begun   Only the copies count.
 *
 * A master that owns no slots any more has given its copy away with them. If that copy is gone, or has fallen back, the others did
 * not get what it should have held.
 *
 * A copy that does not claim all slots of its master is evidence only as long as it is not behind: reading from its offset
 * would not bring back what the other slots have lost. Then everything is read again.
 */

/** What a slot holds of a partition's progress. */
export type ProgressCopy = Omit<StoredProgress, 'isWhole'> & {
  /** See `claimOf`. undefined: there is no copy. */
  readonly claim: string | undefined
}

/** A master, as the Cluster tells now. */
export type CopyHolder = {
  readonly master: string
  /** Where its copy belongs: one of its slots. */
  readonly slot: number
  /** A digest of all slots that it owns. */
  readonly slots: string
}

/** What a copy of the master says that it claims. */
export function claimOf({ master, slots }: Pick<CopyHolder, 'master' | 'slots'>): string {
  return `${slots} ${master}`
}

/** A copy that this process has written, or found when it began. */
export type KnownCopy = { readonly slot: number; readonly claim: string; readonly next: number }

export type CopyView = {
  readonly holders: readonly CopyHolder[]
  readonly ownerOf: (slot: number) => string
  /** Of every slot of `holders` and `known`. */
  readonly copyAt: (slot: number) => ProgressCopy
  /** By master. undefined: the process has just begun. */
  readonly known: ReadonlyMap<string, KnownCopy> | undefined
  /** By master: what was found where its copy belongs, before a write that was not answered. */
  readonly found?: ReadonlyMap<string, KnownCopy> | undefined
  /** The owners of the slots of a master when `known` was written. */
  readonly giversOf: (master: string) => ReadonlySet<string>
}

/** What is known to be on a master. undefined: nothing. */
export type Evidence = { readonly next: number; readonly isWhole: boolean } | undefined

export function evidenceOf(holder: CopyHolder, view: CopyView): Evidence {
  const { copyAt, known, ownerOf } = view
  const own = copyAt(holder.slot)
  if (known === undefined) return evidence(own, holder, view)
  if (hasVanished(own, holder, view)) return undefined
  const before = known.get(holder.master)
  if (before === undefined)
    return isClaimed(own, holder, view) ? evidence(own, holder, view) : evidenceOfGivers(holder, view)
  const copy = copyAt(before.slot)
  const hasStayed = ownerOf(before.slot) === holder.master
  if (hasStayed && copy.next !== undefined && copy.claim === before.claim) {
    const found = evidence(copy, holder, view)
    // It has fallen back, even if the other copies are no further than it is now.
    return copy.next < before.next && found?.isWhole === false ? undefined : found
  }
  // Another worker may have written it before us.
  if (isClaimed(own, holder, view)) return evidence(own, holder, view)
  return hasStayed || copy.next === undefined ? undefined : { next: copy.next, isWhole: false }
}

/** Whether the copy that this process has found, and tried to write, is there neither as it was nor as it was to be. */
function hasVanished(
  { claim, next }: ProgressCopy,
  { master, slot }: CopyHolder,
  { found }: CopyView,
): boolean {
  const before = found?.get(master)
  if (before?.slot !== slot) return false
  return next === undefined || (claim === before.claim && next < before.next)
}

function evidence(copy: ProgressCopy, holder: CopyHolder, view: CopyView): Evidence {
  const { next } = copy
  return next === undefined ? undefined : { next, isWhole: isClaimed(copy, holder, view) }
}

/** Whether the copy is the master's, or that of a former master in whose place it has been promoted, and claims all of its slots. */
function isClaimed({ claim = '' }: ProgressCopy, { master, slots }: CopyHolder, { holders }: CopyView) {
  const [claimedSlots, claimant] = claim.split(' ')
  return claimedSlots === slots && (claimant === master || holders.every((one) => one.master !== claimant))
}

/** Of a master that this process has not seen before. */
function evidenceOfGivers({ master }: CopyHolder, view: CopyView): Evidence {
  let next = Infinity
  for (const giver of view.giversOf(master)) {
    const holder =
      view.known?.has(giver) === true ? view.holders.find((one) => one.master === giver) : undefined
    const found = holder && evidenceOf(holder, view)
    if (found === undefined) return undefined
    next = Math.min(next, found.next)
  }
  return next === Infinity ? undefined : { next, isWhole: false }
}

/** Of the masters that this process has seen, and that own no slots any more. */
function evidenceOfFormer(view: CopyView): Evidence[] {
  const { copyAt, holders, known } = view
  // Another worker has followed the slots, and has removed what they left behind.
  if (holders.every((holder) => isClaimed(copyAt(holder.slot), holder, view))) return []
  const former = [...(known ?? [])].filter(([name]) => holders.every(({ master }) => master !== name))
  return former.map(([, { slot }]) => {
    const { next } = copyAt(slot)
    return next === undefined ? undefined : { next, isWhole: false }
  })
}

/** All masters together: the lowest counts. */
export function combinedProgress(view: CopyView): StoredProgress {
  const found = [...view.holders.map((holder) => evidenceOf(holder, view)), ...evidenceOfFormer(view)]
  const nexts = found.flatMap((one) => (one === undefined ? [] : [one.next]))
  const copies = [...slotsOfCopies(view.holders, view.known)].map(view.copyAt)
  const untils = copies.flatMap(({ rebuildUntil }) => rebuildUntil ?? [])
  return {
    next: nexts.length < found.length ? undefined : Math.min(...nexts),
    isWhole: found.every((one) => one?.isWhole === true),
    rebuildUntil: untils.length === 0 ? undefined : Math.max(...untils),
    isRebuildRequested: copies.some(({ isRebuildRequested }) => isRebuildRequested),
  }
}

/** Where copies belong, or were written. */
export function slotsOfCopies(
  holders: readonly CopyHolder[],
  known: ReadonlyMap<string, KnownCopy> | undefined,
): Set<number> {
  return new Set([...holders, ...(known?.values() ?? [])].map(({ slot }) => slot))
}
