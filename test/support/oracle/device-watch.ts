import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'

/** A reader that asks for devices again and again, as the services do that use the cache. */
export type DeviceWatch = {
  /** Times at which a device's `last_updated` was earlier than one that had been read before. */
  readonly steppedBack: readonly string[]
  readonly reads: number
  stop(): Promise<void>
}

const PAUSE_MS = 100

/**
 * Watches every device in the index. Only for input without tombstones, and within one life of the cache: a device that
 * was deleted begins again. While Redis does not answer, it waits.
 */
export function watchDevices(redis: Redis): DeviceWatch {
  const latest = new Map<string, string>()
  const steppedBack: string[] = []
  const stopping = new AbortController()
  let reads = 0

  async function readAll(): Promise<void> {
    const ids = await redis.smembers('devices')
    const pipeline = redis.pipeline()
    for (const id of ids) pipeline.hget(`device:${id}:metadata`, 'last_updated')
    const replies = (await pipeline.exec()) ?? []
    for (const [at, id] of ids.entries()) {
      const found = replies[at]?.[1]
      if (typeof found !== 'string') continue
      reads += 1
      const before = latest.get(id) ?? ''
      if (found < before) steppedBack.push(`${id} went back from ${before} to ${found}`)
      else latest.set(id, found)
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await readAll().catch(() => undefined)
      await sleep(PAUSE_MS, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }

  const running = run()
  return {
    steppedBack,
    get reads() {
      return reads
    },
    async stop() {
      stopping.abort()
      await running
    },
  }
}
