import { readFileSync } from 'node:fs'
import type { ChainableCommander, Redis } from 'ioredis'
import { redisError } from '../../shared/errors.ts'
import { redisReply, repliesOf, type PipelineResult } from './reply.ts'

export type ScriptInvocation = {
  readonly keys: readonly string[]
  readonly args: readonly (string | number)[]
}

/** What is sent in one turn of the event loop, at its end. */
type Turn = { readonly pipeline: ChainableCommander; readonly replies: Promise<PipelineResult> }

const MAX_CALLS_PER_TURN = 32
const turns = new WeakMap<Redis, Turn>()

/**
 * All calls of one turn of the event loop travel in one pipeline: a fetch of many partitions with a few records each would
 * otherwise write to the socket once per partition.
 */
async function attempt(
  redis: Redis,
  invocations: readonly ScriptInvocation[],
  digest: string,
): Promise<unknown[]> {
  const { pipeline, replies } = turns.get(redis) ?? beginTurn(redis)
  const from = pipeline.length
  for (const { keys, args } of invocations) pipeline.evalsha(digest, keys.length, ...keys, ...args)
  // Later calls do not wait for the replies to a full pipeline.
  if (pipeline.length >= MAX_CALLS_PER_TURN) turns.delete(redis)
  return repliesOf((await redisReply(replies)).slice(from, from + invocations.length))
}

function beginTurn(redis: Redis): Turn {
  const pipeline = redis.pipeline()
  const replies = new Promise<void>((resolve) => setImmediate(resolve)).then(async () => {
    if (turns.get(redis)?.pipeline === pipeline) turns.delete(redis)
    return (await pipeline.exec()) ?? []
  })
  const turn = { pipeline, replies }
  turns.set(redis, turn)
  return turn
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
