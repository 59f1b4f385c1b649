import type { Redis } from 'ioredis'
import { redisReply } from '../reply.ts'
import { createScriptRunner } from '../script.ts'

export type StoredProgress = {
  /** The next offset: everything before it is in this Redis. undefined: nothing is stored. */
  readonly next: number | undefined
  /** The offset at which the current rebuild of the partition is complete; undefined: there is no rebuild. */
  readonly rebuildUntil: number | undefined
}

/** Stores an offset if another one is stored now: for a script that does so after other writes. */
export type ProgressStep = {
  readonly key: string
  /** Partition, the offset that must be stored ('': none), the next offset. */
  readonly args: readonly [partition: string, expected: string, next: string]
}

/**
 * The worker's progress, stored beside the data so that a loss of data also loses progress
 * (core/workers/progress.ts). Rejects with a ServiceError.
 */
export type ProgressStore = {
  load(partitions: readonly number[]): Promise<Map<number, StoredProgress>>
  /**
   * Stores `next` if the stored offset equals `expected`; it is never moved back.
   * @returns undefined if it equalled `expected`, else what is stored instead.
   */
  advance(partition: number, expected: number | undefined, next: number): Promise<StoredProgress | undefined>
  /** The same as data, for a script that advances the progress with its own writes. */
  step(partition: number, expected: number | undefined, next: number): ProgressStep
  overwrite(partition: number, next: number): Promise<void>
  markRebuild(partition: number, until: number | undefined): Promise<void>
}

export function createProgressStore(redis: Redis, key: string): ProgressStore {
  const advanceProgress = createScriptRunner(redis, new URL('./advance-progress.lua', import.meta.url))
  const untilField = (partition: number) => `${partition}:until`

  return {
    async load(partitions) {
      if (partitions.length === 0) return new Map()
      const fields = partitions.flatMap((partition) => [String(partition), untilField(partition)])
      const values = await redisReply(redis.hmget(key, ...fields))
      return new Map(
        partitions.map((partition, i) => [
          partition,
          { next: parseOffset(values[2 * i]), rebuildUntil: parseOffset(values[2 * i + 1]) },
        ]),
      )
    },
    async advance(partition, expected, next) {
      const [instead] = await advanceProgress([{ keys: [key], args: stepArgs(partition, expected, next) }])
      if (instead === null || instead === undefined) return undefined
      return { next: parseOffset(String(instead)), rebuildUntil: undefined }
    },
    step: (partition, expected, next) => ({ key, args: stepArgs(partition, expected, next) }),
    async overwrite(partition, next) {
      await redisReply(redis.hset(key, String(partition), String(next)))
    },
    async markRebuild(partition, until) {
      if (until === undefined) await redisReply(redis.hdel(key, untilField(partition)))
      else await redisReply(redis.hset(key, untilField(partition), String(until)))
    },
  }
}

function stepArgs(partition: number, expected: number | undefined, next: number): ProgressStep['args'] {
  return [String(partition), expected === undefined ? '' : String(expected), String(next)]
}

function parseOffset(text: string | null | undefined): number | undefined {
  return text !== null && text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined
}

/**
 * Makes the workers of the group read the topic again, as if Redis had lost everything.
 * @returns false if no progress was stored. Rejects with a ServiceError.
 */
export async function forgetProgress(redis: Redis, key: string): Promise<boolean> {
  return (await redisReply(redis.del(key))) === 1
}
