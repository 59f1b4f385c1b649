import type { Redis } from 'ioredis'
import { answered } from '../answered.ts'
import { createScriptRunner, readScript } from '../script.ts'

/** Offsets are the *next* offset: everything before it is in this Redis. undefined: nothing is stored. */
export type StoredProgress = {
  readonly next: number | undefined
  /** Where the rebuild of the partition that is under way will be complete. */
  readonly rebuildUntil: number | undefined
}

/** The worker's progress, kept beside the data so that it is lost with them (core/progress.ts). */
export type ProgressStore = {
  load(partitions: readonly number[]): Promise<Map<number, StoredProgress>>
  /**
   * Stores `next` if `left` is what is stored; it never goes back.
   * @returns undefined if it was so; else what is stored instead.
   */
  advance(partition: number, left: number | undefined, next: number): Promise<StoredProgress | undefined>
  overwrite(partition: number, next: number): Promise<void>
  markRebuild(partition: number, until: number | undefined): Promise<void>
}

export function createProgressStore(redis: Redis, key: string): ProgressStore {
  const advanceProgress = createScriptRunner(
    redis,
    readScript(new URL('./advance-progress.lua', import.meta.url)),
  )
  const untilField = (partition: number) => `${partition}:until`

  return {
    async load(partitions) {
      if (partitions.length === 0) return new Map()
      const fields = partitions.flatMap((partition) => [String(partition), untilField(partition)])
      const values = await answered(redis.hmget(key, ...fields))
      return new Map(
        partitions.map((partition, i) => [
          partition,
          { next: parseOffset(values[2 * i]), rebuildUntil: parseOffset(values[2 * i + 1]) },
        ]),
      )
    },
    async advance(partition, left, next) {
      const [instead] = await advanceProgress([
        { keys: [key], args: [String(partition), left === undefined ? '' : String(left), String(next)] },
      ])
      if (instead === null || instead === undefined) return undefined
      return { next: parseOffset(String(instead)), rebuildUntil: undefined }
    },
    async overwrite(partition, next) {
      await answered(redis.hset(key, String(partition), String(next)))
    },
    async markRebuild(partition, until) {
      if (until === undefined) await answered(redis.hdel(key, untilField(partition)))
      else await answered(redis.hset(key, untilField(partition), String(until)))
    },
  }
}

function parseOffset(text: string | null | undefined): number | undefined {
  return text !== null && text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined
}

/**
 * As if Redis had lost everything: the workers of the group read the topic again.
 * @returns false if there was nothing to forget. Rejects with a ServiceError.
 */
export async function forgetProgress(redis: Redis, key: string): Promise<boolean> {
  return (await answered(redis.del(key))) === 1
}
