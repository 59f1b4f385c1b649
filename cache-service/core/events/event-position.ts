/** The two streams of events, each with positions of its own. */
export const STREAM_NAMES = ['update', 'device'] as const
export type StreamName = (typeof STREAM_NAMES)[number]

/** An entry's id in a Redis stream: `<ms>-<sequence>`. `0-0` lies before every entry. */
export type EntryId = string

/** How far somebody has come in both streams: the id of an event for a client. */
export type EventPosition = Readonly<Record<StreamName, EntryId>>

export const BEFORE_ALL: EntryId = '0-0'

// 15 digits: exact as numbers, and later than the year 30000.
const ENTRY_ID = /^(\d{1,15})-(\d{1,15})$/
const POSITION = /^(\d{1,15}-\d{1,15})\.(\d{1,15}-\d{1,15})$/

export function isEntryId(text: string): boolean {
  return ENTRY_ID.test(text)
}

/** `<position in update>.<position in device>`: safe in a header, a URL and a line of an event. */
export function formatPosition({ update, device }: EventPosition): string {
  return `${update}.${device}`
}

/** undefined: not one of ours. */
export function parsePosition(text: string): EventPosition | undefined {
  const [, update, device] = POSITION.exec(text) ?? []
  return update === undefined || device === undefined ? undefined : { update, device }
}

/** Negative: a lies before b in their stream; 0: the same entry. */
export function compareEntryIds(a: EntryId, b: EntryId): number {
  const [aMs = 0, aSequence = 0] = a.split('-').map(Number)
  const [bMs = 0, bSequence = 0] = b.split('-').map(Number)
  return aMs === bMs ? aSequence - bSequence : aMs - bMs
}

/** The further one in each stream. */
export function furthest(a: EventPosition, b: EventPosition): EventPosition {
  const later = (name: StreamName) => (compareEntryIds(a[name], b[name]) < 0 ? b[name] : a[name])
  return { update: later('update'), device: later('device') }
}

/** True if `a` has, in each of the streams, come at least as far as `b`. */
export function hasReached(a: EventPosition, b: EventPosition, streams: Iterable<StreamName>): boolean {
  for (const name of streams) if (compareEntryIds(a[name], b[name]) < 0) return false
  return true
}
