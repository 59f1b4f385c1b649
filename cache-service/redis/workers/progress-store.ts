import type { Redis } from 'ioredis'
import type { StoredProgress } from '../../core/workers/progress.ts'
import { redisError, type ServiceError } from '../../../shared/errors.ts'
import { redisReply } from '../reply.ts'
import { createScriptRunner } from '../script.ts'
import { offsetText, parseOffset, progressFields } from './progress-fields.ts'

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
  /** The same, of partitions that another process may own: it leaves no trace, neither here nor in Redis. */
  peek(partitions: readonly number[]): Promise<Map<number, StoredProgress>>
  /**
   * Stores `next` if the stored offset equals `expected`; it is never moved back.
   * @returns undefined if it equalled `expected`, else the offset that is stored instead.
   */
  advance(
    partition: number,
    expected: number | undefined,
    next: number,
  ): Promise<Pick<StoredProgress, 'next'> | undefined>
  /**
   * The same as data, for a script that advances the progress with its own writes. undefined: none can, because data and progress
   * are on several servers.
   */
  step(partition: number, expected: number | undefined, next: number): ProgressStep | undefined
  /**
   * Stores `next` if the stored offset equals `expected`, also if it is lower. A rebuild that was requested has begun, or is not
   * needed. Rejects with a ServiceError TRYAGAIN if another offset is stored.
   */
  overwrite(partition: number, expected: number | undefined, next: number): Promise<void>
  /** A rebuild that was requested has begun, or is not needed. @param until undefined: removes the mark. */
  markRebuild(partition: number, until: number | undefined): Promise<void>
}

/** The progress in one hash. */
export function createServerProgressStore(redis: Redis, key: string): ProgressStore {
  const advanceProgress = createScriptRunner(redis, new URL('./advance-progress.lua', import.meta.url))
  const replaceProgress = createScriptRunner(redis, new URL('./replace-progress.lua', import.meta.url))
  const setProgress = createScriptRunner(redis, new URL('./set-progress.lua', import.meta.url))

  async function load(partitions: readonly number[]): Promise<Map<number, StoredProgress>> {
    if (partitions.length === 0) return new Map()
    const { next, rebuildUntil, requested } = progressFields
    const fields = partitions.flatMap((one) => [next(one), rebuildUntil(one), requested(one)])
    const values = await redisReply(redis.hmget(key, ...fields))
    return new Map(
      partitions.map((partition, i) => [
        partition,
        {
          next: parseOffset(values[3 * i]),
          isWhole: true,
          rebuildUntil: parseOffset(values[3 * i + 1]),
          isRebuildRequested: typeof values[3 * i + 2] === 'string',
        },
      ]),
    )
  }

  return {
    load,
    peek: load,
    async advance(partition, expected, next) {
      const [instead] = await advanceProgress([{ keys: [key], args: stepArgs(partition, expected, next) }])
      if (instead === null || instead === undefined) return undefined
      return { next: parseOffset(String(instead)) }
    },
    step: (partition, expected, next) => ({ key, args: stepArgs(partition, expected, next) }),
    async overwrite(partition, expected, next) {
      const args = [...stepArgs(partition, expected, next), progressFields.requested(partition)]
      const [isReplaced] = await replaceProgress([{ keys: [key], args }])
      if (isReplaced !== 1) throw progressHasChanged()
    },
    async markRebuild(partition, until) {
      const { rebuildUntil, requested } = progressFields
      const args = [rebuildUntil(partition), offsetText(until), requested(partition), '']
      await setProgress([{ keys: [key], args }])
    },
  }
}

/** The worker compares again. */
export function progressHasChanged(): ServiceError {
  return redisError(
    new Error(
      'TRYAGAIN the progress has changed meanwhile: another worker has written it, or slots are moving',
    ),
  )
}

function stepArgs(partition: number, expected: number | undefined, next: number): ProgressStep['args'] {
  return [progressFields.next(partition), offsetText(expected), offsetText(next)]
}
