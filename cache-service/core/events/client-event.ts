import type { EventFilter } from './event-filter.ts'
import type { StreamName } from './event-position.ts'
import type { StreamEvent } from './stream-entry.ts'

/** What a stream entry means to a client, before the API renders it as SSE or cache-cli prints it. */
export type ClientEvent =
  /** `json` as the stream holds it: the API sends it without parsing it. */
  | { readonly kind: 'update'; readonly json: string }
  | {
      readonly kind: 'device'
      readonly change: 'changed' | 'deleted'
      readonly deviceIds: readonly string[]
      /** Number of further devices that the entry does not name: any device may be among them. */
      readonly more: number
    }
  | { readonly kind: 'reset'; readonly streams: readonly StreamName[]; readonly reason: string }

/** @returns undefined if the filter excludes the event. */
export function clientEventOf({ entry, stream }: StreamEvent, filter: EventFilter): ClientEvent | undefined {
  if (!filter.streams.has(stream)) return undefined
  switch (entry.kind) {
    case 'update':
      return filter.updateTypes?.has(entry.type) === false ? undefined : { kind: 'update', json: entry.json }
    case 'changed':
    case 'deleted': {
      const { deviceIds, kind: change, more } = entry
      if (filter.deviceIds === undefined) return { kind: 'device', change, deviceIds, more }
      const wanted = deviceIds.filter((id) => filter.deviceIds?.has(id))
      // The devices that the entry does not name may include one that the client follows.
      if (wanted.length === 0 && more === 0) return undefined
      return { kind: 'device', change, deviceIds: wanted, more }
    }
    case 'gap':
      return { kind: 'reset', streams: [stream], reason: entry.reason }
  }
}
