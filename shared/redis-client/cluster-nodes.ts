import type { Cluster, Redis } from 'ioredis'
import { SLOT_COUNT } from './key-slot.ts'

/** A node of a Cluster is named by its address, as it can be reached from here. */
export function nodeName({ options }: Redis): string {
  return `${options.host}:${options.port}`
}

/** The connection of the Cluster to a master; undefined: there is none at the moment. */
export function connectionToMaster(cluster: Cluster, name: string): Redis | undefined {
  return cluster.nodes('master').find((node) => nodeName(node) === name)
}

/** Slot → name of the master that owns it, as the client knows now. To be called when the Cluster emits `refresh`. */
export function ownersOfSlots({ slots }: Cluster): (string | undefined)[] {
  // The first address is that of the master. Versions 5 and 6 declare the list alike, but it may lack slots.
  const addresses: readonly (readonly string[] | undefined)[] = slots
  const owners: (string | undefined)[] = []
  for (let slot = 0; slot < SLOT_COUNT; slot++) owners.push(addresses[slot]?.[0])
  return owners
}
