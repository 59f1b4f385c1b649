import type { Cluster, Redis } from 'ioredis'
import { connectionToMaster, ownersOfSlots } from '../redis-client/cluster-nodes.ts'
import { keySlot } from '../redis-client/key-slot.ts'

/** The part of ioredis's Cluster, versions 5 and 6, that is used here; some of it is private, but only for the compiler. */
type Internals = {
  refreshSlotsCache(done: (error?: Error | null) => void): void
}

/**
 * Which master of a Cluster owns which slot, as a node last reported in full. A master is named by its address, `host:port`, as it
 * can be reached from here; a replica that takes over is another one.
 */
export class ClusterMasters {
  readonly #cluster: Cluster
  readonly #read = () => this.#update()
  #owners: readonly (string | undefined)[] = []
  #names: ReadonlySet<string> = new Set()
  /** Called when a slot has another owner. */
  onChange: (() => void) | undefined

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    cluster.on('refresh', this.#read)
    this.#update()
  }

  get names(): ReadonlySet<string> {
    return this.#names
  }

  ownerOf(key: string): string | undefined {
    return this.#owners[keySlot(key)]
  }

  /** The connection of the Cluster to a master; undefined: there is none at the moment. */
  connectionTo(name: string): Redis | undefined {
    return connectionToMaster(this.#cluster, name)
  }

  /** Rejects if no node answers. */
  async refresh(): Promise<void> {
    const internals = this.#cluster as unknown as Internals
    await new Promise<void>((resolve, reject) => {
      internals.refreshSlotsCache((error) => (error ? reject(error) : resolve()))
    })
  }

  stop(): void {
    this.#cluster.off('refresh', this.#read)
  }

  #update(): void {
    // Redirections of a single slot change whole ranges of the table.
    const owners = ownersOfSlots(this.#cluster)
    if (owners.every((owner, slot) => owner === this.#owners[slot])) return
    this.#owners = owners
    this.#names = new Set(owners.filter((owner) => owner !== undefined))
    this.onChange?.()
  }
}
