import type { Cluster, Redis } from 'ioredis'
import { taggedKey } from '../../../shared/contract/keys.ts'
import { redisError, ServiceError } from '../../../shared/errors.ts'
import { connectionToMaster, ownersOfSlots } from '../../../shared/redis-client/cluster-nodes.ts'
import { keySlot, SLOT_COUNT } from '../../../shared/redis-client/key-slot.ts'
import { serverAddressText, type ServerAddress } from '../../../shared/server-address.ts'
import { isCluster, type RedisClient } from '../redis-client.ts'

/** Which master owns which slot. A master is named `host:port`, where it can be reached from here; a promoted replica is another one. */
export class SlotOwners {
  readonly #owners: readonly (string | undefined)[]
  #slotsByMaster: ReadonlyMap<string, readonly number[]> | undefined

  constructor(owners: readonly (string | undefined)[]) {
    this.#owners = owners
  }

  /** Throws a ServiceError if the slot has no owner. */
  ownerOf(slot: number): string {
    const owner = this.#owners[slot]
    if (owner === undefined) throw this.#unowned(slot)
    return owner
  }

  knownOwnerOf(slot: number): string | undefined {
    return this.#owners[slot]
  }

  /** The slots of each master, ascending. Throws a ServiceError if a slot has no owner. */
  get slotsByMaster(): ReadonlyMap<string, readonly number[]> {
    const slot = this.#owners.indexOf(undefined)
    if (slot >= 0) throw this.#unowned(slot)
    return this.knownSlotsByMaster
  }

  /** The same, even if other slots have no owner. Empty: nothing is known yet. */
  get knownSlotsByMaster(): ReadonlyMap<string, readonly number[]> {
    this.#slotsByMaster ??= this.#group()
    return this.#slotsByMaster
  }

  isSame(other: SlotOwners): boolean {
    return this.#owners.every((owner, slot) => owner === other.#owners[slot])
  }

  #unowned(slot: number): ServiceError {
    const message =
      this.knownSlotsByMaster.size === 0
        ? "Cluster isn't ready"
        : `CLUSTERDOWN no master of slot ${slot} is known`
    return redisError(new Error(message))
  }

  #group(): Map<string, number[]> {
    const grouped = new Map<string, number[]>()
    for (const [slot, owner] of this.#owners.entries()) {
      if (owner === undefined) continue
      const slots = grouped.get(owner)
      if (slots === undefined) grouped.set(owner, [slot])
      else slots.push(slot)
    }
    return grouped
  }
}

/** The failure of one master, which it names. */
export function onMaster(name: string, failure: ServiceError): ServiceError {
  if (failure.master !== undefined) return failure
  const { cause, code, failureClass, message, side } = failure
  return new ServiceError(side, code, failureClass, `the master ${name}: ${message}`, cause, name)
}

/**
 * The reply to a command about one key. Rejects with a ServiceError, which names the master that owns the key, unless the Cluster as
 * a whole refuses commands.
 */
export async function replyOfOwner<T>(redis: RedisClient, key: string, reply: Promise<T>): Promise<T> {
  try {
    return await reply
  } catch (error) {
    const failure = redisError(error)
    const owner = isCluster(redis) ? SlotTable.of(redis).owners.knownOwnerOf(keySlot(key)) : undefined
    throw owner === undefined || failure.message.includes(CLUSTER_IS_DOWN)
      ? failure
      : onMaster(owner, failure)
  }
}

/** What each master replies while slots are not served, with `cluster-require-full-coverage yes`. */
const CLUSTER_IS_DOWN = 'The cluster is down'

/**
 * The owners of the slots as the Cluster last told. What single redirections tell is left out: ioredis keeps one entry for a
 * range of slots, so that a redirection of one changes all of them until the table is read again.
 */
export class SlotTable {
  static readonly #tables = new WeakMap<Cluster, SlotTable>()
  readonly #cluster: Cluster
  #owners: SlotOwners

  private constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#owners = new SlotOwners(ownersOfSlots(cluster))
    cluster.on('refresh', () => {
      const owners = new SlotOwners(ownersOfSlots(cluster))
      if (!owners.isSame(this.#owners)) this.#owners = owners
    })
  }

  /** To be called before the cluster connects. */
  static of(cluster: Cluster): SlotTable {
    const table = this.#tables.get(cluster) ?? new SlotTable(cluster)
    this.#tables.set(cluster, table)
    return table
  }

  /** Another object when a slot has got another owner. */
  get owners(): SlotOwners {
    return this.#owners
  }

  /** The connection to a master. Throws a ServiceError if there is none. */
  connectionTo(master: string): Redis {
    const found = connectionToMaster(this.#cluster, master)
    if (found !== undefined) return found
    throw onMaster(master, redisError(new Error('Connection is closed.')))
  }
}

/** Where all nodes of a Cluster can be reached, replicas included, as far as this client knows them. */
export function knownNodes(redis: RedisClient): ServerAddress[] {
  if (!isCluster(redis)) return []
  const addresses = redis
    .nodes('all')
    .map(({ options }) => ({ host: String(options.host), port: Number(options.port) }))
  return addresses.sort((a, b) => (serverAddressText(a) < serverAddressText(b) ? -1 : 1))
}

/** A key of our own for each of these masters, in a slot of it. @param key begins with OWN_KEY_PREFIX. */
export function keyOnEach(
  slotsByMaster: ReadonlyMap<string, readonly number[]>,
  key: string,
): { readonly master: string; readonly key: string }[] {
  return [...slotsByMaster].map(([master, [slot = 0]]) => ({ master, key: taggedKey(tagOf(slot), key) }))
}

let tags: readonly string[] | undefined

/** A hash tag, without { }, of keys that shall be in this slot. */
export function tagOf(slot: number): string {
  tags ??= findTags()
  return tags[slot] ?? ''
}

function findTags(): string[] {
  const found: string[] = Array.from({ length: SLOT_COUNT })
  for (let n = 0, left = SLOT_COUNT; left > 0; n++) {
    const tag = n.toString(36)
    const slot = keySlot(tag)
    if (found[slot] !== undefined) continue
    found[slot] = tag
    left--
  }
  return found
}
