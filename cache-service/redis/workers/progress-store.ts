import type { StoredProgress } from '../../core/workers/progress.ts'
import { pipelineReplies, redisReply } from '../reply.ts'
import { createScriptRunner } from '../script.ts'
import type { RedisClient } from '../redis-client.ts'

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
   * @returns undefined if it equalled `expected`, else the offset that is stored instead.
   */
  advance(
    partition: number,
    expected: number | undefined,
    next: number,
  ): Promise<Pick<StoredProgress, 'next'> | undefined>
  /** The same as data, for a script that advances the progress with its own writes. */
  step(partition: number, expected: number | undefined, next: number): ProgressStep
  /** A rebuild that was requested has begun, or is not needed. */
  overwrite(partition: number, next: number): Promise<void>
  /** Likewise. @param until undefined: removes the mark. */
  markRebuild(partition: number, until: number | undefined): Promise<void>
}

export function createProgressStore(redis: RedisClient, key: string): ProgressStore {
  const advanceProgress = createScriptRunner(redis, new URL('./advance-progress.lua', import.meta.url))

  /** Together with the field, removes the request for a rebuild. */
  async function setField(partition: number, field: string, value: number | undefined): Promise<void> {
    const pipeline = redis.pipeline()
    if (value !== undefined) pipeline.hset(key, field, String(value))
    const obsolete = value === undefined ? [field] : []
    await pipelineReplies(pipeline.hdel(key, ...obsolete, requestField(partition)))
  }

  return {
    async load(partitions) {
      if (partitions.length === 0) return new Map()
      const fields = partitions.flatMap((partition) => [
        String(partition),
        untilField(partition),
        requestField(partition),
      ])
      const values = await redisReply(redis.hmget(key, ...fields))
      return new Map(
        partitions.map((partition, i) => [
          partition,
          {
            next: parseOffset(values[3 * i]),
            rebuildUntil: parseOffset(values[3 * i + 1]),
            isRebuildRequested: typeof values[3 * i + 2] === 'string',
          },
        ]),
      )
    },
    async advance(partition, expected, next) {
      const [instead] = await advanceProgress([{ keys: [key], args: stepArgs(partition, expected, next) }])
      if (instead === null || instead === undefined) return undefined
      return { next: parseOffset(String(instead)) }
    },
    step: (partition, expected, next) => ({ key, args: stepArgs(partition, expected, next) }),
    overwrite: (partition, next) => setField(partition, String(partition), next),
    markRebuild: (partition, until) => setField(partition, untilField(partition), until),
  }
}

function stepArgs(partition: number, expected: number | undefined, next: number): ProgressStep['args'] {
  return [String(partition), expected === undefined ? '' : String(expected), String(next)]
}

function untilField(partition: number): string {
  return `${partition}:until`
}

function requestField(partition: number): string {
  return `${partition}:requested`
}

function parseOffset(text: string | null | undefined): number | undefined {
  return text !== null && text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined
}

/**
 * Makes the workers of the group read these partitions again: deletes the progress, and leaves a mark that tells this
 * from a loss. Rejects with a ServiceError.
 */
export async function requestRebuild(
  redis: RedisClient,
  key: string,
  partitions: readonly number[],
): Promise<void> {
  const request = createScriptRunner(redis, new URL('./request-rebuild.lua', import.meta.url))
  await request([{ keys: [key], args: partitions.map(requestField) }])
}
