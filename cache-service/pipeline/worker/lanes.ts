import type { ServiceError } from '../../../shared/errors.ts'
import type { FetchedPartition } from '../../kafka/fetched-partition.ts'
import type { FetchIntake, Offsets } from '../../kafka/fetch-handler.ts'
import { Lane, type LaneDependencies } from './lane.ts'

export type LanesDependencies<Prepared> = Omit<LaneDependencies<Prepared>, 'changed'> & {
  /** A bug in a lane: the process must end. */
  readonly fatal: (error: unknown) => void
  /** The state or the room of the partition's lane has changed. */
  readonly changed: (partition: number) => void
}

/** The lanes of the partitions that are owned in the current generation of the consumer group. */
export class Lanes<Prepared> implements FetchIntake {
  readonly #dependencies: LanesDependencies<Prepared>
  #lanes: ReadonlyMap<number, Lane<Prepared>> = new Map()
  #running: Promise<unknown> = Promise.resolve()
  readonly #committed = new Map<number, number>()
  /** The lanes that are holding. Kept apart because every chunk asks, and there may be hundreds of lanes. */
  readonly #holding = new Map<number, Lane<Prepared>>()

  constructor(dependencies: LanesDependencies<Prepared>) {
    this.#dependencies = dependencies
  }

  /** A new generation: KafkaJS reads every partition from its commit, and what the old lanes still write does not count. */
  assigned(partitions: readonly number[]): void {
    this.#end()
    this.#committed.clear()
    this.#holding.clear()
    const { changed, ...dependencies } = this.#dependencies
    const lanes = partitions.map((partition) => {
      const lane: Lane<Prepared> = new Lane(partition, {
        ...dependencies,
        changed: () => {
          if (this.#lanes.get(partition) !== lane) return
          if (lane.state.kind === 'holding') this.#holding.set(partition, lane)
          else this.#holding.delete(partition)
          changed(partition)
        },
      })
      return lane
    })
    this.#lanes = new Map(lanes.map((lane) => [lane.partition, lane]))
    const runs = lanes.map((lane) => lane.run().catch(dependencies.fatal))
    this.#running = Promise.all(runs)
  }

  /** Ends all lanes; resolves when the chunks that were being written are finished. */
  async stop(): Promise<void> {
    this.#end()
    await this.#running
  }

  roomOf(partition: number): 'room' | 'full' | 'holding' {
    const lane = this.#lanes.get(partition)
    if (lane === undefined) return 'room'
    const { hasRoom, state } = lane
    if (state.kind === 'holding' && (state.isPaused || !hasRoom)) return 'holding'
    return hasRoom ? 'room' : 'full'
  }

  get areAllHeldPaused(): boolean {
    return [...this.#holding.values()].every(({ state }) => state.kind !== 'holding' || state.isPaused)
  }

  offer(fetched: FetchedPartition): boolean {
    // Kafka forgets the commits of a topic that is deleted.
    if (fetched.isRestart) this.#committed.delete(fetched.partition)
    return this.#lanes.get(fetched.partition)?.offer(fetched) ?? false
  }

  rewind(partition: number, to: number): void {
    this.#lanes.get(partition)?.rewind(to)
  }

  /** The lanes that Redis holds need not wait for the end of their backoff. */
  redisRecovered(): void {
    for (const lane of this.#holding.values()) lane.redisRecovered()
  }

  /** The durable offsets that have not been committed yet. */
  uncommitted(): Offsets {
    const offsets = [...this.#lanes.values()].flatMap(({ durable, partition }) =>
      durable !== undefined && durable !== this.#committed.get(partition)
        ? [[partition, durable] as const]
        : [],
    )
    return new Map(offsets)
  }

  committed(offsets: Offsets): void {
    for (const [partition, offset] of offsets) {
      if (this.#lanes.has(partition)) this.#committed.set(partition, offset)
    }
  }

  /** Partition → what prevents its records from being applied. */
  get held(): ReadonlyMap<number, ServiceError> {
    const held = [...this.#holding].flatMap(([partition, { state }]) =>
      state.kind === 'holding' ? [[partition, state.failure] as const] : [],
    )
    return new Map(held)
  }

  /** Partition → its durable offset, for the lanes that have nothing to do. */
  get idle(): ReadonlyMap<number, number | undefined> {
    const idle = [...this.#lanes.values()].filter(({ isIdle }) => isIdle)
    return new Map(idle.map(({ durable, partition }) => [partition, durable]))
  }

  #end(): void {
    for (const lane of this.#lanes.values()) lane.end()
  }
}
