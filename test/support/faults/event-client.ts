import { setTimeout as sleep } from 'node:timers/promises'
import type { DeviceCacheClient } from '../../../shared/client/client.ts'
import type { WatchEvent } from '../../../shared/client/types.ts'
import { patiently } from '../eventually.ts'

const READ_EVERY_MS = 100

/** An update of `startUpdatePublisher`, or a reset of the updates, in the order of the stream. */
export type SeenUpdate =
  { readonly kind: 'update'; readonly n: number; readonly source: string } | { readonly kind: 'reset' }

/**
 * Follows all events, and keeps a copy of what they are about: it reads a device again only if an event names it or may do so, and
 * the state only at a reset.
 */
export type EventClient = {
  readonly resets: number
  /** Device → its `last_updated`. */
  readonly devices: ReadonlyMap<string, string | null>
  /** Type → the number of its update. */
  readonly state: ReadonlyMap<string, number>
  readonly updates: readonly SeenUpdate[]
  /** Rejects with what ended the stream, if anything did. */
  stop(): Promise<void>
}

/**
 * Resolves when the stream is live.
 *
 * @param deviceIds the devices to read when any of them may have changed.
 */
export async function startEventClient(
  client: DeviceCacheClient,
  deviceIds: () => ReadonlySet<string>,
): Promise<EventClient> {
  const stopping = new AbortController()
  const { signal } = stopping
  const devices = new Map<string, string | null>()
  const state = new Map<string, number>()
  const updates: SeenUpdate[] = []
  const changed = new Set<string>()
  const updatedTypes = new Set<string>()
  let mayAllHaveChanged = true
  let isStateKnown = false
  let resets = 0
  let isLive = false

  function handle(event: WatchEvent): void {
    if (event.kind === 'device') {
      for (const id of event.deviceIds) changed.add(id)
      if (event.more > 0) mayAllHaveChanged = true
    } else if (event.kind === 'reset') {
      resets += 1
      if (event.streams.includes('device')) mayAllHaveChanged = true
      if (!event.streams.includes('update')) return
      isStateKnown = false
      updates.push({ kind: 'reset' })
    } else {
      const [n, source] = updateOf(event.values)
      updates.push({ kind: 'update', n, source })
      updatedTypes.add(event.type)
      state.set(event.type, n)
    }
  }

  async function follow(): Promise<void> {
    const onConnection = ({ kind }: { kind: string }) => void (isLive ||= kind === 'live')
    for await (const event of client.watch({ signal, onConnection })) handle(event)
  }

  async function readState(): Promise<void> {
    isStateKnown = true
    updatedTypes.clear()
    try {
      const { values } = await client.state({ signal })
      // An event that has arrived since is newer, or a newer one follows.
      for (const [type, value] of values) if (!updatedTypes.has(type)) state.set(type, updateOf(value)[0])
    } catch (error) {
      isStateKnown = false
      throw error
    }
  }

  async function readDevices(): Promise<void> {
    const isAll = mayAllHaveChanged
    const ids = isAll ? [...deviceIds(), ...changed] : [...changed]
    mayAllHaveChanged = false
    changed.clear()
    if (ids.length === 0) return
    const again = (id: string) => void changed.add(id)
    try {
      const { complete, errors, found, missing } = await client.lookup(ids, { signal })
      for (const [id, { last_updated }] of found) devices.set(id, last_updated)
      for (const id of missing) if (complete) devices.delete(id)
      for (const id of complete ? errors.keys() : [...missing, ...errors.keys()]) again(id)
    } catch (error) {
      mayAllHaveChanged ||= isAll
      for (const id of ids) again(id)
      throw error
    }
  }

  async function keepCopy(): Promise<void> {
    while (!signal.aborted) {
      // Redis may be away: what was not read stays to be read.
      if (isLive) await readDevices().catch(() => undefined)
      if (isLive && !isStateKnown) await readState().catch(() => undefined)
      await sleep(READ_EVERY_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  const following = follow().catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
  following.catch(() => undefined) // `stop` reports it.
  const keeping = keepCopy()
  await patiently(() => {
    if (!isLive) throw new Error('the event stream is not live')
  })
  return {
    get resets() {
      return resets
    },
    devices,
    state,
    updates,
    async stop() {
      stopping.abort()
      await Promise.all([following, keeping])
    },
  }
}

/** The number and the source of an update; of an event, or of what is stored. */
function updateOf(value: unknown): [number, string] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && 'values' in value)
    return updateOf(value.values)
  const [n, source]: unknown[] = Array.isArray(value) ? value : []
  return [Number(n), String(source)]
}
