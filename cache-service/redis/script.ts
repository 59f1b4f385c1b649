import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'
import { redisError } from '../../shared/errors.ts'
import { pipelineReplies, redisReply } from './reply.ts'

export type ScriptInvocation = {
  readonly keys: readonly string[]
  readonly args: readonly (string | number)[]
}

/**
 * Runs a Lua script: any number of invocations in one round trip, one reply each.
 *
 * The server forgets its scripts at a restart, a failover and SCRIPT FLUSH. The script is then loaded again and all
 * invocations are repeated, so every script here must tolerate being run twice.
 *
 * @param url of the `.lua` file, which lies beside its caller.
 * @returns a function that rejects with a ServiceError for the first invocation that failed; the others may have
 * been applied.
 */
export function createScriptRunner(redis: Redis, url: URL) {
  const source = readFileSync(url, 'utf8')
  let sha: string | undefined

  async function load(): Promise<string> {
    return String(await redisReply(redis.script('LOAD', source)))
  }

  async function attempt(invocations: readonly ScriptInvocation[], digest: string): Promise<unknown[]> {
    const pipeline = redis.pipeline()
    for (const { keys, args } of invocations) pipeline.evalsha(digest, keys.length, ...keys, ...args)
    return await pipelineReplies(pipeline)
  }

  return async function run(invocations: readonly ScriptInvocation[]): Promise<unknown[]> {
    if (invocations.length === 0) return []
    sha ??= await load()
    try {
      return await attempt(invocations, sha)
    } catch (error) {
      if (redisError(error).code !== 'NOSCRIPT') throw error
      sha = await load()
      return await attempt(invocations, sha)
    }
  }
}
