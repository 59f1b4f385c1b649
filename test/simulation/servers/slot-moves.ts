import type { SeededRandom } from '../../simulator/seeded-random.ts'
import type { RedisStep } from '../schedule.ts'
import type { Scheduler } from '../scheduler.ts'
import { cachedSlot, type Master, type Topology } from './cluster-topology.ts'
import type { SimulatedRedis } from './simulated-redis.ts'

export type SlotMoveDependencies = {
  readonly scheduler: Scheduler
  readonly random: SeededRandom
  readonly topology: () => Topology
  readonly changed: (owners: Uint8Array) => void
  /** Whether slots may move to and from a master now. */
  readonly isSettled: (shard: number) => boolean
  /** A master has got a key. */
  readonly imported: (shard: number, key: string) => void
}

const WAIT_MS = 100

/**
 * Moves slots from one master to another as `redis-cli --cluster reshard` does: some slots at a time, their keys one by one, and
 * then the other master owns them. It waits for masters that do not work, and goes on after a failover.
 */
export class SlotMoves {
  readonly #dependencies: SlotMoveDependencies
  /** Slots of which keys are being moved → shard that gets them. */
  readonly #targets = new Map<number, number>()
  /** Slots that are to be moved. */
  readonly #claimed = new Set<number>()

  constructor(dependencies: SlotMoveDependencies) {
    this.#dependencies = dependencies
  }

  /** The shard that the keys of a slot are moving to. */
  targetOf(slot: number): number | undefined {
    return this.#targets.get(slot)
  }

  start(
    from: number,
    to: number,
    { forMs, parts, percent }: Extract<RedisStep, { readonly kind: 'move_slots' }>,
  ): void {
    if (from === to) return
    const { random, topology } = this.#dependencies
    const slots: number[] = []
    for (const [slot, owner] of topology().owners.entries())
      if (owner === from && !this.#claimed.has(slot) && (percent === 100 || random.percent(percent)))
        slots.push(slot)
    for (const slot of slots) this.#claimed.add(slot)
    const size = Math.ceil(slots.length / parts)
    const some = Array.from({ length: parts }, (_, i) => slots.slice(i * size, (i + 1) * size))
    this.#movePart(from, to, some, forMs / parts)
  }

  #movePart(from: number, to: number, [slots, ...further]: readonly (readonly number[])[], forMs: number) {
    if (slots === undefined) return
    const { random, scheduler } = this.#dependencies
    this.#whenBothWork(from, to, () => {
      for (const slot of slots) this.#targets.set(slot, to)
      for (const key of this.#keysOf(from))
        scheduler.after(
          random.fraction() * forMs,
          () => this.#whenBothWork(from, to, () => this.#moveKey(from, to, key)),
          null,
        )
      const end = () =>
        this.#whenBothWork(from, to, () => {
          this.#end(from, to, slots)
          this.#movePart(from, to, further, forMs)
        })
      scheduler.after(forMs, end, null)
    })
  }

  #end(from: number, to: number, slots: readonly number[]): void {
    const { changed, topology } = this.#dependencies
    for (const key of this.#keysOf(from)) this.#moveKey(from, to, key)
    const owners = topology().owners.slice()
    for (const slot of slots) {
      owners[slot] = to
      this.#targets.delete(slot)
      this.#claimed.delete(slot)
    }
    changed(owners)
  }

  /** Of slots that are moving away. */
  #keysOf(shard: number): string[] {
    const { owners } = this.#dependencies.topology()
    return this.#redisOf(shard)
      .keys()
      .filter((key) => this.#targets.has(cachedSlot(key)) && owners[cachedSlot(key)] === shard)
  }

  #moveKey(from: number, to: number, key: string): void {
    if (this.#targets.get(cachedSlot(key)) !== to) return
    const value = this.#redisOf(from).take(key)
    if (value === undefined) return
    this.#redisOf(to).put(key, value)
    this.#dependencies.imported(to, key)
  }

  #whenBothWork(from: number, to: number, run: () => void): void {
    const { isSettled, scheduler, topology } = this.#dependencies
    const isWorking = ({ downUntilMs, redis, shard }: Master) =>
      isSettled(shard) &&
      redis.refusal === undefined &&
      !redis.isLoading &&
      Math.max(downUntilMs, redis.hungUntilMs) <= scheduler.nowMs
    const { masters } = topology()
    if ([masters[from], masters[to]].every((master) => master !== undefined && isWorking(master))) run()
    else scheduler.after(WAIT_MS, () => this.#whenBothWork(from, to, run), null)
  }

  #redisOf(shard: number): SimulatedRedis {
    const master = this.#dependencies.topology().masters[shard]
    if (master === undefined) throw new Error(`there is no shard ${shard}`)
    return master.redis
  }
}
