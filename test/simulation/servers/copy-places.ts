import { DEVICE_INDEX_KEY, deviceIdOf } from '../../../shared/contract/keys.ts'
import { MOST_PARTITIONS } from '../settings.ts'
import type { RedisSnapshot, SimulatedRedis } from './simulated-redis.ts'

/** A copy of the progress that a worker has written. */
type Place = { readonly shard: number; readonly partition: number; readonly key: string }

/**
 * Where the workers have written the copies of the progress, and which keys each master has got with slots since it was saved.
 *
 * A loss is noticed by the copy that the master lacks, or that has fallen back. While slots move, a master may be without one: the
 * copy has left with its slot, or none has been written yet. Or it is as it was, because nothing was written since it was
 * saved, although the master has got keys. What it loses then is not noticed until a worker has seen the new owners:
 * docs/reliability.md says so, and the simulation leaves it out.
 */
export class CopyPlaces {
  readonly #committed: ReadonlyMap<number, number>
  readonly #places = new Map<string, Place>()
  readonly #imported = new Map<number, Set<string>>()
  /** Copies that a master has lost, until a worker writes them again. */
  readonly #lost = new Set<string>()

  constructor(committed: ReadonlyMap<number, number>) {
    this.#committed = committed
  }

  wrote(place: Place): void {
    const name = `${place.shard}/${place.partition}`
    this.#places.set(name, place)
    this.#lost.delete(name)
  }

  lost(shard: number): void {
    for (const [name, place] of this.#places) if (place.shard === shard) this.#lost.add(name)
  }

  /** No worker has noticed yet that the master has lost something. */
  hasUnseenLoss(shard: number): boolean {
    return [...this.#lost].some((name) => this.#places.get(name)?.shard === shard)
  }

  imported(shard: number, key: string): void {
    const keys = this.#imported.get(shard) ?? new Set()
    this.#imported.set(shard, keys)
    keys.add(key)
  }

  saved(shard: number): void {
    this.#imported.delete(shard)
  }

  /** @param isAt whether a key, if it exists, is on the master. */
  isLossNoticeable(
    shard: number,
    redis: SimulatedRedis,
    saved: RedisSnapshot,
    isAt: (key: string) => boolean,
  ): boolean {
    const imported = [...(this.#imported.get(shard) ?? [])].filter((key) => !saved.has(key))
    const held = redis.keys()
    return [...imported, ...held].every((key) =>
      partitionsOf(key).every((partition) => {
        const place = this.#places.get(`${shard}/${partition}`)
        if (place === undefined) return this.#isUnwritten(partition)
        // Removed meanwhile: the master owned no slots, and has got some again.
        if (!isAt(place.key) || redis.hash(place.key)?.get(String(partition)) === undefined) return false
        const stored = storedProgress(saved, place)
        return (
          stored === undefined || !imported.includes(key) || stored < (this.#committed.get(partition) ?? 0)
        )
      }),
    )
  }

  #isUnwritten(partition: number): boolean {
    return [...this.#places.values()].every((place) => place.partition !== partition)
  }
}

/** The partitions whose records a key holds. */
function partitionsOf(key: string): readonly number[] {
  if (key === DEVICE_INDEX_KEY) return [...Array(MOST_PARTITIONS).keys()]
  const device = deviceIdOf(key)
  return device === undefined ? [] : [Number(device.slice(1)) % MOST_PARTITIONS]
}

function storedProgress(saved: RedisSnapshot, { key, partition }: Place): number | undefined {
  const value = saved.get(key)
  const next = value !== undefined && 'fields' in value ? value.fields.get(String(partition)) : undefined
  return next === undefined ? undefined : Number(next)
}
