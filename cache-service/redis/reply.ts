import type { ChainableCommander } from 'ioredis'
import { redisError } from '../../shared/errors.ts'

/** The reply to a command (or to several, by Promise.all). Rejects with a ServiceError where ioredis rejects. */
export async function redisReply<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply
  } catch (error) {
    throw redisError(error)
  }
}

/**
 * The replies to several commands. Rejects with a ServiceError for the first of them that failed, but only after each
 * has been answered or has failed: the client of a Cluster tries some again for seconds, and they should not be executed after what their
 * caller does next.
 */
export async function redisReplies<T>(replies: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(replies)
  return settled.map((one) => {
    if (one.status === 'rejected') throw redisError(one.reason)
    return one.value
  })
}

/**
 * The replies of a pipeline, in the order of its commands.
 *
 * ioredis resolves a pipeline even if commands failed. This rejects with a ServiceError for the first command that
 * failed; the others may have been applied.
 */
export async function pipelineReplies(pipeline: ChainableCommander): Promise<unknown[]> {
  return repliesOf((await redisReply(pipeline.exec())) ?? [])
}

/** What `exec` of a pipeline resolves with: an error or a reply for each of its commands. */
type PipelineResult = readonly (readonly [error: Error | null, reply: unknown])[]

/** @throws ServiceError for the first of the commands that failed. */
function repliesOf(results: PipelineResult): unknown[] {
  return results.map(([error, reply]) => {
    if (error !== null) throw redisError(error)
    return reply
  })
}
