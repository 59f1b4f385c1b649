import {
  claimOf,
  evidenceOf,
  type CopyHolder,
  type CopyView,
  type KnownCopy,
} from '../../core/workers/progress-copies.ts'
import type { StoredProgress } from '../../core/workers/progress.ts'
import type { SlotOwners } from '../cluster/slots.ts'

/** What this process knows of a partition's copies. */
export type Memory = {
  /** At the time when the copies were written. */
  readonly owners: SlotOwners
  readonly copies: ReadonlyMap<string, KnownCopy>
  /** By master: what was found where its copy belongs, before a write of which it is not known whether it was executed. */
  readonly found?: ReadonlyMap<string, KnownCopy>
}

/** The owners and the memory are those of one moment: both may change while Redis is asked. */
export type Look = CopyView & { readonly owners: SlotOwners; readonly memory: Memory | undefined }

type News =
  /** To this process, which has just begun, or by another worker. */
  | { readonly kind: 'advanced'; readonly memory: Memory }
  /** Slots have other owners, and the copies are to follow. */
  | { readonly kind: 'moved'; readonly next: number }

/**
 * A change of the owners is followed only if the progress is what this process has left: otherwise it does not know whether a copy
 * that is not whole has fallen back, and its claim would hide that.
 */
export function newsIn(view: Look, { isWhole, next }: StoredProgress): News | undefined {
  const { copyAt, holders, memory, owners } = view
  if (next === undefined) return undefined
  const isFollowed = memory?.owners === owners
  const left = memory && lowest(memory)
  if (memory === undefined || ((isFollowed || isWhole) && left !== undefined && next > left)) {
    return { kind: 'advanced', memory: { owners, copies: copiesFound(holders, copyAt) } }
  }
  return !isFollowed && next === left ? { kind: 'moved', next } : undefined
}

/** What this process knows when some of the copies have been written, and others may have been. */
export function afterUnanswered(
  memory: Memory,
  { copyAt }: Look,
  written: ReadonlyMap<string, KnownCopy>,
  unanswered: readonly CopyHolder[],
): Memory {
  const found = new Map([...(memory.found ?? []), ...copiesFound(unanswered, copyAt)])
  for (const master of written.keys()) found.delete(master)
  return { owners: memory.owners, copies: withCopies(memory.copies, written), found }
}

/** A copy that was in the same slot before is there no longer: the slot has moved, or a process has taken it for moved. */
function withCopies(
  copies: ReadonlyMap<string, KnownCopy>,
  written: ReadonlyMap<string, KnownCopy>,
): Map<string, KnownCopy> {
  const bySlot = new Map([...written.values()].map((copy) => [copy.slot, copy]))
  const left = [...copies].map(([master, copy]) => [master, bySlot.get(copy.slot) ?? copy] as const)
  return new Map([...left, ...written])
}

/** By master: what is where its copy belongs. */
function copiesFound(holders: readonly CopyHolder[], copyAt: CopyView['copyAt']): Map<string, KnownCopy> {
  const found = holders.flatMap(({ master, slot }) => {
    const { claim, next } = copyAt(slot)
    return next === undefined || claim === undefined ? [] : [[master, { slot, claim, next }] as const]
  })
  return new Map(found)
}

export function copyOf(holder: CopyHolder, next: number): KnownCopy {
  return { slot: holder.slot, claim: claimOf(holder), next }
}

export function atLeast(next: number, view: Look): (holder: CopyHolder) => number {
  return (holder) => Math.max(evidenceOf(holder, view)?.next ?? next, next)
}

export function lowest({ copies }: Memory): number | undefined {
  return copies.size === 0 ? undefined : Math.min(...[...copies.values()].map(({ next }) => next))
}
