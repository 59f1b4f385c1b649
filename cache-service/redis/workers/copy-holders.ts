import { createHash } from 'node:crypto'
import type { CopyHolder } from '../../core/workers/progress-copies.ts'
import type { SlotOwners } from '../cluster/slots.ts'

const holders = new WeakMap<SlotOwners, CopyHolder[]>()

export function holdersOf(owners: SlotOwners): CopyHolder[] {
  const known = holders.get(owners)
  if (known !== undefined) return known
  const found = [...owners.slotsByMaster].map(([master, slots]) => ({
    master,
    slot: slots.reduce((first, slot) => (rank(slot) < rank(first) ? slot : first)),
    slots: createHash('sha1').update(slots.join()).digest('hex').slice(0, 12),
  }))
  holders.set(owners, found)
  return found
}

/**
 * Not the lowest slot, but the first in another order: tools move slots in ascending order, so the lowest slot of a master
 * would leave it with every slot that is moved.
 */
function rank(slot: number): number {
  return (slot * 6_151) & 16_383
}
