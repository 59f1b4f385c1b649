import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Cluster, Redis } from 'ioredis'
import { redisError } from '../../shared/errors.ts'
import { isCluster, type RedisClient } from './redis-client.ts'
import { pipelineReplies, redisReplies, redisReply } from './reply.ts'

export type ScriptInvocation = {
  readonly keys: readonly string[]
  readonly args: readonly (string | number)[]
}

/** Where a script runs. */
export type ScriptTarget =
  | { readonly kind: 'server'; readonly redis: Redis }
  /** One master of a Cluster: the keys of an invocation are of any slots that it owns. */
  | { readonly kind: 'master'; readonly redis: Redis }
  /** The master that owns the slot of the keys, which is the same for all keys of an invocation. */
  | { readonly kind: 'cluster'; readonly redis: Cluster }

/** Any number of invocations in one round trip, one reply each. */
export type Script = (target: ScriptTarget, invocations: readonly ScriptInvocation[]) => Promise<unknown[]>

/**
 * Redis refuses a script whose declared keys are of several slots, even if it owns them all. It allows one without declared keys
 * (unless the script begins with #!) to use any key that it owns. Others are refused one by one: see scatter.ts.
 */
const KEYS_FROM_ARGV = `local given, KEYS, ARGV = ARGV, {}, {}
for i = 2, #given do
  if i <= given[1] + 1 then KEYS[i - 1] = given[i] else ARGV[i - 1 - given[1]] = given[i] end
end
`

/**
 * A Lua script. A server forgets its scripts at a restart, a failover and SCRIPT FLUSH. The script is then loaded again and all
 * invocations are repeated, so every script here must tolerate being run twice.
 *
 * @param url of the `.lua` file, which lies beside its caller.
 * @returns a function that rejects with a ServiceError for the first invocation that failed; the others may have
 * been applied.
 */
export function createScript(url: URL): Script {
  const source = readFileSync(url, 'utf8')
  const declared = new LoadedScript(source)
  const undeclared = new LoadedScript(KEYS_FROM_ARGV + source)

  return async (target, invocations) => {
    if (invocations.length === 0) return []
    switch (target.kind) {
      case 'server':
        return await declared.run(target.redis, invocations)
      case 'master':
        return await undeclared.run(
          target.redis,
          invocations.map(({ args, keys }) => ({ keys: [], args: [keys.length, ...keys, ...args] })),
        )
      case 'cluster':
        return await redisReplies(invocations.map((one) => declared.runRouted(target.redis, one)))
    }
  }
}

/** The script, on this client: in a Cluster, where the slot of the keys of each invocation is. */
export function createScriptRunner(redis: RedisClient, url: URL) {
  const script = createScript(url)
  const target = scriptTarget(redis)
  return (invocations: readonly ScriptInvocation[]) => script(target, invocations)
}

export function scriptTarget(redis: RedisClient): ScriptTarget {
  return isCluster(redis) ? { kind: 'cluster', redis } : { kind: 'server', redis }
}

class LoadedScript {
  readonly #source: string
  #digest: string | undefined
  readonly #servers = new WeakSet<Redis>()

  constructor(source: string) {
    this.#source = source
  }

  async run(redis: Redis, invocations: readonly ScriptInvocation[]): Promise<unknown[]> {
    const digest = this.#servers.has(redis) ? this.#digest : undefined
    try {
      return await attempt(redis, invocations, digest ?? (await this.#load(redis)))
    } catch (error) {
      if (redisError(error).code !== 'NOSCRIPT') throw error
      return await attempt(redis, invocations, await this.#load(redis))
    }
  }

  async runRouted(cluster: Cluster, { args, keys }: ScriptInvocation): Promise<unknown> {
    if (this.#digest !== undefined)
      try {
        return await cluster.evalsha(this.#digest, keys.length, ...keys, ...args)
      } catch (error) {
        if (redisError(error).code !== 'NOSCRIPT') throw error
      }
    // This loads it as well, on the node that owns the keys.
    const reply = await cluster.eval(this.#source, keys.length, ...keys, ...args)
    this.#digest ??= createHash('sha1').update(this.#source).digest('hex')
    return reply
  }

  async #load(redis: Redis): Promise<string> {
    this.#digest = String(await redisReply(redis.script('LOAD', this.#source)))
    this.#servers.add(redis)
    return this.#digest
  }
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
