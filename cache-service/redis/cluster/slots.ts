import calculateSlot from 'cluster-key-slot'
import type { Cluster, Redis } from 'ioredis'
import { redisError } from '../../../shared/errors.ts'
import { isCluster, type RedisClient } from '../redis-client.ts'

/** Of a Redis Cluster. Each key belongs to one. */
export const SLOT_COUNT = 16_384

/** The slot of a key: of what is in its first { }, if anything is, or else of the whole key. */
export const slotOf: (key: string) => number = calculateSlot

/** A master of a Cluster and the slots that it owns. */
export type Master = {
  /** `host:port`, where it can be reached from here. A replica that is promoted is another master. */
  readonly name: string
  /** Ascending. */
  readonly slots: readonly number[]
}

/**
 * Which master owns which slot, as the Cluster last told. What single redirections tell is left out: ioredis keeps one entry
 * for a range of slots, so that a redirection of one changes all of them until the table is read again.
 */
export class SlotTable {
  readonly #cluster: Cluster
  #owners: readonly (string | undefined)[] = []
  #masters: ReadonlyMap<string, Master> = new Map()
  #version = 0

  private constructor(cluster: Cluster) {
    this.#cluster = cluster
    cluster.on('refresh', () => this.#read())
    this.#read()
  }

  static readonly #tables = new WeakMap<Cluster, SlotTable>()

  static of(cluster: Cluster): SlotTable {
    const table = this.#tables.get(cluster) ?? new SlotTable(cluster)
    this.#tables.set(cluster, table)
    return table
  }

  /** Changes when a slot has another owner. */
  get version(): number {
    return this.#version
  }

  /** All that own a slot. Throws a ServiceError if a slot has no owner, or none is known yet. */
  get masters(): Master[] {
    const unowned = this.#owners.indexOf(undefined)
    if (unowned >= 0 || this.#owners.length < SLOT_COUNT)
      throw redisError(new Error(`CLUSTERDOWN no master is known for slot ${Math.max(unowned, 0)}`))
    return [...this.#masters.values()]
  }

  /** Throws a ServiceError if the slot has no owner, or none is known yet. */
  ownerOf(slot: number): string {
    const owner = this.#owners[slot]
    if (owner === undefined) throw redisError(new Error(`CLUSTERDOWN no master is known for slot ${slot}`))
    return owner
  }

  /** The connection to a master. Throws a ServiceError if there is none. */
  connectionTo(name: string): Redis {
    const found = this.#cluster.nodes('master').find((node) => nodeName(node) === name)
    if (found !== undefined) return found
    throw redisError(new Error(`ECONNREFUSED: the master ${name} can't be reached`))
  }

  #read(): void {
    const { slots } = this.#cluster
    const owners = Array.from({ length: SLOT_COUNT }, (_, slot) => slots[slot]?.[0])
    if (owners.every((owner, slot) => owner === this.#owners[slot])) return
    this.#owners = owners
    this.#version++
    const slotsOf = new Map<string, number[]>()
    for (const [slot, owner] of owners.entries()) {
      if (owner === undefined) continue
      const owned = slotsOf.get(owner)
      if (owned === undefined) slotsOf.set(owner, [slot])
      else owned.push(slot)
    }
    this.#masters = new Map([...slotsOf].map(([name, owned]) => [name, { name, slots: owned }]))
  }
}

export function nodeName({ options }: Redis): string {
  return `${options.host}:${options.port}`
}

/** The masters' connections, or the one server's. Throws a ServiceError if one of them is unknown. */
export function mastersOf(redis: RedisClient): Redis[] {
  if (!isCluster(redis)) return [redis]
  const table = SlotTable.of(redis)
  return table.masters.map(({ name }) => table.connectionTo(name))
}
