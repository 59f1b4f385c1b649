import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { RedisReply, ScriptName, SimulatedRedis } from './simulated-redis.ts'

const FOLDER = new URL('../../../cache-service/redis/', import.meta.url)
const SCRIPT_FILES: Readonly<Record<ScriptName, string>> = {
  'apply-updates': 'devices/apply-updates.lua',
  'delete-devices': 'devices/delete-devices.lua',
  'find-absent': 'devices/find-absent.lua',
  'advance-progress': 'workers/advance-progress.lua',
  'advance-copy': 'workers/advance-copy.lua',
  'replace-progress': 'workers/replace-progress.lua',
  'set-progress': 'workers/set-progress.lua',
  'request-rebuild': 'workers/request-rebuild.lua',
}
export const SCRIPT_NAMES = Object.keys(SCRIPT_FILES) as ScriptName[]

export function scriptSource(script: ScriptName): string {
  return readFileSync(new URL(SCRIPT_FILES[script], FOLDER), 'utf8')
}

type KnownScript = {
  readonly name: ScriptName
  readonly sha: string
  /** It takes its keys from the arguments, as redis/script.ts makes it do on a master of a Cluster. */
  readonly hasKeysInArguments: boolean
}

const sources = SCRIPT_NAMES.map((name) => [name, scriptSource(name)] as const)
const bySource = new Map<string, KnownScript>()
const bySha = new Map<string, KnownScript>()

/** Throws if the service has no such script. */
export function knownScript(source: string): KnownScript {
  const known = bySource.get(source)
  if (known !== undefined) return known
  const [name, original] = sources.find(([, text]) => source.endsWith(text)) ?? []
  if (name === undefined) throw new Error('the simulated Redis does not know this script')
  const sha = createHash('sha1').update(source).digest('hex')
  const found = { name, sha, hasKeysInArguments: source !== original }
  bySource.set(source, found)
  bySha.set(sha, found)
  return found
}

/** EVALSHA. @throws Error with the text of an error reply. */
export function evaluateSha(
  server: SimulatedRedis,
  sha: string,
  keyCount: number,
  keysAndArgs: readonly string[],
): RedisReply {
  const script = bySha.get(sha)
  if (script === undefined) throw new Error('NOSCRIPT No matching script. Please use EVAL.')
  if (!script.hasKeysInArguments) {
    const redirection = server.redirection(keysAndArgs[0] ?? '')
    if (redirection !== undefined) throw new Error(redirection)
    return server.evaluate(script.name, keysAndArgs.slice(0, keyCount), keysAndArgs.slice(keyCount))
  }
  const end = 1 + Number(keysAndArgs[0])
  return server.evaluate(script.name, keysAndArgs.slice(1, end), keysAndArgs.slice(end))
}

/** A late delete also removes what was written after it, until the next record: docs/reliability.md says so. */
export function isPromptScript(sha: string): boolean {
  return bySha.get(sha)?.name === 'delete-devices'
}
