import { DEVICE_INDEX_KEY, deviceIdOf } from '../../../shared/contract/keys.ts'
import { MOST_PARTITIONS } from '../settings.ts'
import type { RedisSnapshot, SimulatedRedis } from './simulated-redis.ts'

/** Within this time, a worker has read the table of slots again, and the node that it asked knew of the change. */
const SEEN_AFTER_MS = 1_500

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
  readonly #nowMs: () => number
  /** Shard → key → when. */
  readonly #imported = new Map<number, Map<string, number>>()
  /** Copies that a master has lost, until a worker writes them again. */
  readonly #lost = new Set<string>()

  constructor(committed: ReadonlyMap<number, number>, nowMs: () => number) {
    this.#committed = committed
    this.#nowMs = nowMs
  }

  wrote(place: Place): void {
    const name = nameOf(place)
    this.#places.set(name, place)
    this.#lost.delete(name)
  }

  /** A master that has been replaced has acknowledged it. */
  wroteInVain(place: Place): void {
    this.#lost.add(nameOf(place))
  }

  lost(shard: number): void {
    for (const [name, place] of this.#places) if (place.shard === shard) this.#lost.add(name)
  }

  /** No worker has noticed yet that the master has lost something. */
  hasUnseenLoss(shard: number): boolean {
    return [...this.#lost].some((name) => name.startsWith(`${shard}/`))
  }

  imported(shard: number, key: string): void {
    const keys = this.#imported.get(shard) ?? new Map<string, number>()
    this.#imported.set(shard, keys)
    keys.set(key, this.#nowMs())
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
    const importedMs = this.#imported.get(shard) ?? new Map<string, number>()
    const imported = [...importedMs.keys()].filter((key) => !saved.has(key))
    const held = redis.keys()
    return [...imported, ...held].every((key) =>
      partitionsOf(key).every((partition) => {
        const place = this.#places.get(nameOf({ shard, partition }))
        if (place === undefined) return this.#isUnwritten(partition)
        // Removed meanwhile: the master owned no slots, and has got some again.
        if (!isAt(place.key) || redis.hash(place.key)?.get(String(partition)) === undefined) return false
        const stored = storedProgress(saved, place)
        if (stored === undefined || !imported.includes(key)) return true
        // To a worker that does not know of the import, a copy that has fallen back claims all slots.
        const isImportSeen = this.#nowMs() - (importedMs.get(key) ?? 0) > SEEN_AFTER_MS
        return isImportSeen && stored < (this.#committed.get(partition) ?? 0)
      }),
    )
  }

  #isUnwritten(partition: number): boolean {
    return [...this.#places.values()].every((place) => place.partition !== partition)
  }
}

function nameOf({ partition, shard }: Omit<Place, 'key'>): string {
  return `${shard}/${partition}`
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
