import { setTimeout as sleep } from 'node:timers/promises'
import type { DeviceCacheClient } from '../../../shared/client/client.ts'
import { CacheUnavailableError, DeviceCacheError } from '../../../shared/client/errors.ts'
import type { Device } from '../../../shared/client/types.ts'

const IDS_PER_LOOKUP = 100
const PAUSE_MS = 50

/** Looks devices up all the time, as a service does that uses the API, one lookup after another and without retries. */
export type LookupClient = {
  readonly lookups: number
  /** Lookups that were answered with 503, or named devices of which Redis could not be asked. */
  readonly failed: number
  /** The devices that were seen to go back or to vanish, and the longest time until they were as new as before again. */
  readonly outdated: ReadonlyMap<string, number>
  /** @returns what no client should have seen. */
  stop(): Promise<string[]>
}

/**
 * @param client must not retry.
 * @param deviceIds returns the devices to look up; the set may grow.
 */
export function startLookupClient(
  client: DeviceCacheClient,
  deviceIds: () => ReadonlySet<string>,
): LookupClient {
  const stopping = new AbortController()
  const newest = new Map<string, string>()
  const outdatedSince = new Map<string, number>()
  const outdated = new Map<string, number>()
  const problems: string[] = []
  let lookups = 0
  let failed = 0

  async function lookUp(ids: readonly string[]): Promise<void> {
    const { complete, errors, found, missing } = await client.lookup(ids, { signal: stopping.signal })
    const unavailable = [...errors.values()].filter(({ status }) => status === 503)
    if (unavailable.length < errors.size) problems.push(...[...errors.values()].map(String))
    if (errors.size > 0) failed += 1
    for (const [id, { last_updated }] of found) saw(id, last_updated ?? '')
    // Otherwise it may exist, and the answer says so.
    if (complete) for (const id of missing) saw(id, '')
  }

  function saw(id: string, time: string): void {
    const nowMs = performance.now()
    if (time < (newest.get(id) ?? '')) {
      if (!outdatedSince.has(id)) outdatedSince.set(id, nowMs)
    } else {
      newest.set(id, time)
    }
    const sinceMs = outdatedSince.get(id)
    if (sinceMs === undefined) return
    outdated.set(id, Math.max(outdated.get(id) ?? 0, nowMs - sinceMs))
    if (time === newest.get(id)) outdatedSince.delete(id)
  }

  async function run(): Promise<void> {
    for (let first = 0; !stopping.signal.aborted; first += IDS_PER_LOOKUP) {
      const all = [...deviceIds()]
      if (first >= all.length) first = 0
      lookups += 1
      try {
        await lookUp(all.slice(first, first + IDS_PER_LOOKUP))
      } catch (error) {
        if (stopping.signal.aborted) return
        failed += 1
        if (!isDocumented(error)) problems.push(describe(error))
      }
      await sleep(PAUSE_MS, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }

  const running = run()
  return {
    get lookups() {
      return lookups
    },
    get failed() {
      return failed
    },
    outdated,
    async stop() {
      stopping.abort()
      await running
      return problems
    },
  }
}

/** What docs/problems.md allows while Redis is away: 503 with Retry-After. */
function isDocumented(error: unknown): boolean {
  return error instanceof CacheUnavailableError && error.status === 503 && error.retryAfterMs !== undefined
}

function describe(error: unknown): string {
  const problem = error instanceof DeviceCacheError ? JSON.stringify(error.problem) : ''
  return `a lookup failed: ${String(error)} ${problem}`
}

/** The differences between a device of the API and the fields of its hash. */
export function deviceDifferences(
  id: string,
  device: Device | undefined,
  fields: Readonly<Record<string, string>>,
): string[] {
  if (device === undefined) return [`the API does not know ${id}`]
  return (['last_updated', 'datatype_id', 'datatype_name'] as const).flatMap((name) => {
    const expected = fields[name] ?? null
    return device[name] === expected
      ? []
      : [`the API answers ${id} ${name}: ${JSON.stringify(device[name])}, not ${JSON.stringify(expected)}`]
  })
}
