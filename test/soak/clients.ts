import { setTimeout as sleep } from 'node:timers/promises'

const EVENT_CLIENTS = 5
const LOOKUP_CLIENTS = 2
const IDS_PER_LOOKUP = 20
const LOOKUP_INTERVAL_MS = 100
const RECONNECT_MS = 500

/** Programs that use the api while everything goes on. */
export type SoakClients = {
  readonly lookups: number
  readonly failedLookups: number
  readonly events: number
  readonly reconnects: number
  stop(): Promise<void>
}

export function startClients(
  apiUrl: string,
  deviceIds: readonly string[],
  random: () => number,
): SoakClients {
  const stopping = new AbortController()
  const counts = { lookups: 0, failedLookups: 0, events: 0, reconnects: 0 }
  const pause = (ms: number) => sleep(ms, undefined, { signal: stopping.signal }).catch(() => undefined)

  async function lookUp(): Promise<void> {
    while (!stopping.signal.aborted) {
      const ids = Array.from(
        { length: IDS_PER_LOOKUP },
        () => deviceIds[Math.floor(random() * deviceIds.length)],
      )
      try {
        const response = await fetch(`${apiUrl}/api/devices/lookup`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ ids }),
          signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(10_000)]),
        })
        await response.arrayBuffer()
        counts.lookups += 1
        if (!response.ok) counts.failedLookups += 1
      } catch {
        counts.failedLookups += 1
      }
      await pause(LOOKUP_INTERVAL_MS)
    }
  }

  async function follow(): Promise<void> {
    let lastId: string | undefined
    while (!stopping.signal.aborted) {
      try {
        const headers: Record<string, string> = lastId === undefined ? {} : { 'last-event-id': lastId }
        const response = await fetch(`${apiUrl}/api/events`, { headers, signal: stopping.signal })
        let rest = ''
        for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
          const lines = (rest + text).split('\n')
          rest = lines.pop() ?? ''
          for (const line of lines) {
            if (line.startsWith('id:')) lastId = line.slice(3).trim()
            if (line.startsWith('data:')) counts.events += 1
          }
        }
      } catch {
        // It connects again.
      }
      counts.reconnects += 1
      await pause(RECONNECT_MS)
    }
  }

  const running = Promise.all([
    ...Array.from({ length: LOOKUP_CLIENTS }, lookUp),
    ...Array.from({ length: EVENT_CLIENTS }, follow),
  ])
  return {
    get lookups() {
      return counts.lookups
    },
    get failedLookups() {
      return counts.failedLookups
    },
    get events() {
      return counts.events
    },
    get reconnects() {
      return counts.reconnects
    },
    async stop() {
      stopping.abort()
      await running
    },
  }
}
