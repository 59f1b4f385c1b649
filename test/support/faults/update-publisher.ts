import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { patiently } from '../eventually.ts'
import type { SeenUpdate } from './event-client.ts'

/** Of the updates: keys in Redis. */
export const PUBLISHED_TYPES: readonly string[] = Array.from({ length: 10 }, (_, n) => `type-${n}`)
const PAUSE_MS = 100
const TIMEOUT_MS = 500

/** Where updates are published. */
export type PublishTarget = {
  /** Called at first and after each failure. */
  server(): Promise<{ readonly url: string }>
  /** Of a Cluster: a node does not know how many others receive what it is sent. */
  readonly isCluster: boolean
}

/** Publishes updates of some types in turn, each with a number of its own that grows. */
export type UpdatePublisher = {
  /** Those that a subscriber has certainly been sent. */
  readonly published: ReadonlySet<number>
  /** Stops, and publishes each type a last time: updates published while no updater is subscribed are missed, as documented. */
  finish(): Promise<ReadonlyMap<string, number>>
  stop(): Promise<void>
}

export function startUpdatePublisher(target: PublishTarget, channel: string): UpdatePublisher {
  const stopping = new AbortController()
  const published = new Set<number>()
  const last = new Map<string, number>()
  let server: { readonly url: string } | undefined
  let next = 1

  async function publish(type: string): Promise<void> {
    // A number is used once: one whose reply is lost may have been published.
    const n = next++
    let sending: Redis | undefined
    try {
      server ??= await target.server()
      // A connection of its own: a server that hangs does not find it when it goes on.
      sending = new Redis(server.url, {
        lazyConnect: true,
        retryStrategy: () => null,
        connectTimeout: TIMEOUT_MS,
        commandTimeout: TIMEOUT_MS,
      })
      sending.on('error', () => undefined)
      const message = JSON.stringify({ type, updated: n, valid: true, values: [n, server.url] })
      const receivers = await sending.publish(channel, message)
      if (receivers === 0 && !target.isCluster) throw new Error('no subscriber')
      published.add(n)
      last.set(type, n)
    } catch (error) {
      server = undefined
      throw error
    } finally {
      sending?.disconnect()
    }
  }

  const running = (async () => {
    while (!stopping.signal.aborted) {
      await publish(PUBLISHED_TYPES[next % PUBLISHED_TYPES.length] ?? '').catch(() => undefined)
      await sleep(PAUSE_MS, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  })()
  const stop = async () => {
    stopping.abort()
    await running
  }
  return {
    published,
    async finish() {
      await stop()
      for (const type of last.keys()) await patiently(() => publish(type))
      return last
    },
    stop,
  }
}

/** What a client must not see: an update twice or out of order, or none where no reset follows. */
export function updateProblems(seen: readonly SeenUpdate[], published: ReadonlySet<number>): string[] {
  const problems: string[] = []
  const numbers = new Set<number>()
  // What is published on different nodes of a Cluster may arrive in any order.
  const lastOf = new Map<string, number>()
  for (const update of seen) {
    if (update.kind === 'reset') continue
    if (numbers.has(update.n)) problems.push(`update ${update.n} was received twice`)
    const before = lastOf.get(update.source) ?? 0
    if (update.n < before) problems.push(`update ${update.n} was received after ${before}`)
    numbers.add(update.n)
    lastOf.set(update.source, update.n)
  }
  const lastReset = seen.findLastIndex(({ kind }) => kind === 'reset')
  for (const n of published) {
    if (numbers.has(n)) continue
    const at = seen.findLastIndex((update) => update.kind === 'update' && update.n < n)
    if (lastReset <= at || lastReset < 0) problems.push(`update ${n} was not received, and no reset followed`)
  }
  return problems
}
