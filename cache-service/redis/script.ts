import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'
import { redisError } from '../../shared/errors.ts'

export type ScriptInvocation = {
  readonly keys: readonly string[]
  readonly args: readonly (string | number)[]
}

/** A Lua script; each lies beside its caller. */
export type Script = { readonly source: string }

/** @param url of the `.lua` file. */
export function readScript(url: URL): Script {
  return { source: readFileSync(url, 'utf8') }
}

/**
 * Runs a script, any number of invocations in one round trip. The server forgets scripts (restart, failover,
 * SCRIPT FLUSH): then it is loaded, and everything is sent again, which every script here allows.
 *
 * @throws ServiceError for the first invocation that failed; others may have been applied.
 */
export function createScriptRunner(redis: Redis, script: Script) {
  let sha: string | undefined

  async function load(): Promise<string> {
    return String(await redis.script('LOAD', script.source))
  }

  async function attempt(invocations: readonly ScriptInvocation[], digest: string): Promise<unknown[]> {
    const pipeline = redis.pipeline()
    for (const { keys, args } of invocations) pipeline.evalsha(digest, keys.length, ...keys, ...args)
    const replies = await pipeline.exec()
    // A pipeline resolves even if every command in it failed.
    return (replies ?? []).map(([error, reply]) => {
      if (error !== null) throw redisError(error)
      return reply
    })
  }

  return async function run(invocations: readonly ScriptInvocation[]): Promise<unknown[]> {
    if (invocations.length === 0) return []
    try {
      sha ??= await load()
      try {
        return await attempt(invocations, sha)
      } catch (error) {
        if (redisError(error).code !== 'NOSCRIPT') throw error
        sha = await load()
        return await attempt(invocations, sha)
      }
    } catch (error) {
      throw redisError(error)
    }
  }
}
