import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'
import { redisError } from '../../shared/errors.ts'
import { pipelineReplies, redisReply } from './reply.ts'

export type ScriptInvocation = {
  readonly keys: readonly string[]
  readonly args: readonly (string | number)[]
}

async function attempt(
  redis: Redis,
  invocations: readonly ScriptInvocation[],
  digest: string,
): Promise<unknown[]> {
  const pipeline = redis.pipeline()
  for (const { keys, args } of invocations) pipeline.evalsha(digest, keys.length, ...keys, ...args)
  holdUntilEndOfTurn(redis)
  return await pipelineReplies(pipeline)
}

const held = new WeakSet<Redis>()

/**
 * What is sent in one turn of the event loop is written to the socket at its end, together: a fetch of many partitions with
 * a few records each would otherwise write once per partition. Each call still gets its reply as soon as that arrives.
 */
function holdUntilEndOfTurn(redis: Redis): void {
  if (held.has(redis)) return
  const { stream } = redis
  held.add(redis)
  stream?.cork()
  setImmediate(() => {
    held.delete(redis)
    stream?.uncork()
  })
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

  return async function run(invocations: readonly ScriptInvocation[]): Promise<unknown[]> {
    if (invocations.length === 0) return []
    sha ??= await load()
    try {
      return await attempt(redis, invocations, sha)
    } catch (error) {
      if (redisError(error).code !== 'NOSCRIPT') throw error
      sha = await load()
      return await attempt(redis, invocations, sha)
    }
  }
}
