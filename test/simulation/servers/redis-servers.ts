import type { RedisClient } from '../../../cache-service/redis/redis-client.ts'
import type { SeededRandom } from '../../simulator/seeded-random.ts'
import type { RedisStep } from '../schedule.ts'
import type { Scheduler } from '../scheduler.ts'
import type { HashFields } from './simulated-redis.ts'

/** What a worker has of Redis. */
export type WorkerRedis = {
  /** For code that expects a client of ioredis. */
  asRedis(): RedisClient
  /** Breaks the connection, or that to one of the masters, and the attempts to reconnect for a while. */
  cut(forMs: number, master?: number): void
}

/** One server, or the masters of a Cluster: what the world does to them, and what a reader sees of them. */
export type RedisServers = {
  hash(key: string): HashFields | undefined
  expiryOf(key: string): number | undefined
  set(key: string): ReadonlySet<string>
  keys(): string[]
  /** The progress of the worker's group: one hash, or that of each master. undefined: there is none. */
  progress(): (ReadonlyMap<string, string> | undefined)[]
  /** @param worker whose process it belongs to. */
  open(worker: string): WorkerRedis
  /** The process has ended. */
  close(client: WorkerRedis): void
  take(step: RedisStep): void
  /** What lasts for a while ends now. */
  endFaults(): void
}

export type RedisSurroundings = {
  readonly scheduler: Scheduler
  readonly random: SeededRandom
  /** Called after each write to a device hash that readers see. */
  readonly wrote: (key: string, before: HashFields | undefined, after: HashFields) => void
  /** Called before Redis gets data that may be older than what a worker has written. */
  readonly losesData: () => void
  /** Called when slots move that a new process has not seen where they were. */
  readonly copiesMoved: () => void
  /** Partition → the offset that the group has committed. */
  readonly committed: ReadonlyMap<number, number>
  readonly partitionCount: () => number
  /** One worker does all the work, and neither dies nor stops. */
  readonly isOneProcess: boolean
}

export const REFUSALS = {
  redis_full: "OOM command not allowed when used memory > 'maxmemory'.",
  redis_readonly: "READONLY You can't write against a read only replica.",
} as const
