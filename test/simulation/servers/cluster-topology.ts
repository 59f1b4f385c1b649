import { keySlot, SLOT_COUNT } from '../../../shared/redis-client/key-slot.ts'
import type { SimulatedRedis } from './simulated-redis.ts'

/** A node of the Cluster that is a master, or was one until another node took its place. */
export type Master = {
  readonly host: string
  readonly redis: SimulatedRedis
  /** Which part of the slots it stands for; the master that takes its place has the same number. */
  readonly shard: number
  /** It refuses connections until then. */
  downUntilMs: number
  /** What it goes on believing when another master has taken its place, and until when. */
  outdated: { readonly topology: Topology; readonly untilMs: number } | undefined
}

/** Which master owns which slot at one moment. */
export type Topology = {
  /** Slot → shard. */
  readonly owners: Uint8Array
  /** By shard. Those without slots included. */
  readonly masters: readonly Master[]
}

/** As `CLUSTER SLOTS` tells it, and ioredis keeps it: slot → names of the nodes, one list for a range of slots. */
export type SlotLists = readonly (readonly string[])[]

const lists = new WeakMap<Topology, SlotLists>()

export function slotsOf(topology: Topology): SlotLists {
  const known = lists.get(topology)
  if (known !== undefined) return known
  const { masters, owners } = topology
  const slots: string[][] = []
  let range: string[] = []
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const owner = owners[slot] ?? 0
    if (slot === 0 || owner !== owners[slot - 1]) range = [`${masters[owner]?.host}:6379`]
    slots.push(range)
  }
  lists.set(topology, slots)
  return slots
}

/** Equal parts, each a range. */
export function firstTopology(masters: readonly Master[]): Topology {
  const owners = new Uint8Array(SLOT_COUNT)
  for (let slot = 0; slot < SLOT_COUNT; slot++)
    owners[slot] = Math.floor((slot * masters.length) / SLOT_COUNT)
  return { owners, masters }
}

const slotOfKey = new Map<string, number>()

/** The same as keySlot; the simulation has few keys, and asks often. */
export function cachedSlot(key: string): number {
  const known = slotOfKey.get(key)
  if (known !== undefined) return known
  const slot = keySlot(key)
  slotOfKey.set(key, slot)
  return slot
}

const holders = new WeakMap<Topology, readonly Master[]>()

/** The masters that own slots. */
export function slotHolders(topology: Topology): readonly Master[] {
  const known = holders.get(topology)
  if (known !== undefined) return known
  const { masters, owners } = topology
  const found = masters.filter(({ shard }) => owners.includes(shard))
  holders.set(topology, found)
  return found
}
