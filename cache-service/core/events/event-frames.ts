import { formatPosition, type EventPosition, type StreamName } from './event-position.ts'
import type { StreamEntry, StreamEvent } from './stream-entry.ts'

/** Which events a client wants. */
export type EventFilter = {
  readonly streams: ReadonlySet<StreamName>
  /** undefined: every device. */
  readonly deviceIds: ReadonlySet<string> | undefined
  /** undefined: every type. */
  readonly updateTypes: ReadonlySet<string> | undefined
  /** Filters with the same key pass the same events. */
  readonly key: string
}

export function createEventFilter(
  streams: readonly StreamName[],
  deviceIds: readonly string[],
  updateTypes: readonly string[],
): EventFilter {
  const sorted = [streams, deviceIds, updateTypes].map((names) => [...new Set(names)].sort())
  return {
    streams: new Set(streams),
    deviceIds: deviceIds.length === 0 ? undefined : new Set(deviceIds),
    updateTypes: updateTypes.length === 0 ? undefined : new Set(updateTypes),
    key: JSON.stringify(sorted),
  }
}

/** Why the server closed or refused an event stream. */
export const SSE_DROP_REASONS = ['slow', 'limit', 'resume_failed', 'shutdown'] as const
export type SseDropReason = (typeof SSE_DROP_REASONS)[number]

/**
 * An event as a client receives it, in the text/event-stream format.
 * @returns undefined if the filter excludes the event.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export function eventFrame(
  event: StreamEvent,
  position: EventPosition,
  filter: EventFilter,
): string | undefined {
  if (!filter.streams.has(event.stream)) return undefined
  const { entry } = event
  switch (entry.kind) {
    case 'update':
      if (filter.updateTypes?.has(entry.type) === false) return undefined
      return frame('update', entry.json, position)
    case 'changed':
    case 'deleted':
      return hintFrame(entry, position, filter)
    case 'gap':
      return resetFrame([event.stream], entry.reason, position)
  }
}

/** Earlier events of these streams may have been missed: the client has to read the state, or the devices, again. */
export function resetFrame(streams: Iterable<StreamName>, reason: string, position: EventPosition): string {
  return frame('reset', JSON.stringify({ streams: [...streams], reason }), position)
}

/** Carries the current position, so that a client can resume even if no event has passed its filter. */
export function pingFrame(position: EventPosition): string {
  return frame('ping', '{}', position)
}

function hintFrame(
  { kind, deviceIds, more }: StreamEntry & { kind: 'changed' | 'deleted' },
  position: EventPosition,
  { deviceIds: wanted }: EventFilter,
): string | undefined {
  if (wanted === undefined) {
    return frame('device', JSON.stringify({ change: kind, device_ids: deviceIds, more }), position)
  }
  const found = deviceIds.filter((id) => wanted.has(id))
  if (found.length === 0) return undefined
  return frame('device', JSON.stringify({ change: kind, device_ids: found, more: 0 }), position)
}

function frame(event: string, json: string, position: EventPosition): string {
  return `id: ${formatPosition(position)}\nevent: ${event}\ndata: ${json}\n\n`
}
