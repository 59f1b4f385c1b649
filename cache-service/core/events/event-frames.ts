import { clientEventOf } from './client-event.ts'
import type { EventFilter } from './event-filter.ts'
import { formatPosition, type EventPosition, type StreamName } from './event-position.ts'
import type { StreamEvent } from './stream-entry.ts'

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
  const selected = clientEventOf(event, filter)
  switch (selected?.kind) {
    case 'update':
      return frame('update', selected.json, position)
    case 'device': {
      const { change, deviceIds, more } = selected
      return frame('device', JSON.stringify({ change, device_ids: deviceIds, more }), position)
    }
    case 'reset':
      return resetFrame(selected.streams, selected.reason, position)
    case undefined:
      return undefined
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

function frame(event: string, json: string, position: EventPosition): string {
  return `id: ${formatPosition(position)}\nevent: ${event}\ndata: ${json}\n\n`
}
