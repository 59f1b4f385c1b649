import type { Redis } from 'ioredis'
import { setTimeout as sleep } from 'node:timers/promises'

const POLL_INTERVAL_MS = 50

/** Reads `last_updated` of all devices all the time, as a service does that polls the cache. */
export type PollingReader = {
  /** Number of complete polls, and of times of devices that they read. */
  readonly polls: number
  readonly reads: number
  /** Runs something that Redis loses data by; what was read before does not count after it. */
  duringLoss(lose: () => Promise<unknown>): Promise<void>
  /** @returns the devices whose `last_updated` was seen to go back, except those that tombstones deleted (default: none). */
  stop(deleted?: ReadonlySet<string>): Promise<string[]>
}

/** The devices of the index, for `startPollingReader`. */
export function indexedDevices(redis: Redis): () => Promise<readonly string[]> {
  return () => redis.smembers('devices')
}

/** @param deviceIds returns the devices to read; the list may grow. */
export function startPollingReader(
  redis: Redis,
  deviceIds: () => Iterable<string> | Promise<Iterable<string>>,
): PollingReader {
  const seen = new Map<string, string>()
  const wentBack = new Map<string, string>()
  const stopping = new AbortController()
  let polls = 0
  let reads = 0
  let reading: Promise<void> = Promise.resolve()
  let losing: Promise<void> = Promise.resolve()

  async function poll(): Promise<void> {
    const ids = [...(await deviceIds())]
    const pipeline = redis.pipeline()
    for (const id of ids) pipeline.hget(`device:${id}:metadata`, 'last_updated')
    const replies = (await pipeline.exec()) ?? []
    for (const [at, id] of ids.entries()) {
      const [error, value] = replies[at] ?? []
      if (error || typeof value !== 'string') continue
      reads += 1
      const before = seen.get(id)
      if (before !== undefined && value < before)
        wentBack.set(id, `${id} went back from ${before} to ${value}`)
      seen.set(id, value)
    }
    polls += 1
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await losing
      reading = poll().catch(() => undefined) // Redis may be down at the moment.
      await reading
      await sleep(POLL_INTERVAL_MS, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }

  const running = run()
  return {
    get polls() {
      return polls
    },
    get reads() {
      return reads
    },
    async duringLoss(lose) {
      const { promise, resolve } = Promise.withResolvers<void>()
      losing = losing.then(() => promise)
      try {
        await reading
        await lose()
        seen.clear()
      } finally {
        resolve()
      }
    },
    async stop(deleted = new Set()) {
      stopping.abort()
      await running
      return [...wentBack].filter(([id]) => !deleted.has(id)).map(([, text]) => text)
    },
  }
}
