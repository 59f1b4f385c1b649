import { clientEventOf } from './client-event.ts'
import type { EventFilter } from './event-filter.ts'
import { formatPosition, type EventPosition, type StreamName } from './event-position.ts'
import type { StreamEvent } from './stream-entry.ts'

/** Why the server closed or refused an event stream. */
export const SSE_DROP_REASONS = ['slow', 'limit', 'unauthorized', 'shutdown'] as const
export type SseDropReason = (typeof SSE_DROP_REASONS)[number]

/** A comment: it keeps a connection open, and clients ignore it. */
export const KEEP_ALIVE_COMMENT = ':\n\n'

/** Tells a client how long to wait before it reconnects. */
export function retryField(ms: number): string {
  return `retry: ${ms}\n\n`
}

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
  const body = eventBody(event, filter)
  return body === undefined ? undefined : positionedFrame(position, body)
}

/** The part of an event that does not depend on the position of the client: everything but the id. */
export function eventBody(event: StreamEvent, filter: EventFilter): string | undefined {
  const selected = clientEventOf(event, filter)
  switch (selected?.kind) {
    case 'update':
      return frameBody('update', selected.json)
    case 'device': {
      const { change, deviceIds, more } = selected
      return frameBody('device', JSON.stringify({ change, device_ids: deviceIds, more }))
    }
    case 'reset':
      return resetBody(selected.streams, selected.reason)
    case undefined:
      return undefined
  }
}

export function positionedFrame(position: EventPosition, body: string): string {
  return `id: ${formatPosition(position)}\n${body}`
}

/** Earlier events of these streams may have been missed: the client has to read the state, or the devices, again. */
export function resetFrame(streams: Iterable<StreamName>, reason: string, position: EventPosition): string {
  return positionedFrame(position, resetBody(streams, reason))
}

/** Carries the current position, so that a client can resume even if no event has passed its filter. */
export function pingFrame(position: EventPosition): string {
  return positionedFrame(position, frameBody('ping', '{}'))
}

function resetBody(streams: Iterable<StreamName>, reason: string): string {
  return frameBody('reset', JSON.stringify({ streams: [...streams], reason }))
}

function frameBody(event: string, json: string): string {
  return `event: ${event}\ndata: ${json}\n\n`
}
